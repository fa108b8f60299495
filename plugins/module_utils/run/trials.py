# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reports of earlier runs tell of one that is about to begin."""

from __future__ import annotations

import itertools
import json
import pathlib
import typing as t

from ..preflight.question import History, Past, Standing
from .history import Entry, read_history

#: Runs that have made a copy and judged it.
_COPYING: t.Final = frozenset({"migrate", "restore", "rehearse"})
#: Those of them, and others, after which the live database has another content.
_REPLACED: t.Final = frozenset({"migrated", "repaired", "rolled_back"})
_BEFORE_SWITCH: t.Final = ("dump", "schema_restore", "data_restore", "compare", "backup")
_SWITCHING: t.Final = ("switch", "replace")
#: What makes a source the same; a container's address is not always known.
_SOURCE: t.Final = ("host", "port", "container", "dbname")
#: How many reports are read to find one of the same way.
_MOST: t.Final = 20

Report = t.Mapping[str, t.Any]


def read_trials(
    runs_root: pathlib.Path,
    host: str,
    source: t.Mapping[str, t.Any] | None,
    archive: pathlib.Path | None,
    standing: Standing,
) -> History:
    """Return what is known; a report that cannot be read tells nothing.

    :param source: as a report describes it; None if an archive stands for it
    :param standing: tells in which way the live database is to be replaced
    """
    entries = read_history(runs_root) if runs_root.is_dir() else {}
    own = entries.pop(host, [])
    last = next((past for entry in own if entry["status"] in _REPLACED and (past := _read(runs_root, entry))), None)
    ended_well = (entry for entry in own if entry["status"] in _REPLACED | {"rehearsed"})
    reports = (_report(runs_root, entry) for entry in itertools.islice(ended_well, _MOST))
    rate = next((_past(report) for report in reports if report and _is_of_that_way(report, standing)), None)
    tried = []
    for others in entries.values():
        for entry in others:
            report = _report(runs_root, entry) if entry["goal"] in _COPYING and entry["status"] != "unchanged" else None
            if report and _is_same(report, source, archive):
                tried.append(_past(report))
                break
    return History(last, rate, tuple(tried))


def _is_of_that_way(report: Report, standing: Standing) -> bool:
    """Whether it tells how long a run takes that replaces the live database in the same way."""
    if report.get("load_mode") != standing.load_mode:
        return False
    if standing.load_mode == "swap" and standing.copies:
        return report["goal"] in _COPYING
    return any(stage in report["timings"] for stage in _SWITCHING)


def _is_same(report: Report, source: t.Mapping[str, t.Any] | None, archive: pathlib.Path | None) -> bool:
    if archive:
        return report.get("archive") == str(archive)
    theirs = report.get("source") or {}
    return source is not None and all(source[key] == theirs.get(key) for key in _SOURCE)


def _read(runs_root: pathlib.Path, entry: Entry) -> Past | None:
    report = _report(runs_root, entry)
    return _past(report) if report else None


def _report(runs_root: pathlib.Path, entry: Entry) -> Report | None:
    try:
        report = json.loads((runs_root / entry["host"] / entry["run_id"] / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) and isinstance(report.get("timings"), dict) else None


def _past(report: Report) -> Past:
    timings, source = report["timings"], report.get("source") or {}
    switching = [timings[stage] for stage in _SWITCHING if stage in timings]
    return Past(
        report["host"],
        report["run_id"],
        report["status"],
        report["ended_at"] or "",
        source.get("size"),
        copying=sum(timings.get(stage, 0.0) for stage in _BEFORE_SWITCH),
        switching=switching[0] if switching else None,
    )
