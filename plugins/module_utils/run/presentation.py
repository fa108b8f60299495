# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report in a person's words: one line, and the reasons of a failure."""

from __future__ import annotations

import typing as t
import unicodedata

from ..preflight.goals import GOALS, IN_PLACE
from .folder import Record
from .report import Report

#: What a run that ended so came to.
HEADLINES: t.Final = {
    "migrated": "The target holds what the source held",
    "unchanged": "There was nothing to do",
    "dumped": "The source is dumped",
    "rehearsed": "All of it went well but the switch, which was left out",
    "repaired": "What differed was brought, and the live database is equal to its source there",
    "equal": "Source and target are equal",
    "rolled_back": "The previous database is live again",
    "different": "Source and target differ",
    "refused": "The run was refused",
    "failed": "The run failed",
}


def summarize(report: Report) -> str:
    """Return the one line that a person reads."""
    match report["status"]:
        case "migrated" | "repaired" | "equal":
            told = f"{_amount(report['tables'], 'target_rows')}, all equal{_thawed(report['freeze'])}{_about(report)}"
        case "rehearsed":
            told = f"{_amount(report['tables'], 'target_rows')}, all equal in a copy that is dropped; no switch"
        case "dumped":
            reused = report.get("reused_from")
            told = f"unchanged since {reused}, no new archive is written; " if reused else ""
            told += f"{_amount(report['ledger'], 'snapshot_rows')}, in {report['archive']}"
        case "different":
            told = counted(len(report["differences"]), "difference")
        case "refused" | "failed":
            error = report["errors"][0]
            told = f"{error['stage']}: {error['message'].strip().partition(chr(10))[0]}"
        case "rolled_back" if report["proof"]:
            told = f"{HEADLINES['rolled_back'].lower()}, {_proven(report['proof'])}"
        case status:
            told = HEADLINES[status].lower()
    return visible(f"{spoken(report['status'])}: {told}")


def _thawed(freeze: Record | None) -> str:
    if not freeze:
        return ""
    # Of a process that was killed, nobody knows when it ended.
    began, ended = freeze["began_at"][11:19], (freeze["ended_at"] or "")[11:19] or "?"
    return f"; the source was frozen from {began} to {ended} UTC, and what is written to it since is not on the target"


def explain(report: Report) -> str:
    """Return why a run did not come to its goal: all errors or differences, and what it means."""
    lines = [f"{HEADLINES[report['status']]}."]
    lines += [f"{error['stage']}: {error['message'].strip()}" for error in report["errors"]]
    # A comparison that failed has named the differences.
    if not {"compare", "replace"} & {error["stage"] for error in report["errors"]}:
        lines += [f"{difference['object']}: {difference['message']}" for difference in report["differences"]]
    lines.append(consequence(report))
    return visible("\n".join(lines).strip(), keep="\n\t")


def consequence(report: Report) -> str:
    """Return what the run means for the databases, as far as that is certain."""
    if report["status"] == "refused":
        return "Nothing was attempted: source and target are as they were."
    if report["previous"]:
        return f'"{report["live"]}" was replaced; the database that it was before is kept as "{report["previous"]}".'
    if report["live"] and report["load_mode"] in IN_PLACE:
        if report["load_mode"] == "sync":
            how = "made equal by what differed" if report["goal"] != "rollback" else "taken back to what it was"
            return f'"{report["live"]}" was {how}; what went of it is kept in the backup {report["backup"]}.'
        kept = f"what it held before is kept in the backup {report['backup']}" if report["backup"] else "it was empty"
        return f'"{report["live"]}" was filled in place; {kept}.'
    if report["live"]:
        return f'"{report["live"]}" is new; there was no database of that name before.'
    if report["uncertain"]:
        return "Whether the live database was replaced is not known. Run playbooks/verify.yml."
    # Nothing but the last stage touches it, and that has left a record that it did, or that nobody knows.
    if report["status"] == "failed" and GOALS[report["goal"]].claims:
        return "The live database was not touched."
    return ""


def visible(text: str, keep: str = "") -> str:
    r"""Return a text that shows all its characters: one that acts, as a newline or ESC does, becomes \n or \x1b."""
    return "".join(
        char
        if char in keep or unicodedata.category(char) not in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


#: What may be said of an entry that is equal, where other things were compared than its rows with the source's.
_EQUAL_BY: t.Final = {
    "query": "equal to its query",
    "count": "equal in number",
    "given": "equal in what was given",
    "tree": "equal as a tree",
    "nothing": "not compared",
}


def judged(entry: t.Mapping[str, t.Any]) -> str:
    """Return the verdict on an entry, which says no more than what was compared."""
    return _EQUAL_BY.get(entry.get("compared", ""), "equal") if entry["equal"] else "different"


def number(count: int | None) -> str:
    """Return a number of rows, if there is one."""
    return "-" if count is None else f"{count:,}"


def shown(value: object) -> str:
    """Return any other value of a report's entry."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible(str(value))


def _amount(tables: list[Record], count: str) -> str:
    # A partitioned table's rows are those of its partitions, and a materialized view's are derived.
    holders = [table for table in tables if table.get("kind", "table") == "table"]
    rows = sum(table[count] or 0 for table in holders)
    return f"{counted(len(holders), 'table')}, {counted(rows, 'row')}"


def _about(report: Report) -> str:
    """Return what is said of a run that does not look at everything."""
    return f", of what run {report['rerun']} had found different" if report["rerun"] else ""


def _proven(proof: Record) -> str:
    """Return what is known of the database that is live after a rollback."""
    told = f"as database {proof['oid']}; "
    if every := proof["read"] + proof["unread"]:
        return f"{told}{proof['read']:,} of its {every:,} tables, views and sequences can be read"
    return f"{told}it holds no table"


def counted(count: int, noun: str) -> str:
    """Return a number of things."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def spoken(status: str) -> str:
    """Return a status as people say it."""
    return status.replace("_", " ")
