# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to: the stages' records in, one report out. It claims nothing that no record tells."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ..preflight.goals import GOALS, IN_PLACE
from .folder import Record

Report = dict[str, t.Any]
Records = t.Mapping[str, Record]

#: The statuses of a run that came to its goal.
REACHED: t.Final = frozenset({"unchanged", *(goal.status for goal in GOALS.values())})

#: The stages that write anything but their record: once one of them has begun, a run cannot be refused, only fail.
_ACTING: t.Final = {"dump", "schema_restore", "data_restore", "freeze", "switch", "backup", "replace"}
#: What is told of the rows of each table where only those that differ are brought.
_MOVED: t.Final = ("inserted", "updated", "deleted")
#: Those that replace the live database.
_REPLACING: t.Final = ("switch", "replace")
_STAGES: t.Final = _ACTING | {"preflight", "compare"}


@dataclasses.dataclass(frozen=True)
class Failure:
    """What stopped the play. Of a stage that was killed, nothing else tells."""

    message: str
    action: str = ""

    @property
    def stage(self) -> str:
        """The stage whose module failed, or "play" for any other task."""
        name = self.action.rpartition(".")[2]
        return name if name in _STAGES else "play"


@dataclasses.dataclass(frozen=True)
class Run:
    """What is known of a run besides its records."""

    goal: str
    host: str
    run_id: str
    failure: Failure | None = None
    #: since when the source was frozen, and until when; None if it was not
    freeze: Record | None = None


def compose(records: Records, run: Run) -> Report:
    """Return the report; it has the same keys whatever the run came to."""
    preflight, dump, backup = (records.get(name, {}) for name in ("preflight", "dump", "backup"))
    compare, replaced = _verdict(records), _replacement(records)
    # A run with nothing to do has its verdict from preflight.
    verdict = compare or (preflight.get("verdict", {}) if preflight.get("plan") == [] else {})
    ledger = _ledger(records, run.goal)
    errors = _errors(records, run.failure)
    status, shortcoming = _outcome(records, run.goal, ledger)
    if status in REACHED and errors:
        status = "failed"
    if status == "failed":
        errors = errors or [{"stage": "play", "message": shortcoming}]
        if run.goal != "verify" and _nothing_attempted(records, run.failure):
            status = "refused"
    return {
        "status": status,
        "goal": run.goal,
        "host": run.host,
        "run_id": run.run_id,
        "began_at": min((record["began_at"] for record in records.values()), default=None),
        "ended_at": max((_end(record) for record in records.values()), default=None),
        "source": preflight.get("source"),
        "target": preflight.get("target"),
        "question": preflight.get("question", []),
        "rerun": preflight.get("rerun"),
        "load_mode": preflight.get("load_mode"),
        "transfer": preflight.get("transfer"),
        "load": records.get("replace", {}).get("load") or preflight.get("load"),
        "freeze": run.freeze and {key: run.freeze[key] for key in ("began_at", "ended_at", "ended_by")},
        "tables": _tables(records),
        "foreign_keys": _foreign_keys(verdict.get("foreign_keys", []), preflight.get("foreign_keys", [])),
        "sequences": verdict.get("sequences", []),
        "large_objects": verdict.get("large_objects", []),
        "objects": verdict.get("objects", []),
        "privileges": verdict.get("privileges", []),
        "sums": verdict.get("sums", []),
        "differences": verdict.get("differences", []),
        "allowed": verdict.get("allowed", []),
        "ledger": ledger,
        "findings": [*preflight.get("findings", []), *compare.get("findings", []), *verdict.get("notices", [])],
        "timings": {stage: record["seconds"] for stage, record in records.items()},
        "errors": errors,
        "archive": dump.get("archive") or preflight.get("archive"),
        "reused_from": dump.get("reused_from") or None,
        "backup": backup.get("archive") or records.get("replace", {}).get("backup") or None,
        "uncertain": _is_uncertain(records, run.failure),
        "live": replaced.get("live"),
        "previous": replaced.get("previous") or None,
        "kept": list(replaced.get("kept", [])),
        "proof": replaced.get("proof"),
        "resumed_from": records.get("schema_restore", {}).get("resumed_from") or None,
    }


def _verdict(records: Records) -> Record:
    """Return the verdict on the copy: a run in place has it from the stage that made it.

    What a frozen source has brought is judged last.
    """
    verdict: Record = records.get("compare") or records.get("replace", {}).get("verdict", {})
    return {**verdict, **records.get("freeze", {}).get("verdict", {})}


def _moved(records: Records) -> list[Record]:
    """Return what moved of each table where only what differed did."""
    tables: list[Record] = (records.get("freeze") or records.get("replace", {})).get("tables", [])
    return tables


def _tables(records: Records) -> list[Record]:
    """Return the verdict on each table; where only what differed was brought, with the number of such rows."""
    moved = {
        (table["schema"], table["name"]): {key: table[key] for key in _MOVED}
        for table in _moved(records)
        if "kept_rows" in table
    }
    return [
        {**table, **moved.get((table["schema"], table["name"]), {})} for table in _verdict(records).get("tables", [])
    ]


def _replacement(records: Records) -> Record:
    """Return the record of the stage that replaced the live database, if one has."""
    stages = (records.get(name, {}) for name in _REPLACING)
    return next((record for record in stages if record.get("changed")), {})


