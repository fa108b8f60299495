# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an earlier verification of a host found different: to look at that again, or to bring it."""

from __future__ import annotations

import dataclasses
import glob
import json
import pathlib
import typing as t

from ..errors import MigrationError
from ..verdict.findings import Finding
from .report import Report

#: In place of a path: the newest one there is.
LATEST: t.Final = "latest"


@dataclasses.dataclass(frozen=True)
class Earlier:
    """A verification, and the tables that it found different, as patterns; none if more than tables did differ."""

    path: pathlib.Path
    run_id: str
    tables: tuple[str, ...]

    @property
    def findings(self) -> list[Finding]:
        """What the run is about: whoever reads "equal" shall know of what."""
        about = f"only what the verification {self.run_id} found different is looked at: {', '.join(self.tables)}."
        if not self.tables:
            about = f"the verification {self.run_id} found more than tables different: everything is looked at."
        return [Finding("notice", "rerun", "this run", about)]


def read_earlier(named: str, runs_root: pathlib.Path, host: str) -> Earlier:
    """Return what a verification found different.

    :param named: the path of its report.json, or "latest"
    :raises MigrationError: when there is no such report, it is of another host or kind, or it found nothing different
    """
    path = _find_latest(runs_root, host) if named == LATEST else pathlib.Path(named)
    report = _read(path)
    if report["host"] != host:
        about = f"{path} is a report on {report['host']}, and this run is about {host}"
        raise MigrationError(f"Nothing was changed. {about}.")
    if report["goal"] != "verify" or report["status"] not in ("equal", "different"):
        raise MigrationError(
            f"Nothing was changed. {path} is no verification that came to its end. Name a report.json that "
            "playbooks/verify.yml has left, or run that first."
        )
    if report["status"] == "equal":
        raise MigrationError(
            f"Nothing was changed, and nothing is to be: {path} found source and target equal. To look at everything "
            "again, run playbooks/verify.yml without rerun."
        )
    return Earlier(path, report["run_id"], tuple(sorted(map(_as_pattern, differing_tables(report)))))


def differing_tables(report: Report) -> set[tuple[str, str]]:
    """Return the tables that differ, by themselves or in a sequence of theirs; none if anything else does as well.

    Whoever looks at some tables alone does not see all of what else there is: functions, say, or large objects.
    """
    tables = {f"{table['kind']} {table['schema']}.{table['name']}": table for table in report["tables"]}
    owners = {f"sequence {sequence['name']}": sequence.get("owner") for sequence in report["sequences"]}
    found: set[tuple[str, str]] = set()
    for name in [difference["object"] for difference in report["differences"]]:
        table, owner = tables.get(name), owners.get(name)
        if table and table["kind"] != "materialized view" and None not in (table["source_rows"], table["target_rows"]):
            found.add((table["schema"], table["name"]))
        elif owner:
            found.add((owner[0], owner[1]))
        else:
            return set()
    return found


def _as_pattern(table: tuple[str, str]) -> str:
    """Return a pattern that matches the table; one whose schema has a dot in its name may match another one, too."""
    schema, name = map(glob.escape, table)
    return f"{schema.replace('.', '?')}.{name}"


def _find_latest(runs_root: pathlib.Path, host: str) -> pathlib.Path:
    runs = sorted((path for path in (runs_root / host).glob("[!.]*Z-*") if not path.is_symlink()), reverse=True)
    for run in runs:
        path = run / "report.json"
        if path.is_file() and _read(path)["goal"] == "verify":
            return path
    raise MigrationError(
        f"Nothing was changed. There is no report of a verification of {host} in {runs_root}. Run playbooks/verify.yml "
        "first."
    )


def _read(path: pathlib.Path) -> Report:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MigrationError(
            f"Nothing was changed. The report {path} cannot be read: {error.strerror}. Name the report.json of a "
            "verification, or latest."
        ) from None
    except ValueError:
        report = None
    if not isinstance(report, dict) or not report.keys() >= _KEYS:
        raise MigrationError(f"Nothing was changed. {path} is not a report of a run. Name a report.json.")
    return report


_KEYS: t.Final = frozenset({"host", "goal", "status", "run_id", "tables", "sequences", "differences"})