def _is_uncertain(records: Records, failure: Failure | None) -> bool:
    """Whether a transaction that replaces the live database may have been committed without anybody's being told."""
    killed = bool(failure and failure.stage in _REPLACING and failure.stage not in records)
    return killed or any(records.get(stage, {}).get("uncertain") for stage in _REPLACING)


def _foreign_keys(verdicts: list[Record], census: list[Record]) -> list[Record]:
    """Return the keys' verdicts with what the census of the source's rows has told of each."""
    counted = {(key["table"], key["name"]): key for key in census}
    unknown: Record = {"orphans": None, "null_rows": None, "cycle": []}
    return [{**unknown, **counted.get((key["table"], key["name"]), {}), **key} for key in verdicts]


def _outcome(records: Records, goal: str, ledger: list[Record]) -> tuple[str, str]:
    """Return the status as far as no error speaks against it and, where it is "failed", what is missing."""
    preflight, dump, compare = records.get("preflight", {}), records.get("dump", {}), _verdict(records)
    in_place, sync = preflight.get("load_mode") in IN_PLACE, preflight.get("load_mode") == "sync"
    equal = compare.get("equal")
    if goal == "verify" and equal is not None:
        return ("equal" if equal else "different"), ""
    wanted = GOALS[goal]
    if wanted.fills and preflight.get("plan") == [] and not _ACTING & records.keys() and not compare:
        return "unchanged", ""
    dumped = dump.get("archive") or (wanted.fills and dump.get("snapshot"))
    if wanted.writes_archive and not sync and not dumped:
        return "failed", "No dump is recorded."
    if (wanted.judges or in_place) and not equal:
        return "failed", "No comparison is recorded." if equal is None else "The copy differs from its source."
    if wanted.replaces and not _replacement(records):
        return "failed", "No replacement is recorded." if in_place else "No switch is recorded."
    lost = _lost(ledger)
    return ("failed", lost) if lost else (wanted.status, "")


def _nothing_attempted(records: Records, failure: Failure | None) -> bool:
    """Whether a run that failed is known to have attempted nothing."""
    # That a stage had begun which was then killed, only the failed task's action tells.
    refused = bool(failure and failure.action and failure.stage not in _ACTING)
    return not _ACTING & records.keys() and (refused or bool(records.get("preflight", {}).get("error")))


def _errors(records: Records, failure: Failure | None) -> list[dict[str, str]]:
    errors = [{"stage": stage, "message": record["error"]} for stage, record in records.items() if record.get("error")]
    preflight = records.get("preflight", {})
    if not preflight.get("error"):
        errors += [
            {"stage": "preflight", "message": f"{finding['object']}: {finding['message']}"}
            for finding in preflight.get("findings", [])
            if finding["severity"] == "error"
        ]
    if failure and not any(failure.message in e["message"] or e["message"] in failure.message for e in errors):
        errors.append({"stage": failure.stage, "message": failure.message})
    return errors


def _ledger(records: Records, goal: str) -> list[Record]:
    """Return what became of each table's rows on their way; None is what the run did not come to."""
    brought = records.get("freeze", {}).get("tables")
    filled = brought or records.get("data_restore", {}).get("tables") or records.get("replace", {}).get("tables", [])
    # What a frozen source had then, is what counts, and not what was dumped of it before.
    sent_before = [] if brought else records.get("dump", {}).get("tables", [])
    dumped, restored, verdicts = (
        {(table["schema"], table["name"]): table for table in tables}
        for tables in (sent_before, filled, _verdict(records).get("tables", []))
    )
    ledger = []
    for schema, name in dumped | restored:
        sent, received, verdict = (tables.get((schema, name), {}) for tables in (dumped, restored, verdicts))
        snapshot_rows = sent.get("snapshot_rows", verdict.get("source_rows"))
        # Where only what differs is brought, all others stay.
        kept = received.get("kept_rows", 0)
        # The rows of an archive are sent twice, into it and out of it; streamed ones once.
        sent_rows = sent.get("sent_rows", received.get("sent_rows"))
        stations = [sent_rows, *(table.get("sent_rows") for table in [received] if table)]
        counts = [snapshot_rows, *(_together(kept, rows) for rows in stations)]
        if goal != "dump":
            counts.append(_together(kept, received.get("received_rows")))
        ledger.append(
            {
                "schema": schema,
                "name": name,
                "snapshot_rows": snapshot_rows,
                **({"kept_rows": kept} if "kept_rows" in received else {}),
                "sent_rows": sent_rows,
                "received_rows": received.get("received_rows"),
                "target_rows": verdict.get("target_rows"),
                # The last station is the verdict's to judge: there a row may lie in another partition of the same tree.
                "conserved": None not in counts
                and len(set(counts)) == 1
                and (goal == "dump" or verdict.get("equal") is True),
            }
        )
    return ledger


def _together(kept: int, moved: int | None) -> int | None:
    return None if moved is None else kept + moved


def _lost(ledger: list[Record]) -> str:
    """Return which tables' rows are not conserved, a line each."""
    stations = ("snapshot_rows", "sent_rows", "received_rows", "target_rows")
    return "\n".join(
        f"{entry['schema']}.{entry['name']}: rows were not conserved: "
        + ", ".join(f"{station.replace('_', ' ')} {entry[station]}" for station in stations)
        for entry in ledger
        if not entry["conserved"]
    )


def _end(record: Record) -> str:
    began_at = datetime.datetime.fromisoformat(record["began_at"])
    return (began_at + datetime.timedelta(seconds=record["seconds"])).isoformat(timespec="microseconds")
