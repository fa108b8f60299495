# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of all runs: each leaves a few lines beside its report, so that nobody need read all reports."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import typing as t

from .folder import RunFolder, write_private
from .presentation import summarize
from .report import Report

#: How many runs of a host are told of, the newest ones.
_MOST: t.Final = 100
_FILE: t.Final = "summary.json"


class Entry(t.TypedDict):
    """A run, in short. ``seconds``, ``size`` (the source's, in bytes) and ``rows`` are None where nobody knows."""

    host: str
    run_id: str
    goal: str
    status: str
    summary: str
    began_at: str | None
    seconds: float | None
    size: int | None
    rows: int | None


def sum_up(report: Report) -> Entry:
    """Return what is kept of a report."""
    began, ended = report["began_at"], report["ended_at"]
    source = report["source"] or {}
    rows = [table["source_rows"] for table in report["tables"] if table.get("kind", "table") == "table"]
    rows = rows or [table["snapshot_rows"] for table in report["ledger"]]
    return {
        "host": report["host"],
        "run_id": report["run_id"],
        "goal": report["goal"],
        "status": report["status"],
        "summary": summarize(report),
        "began_at": began,
        "seconds": _seconds(began, ended) if began and ended else None,
        "size": source.get("size"),
        "rows": sum(count or 0 for count in rows) if rows else None,
    }


def keep(entry: Entry, folder: RunFolder) -> None:
    """Leave a run's entry in its folder."""
    write_private(folder.path / _FILE, json.dumps(entry, indent=1, ensure_ascii=False) + "\n")


def read_history(runs_root: pathlib.Path) -> dict[str, list[Entry]]:
    """Return each host's newest runs, the newest first. A run without an entry, or with a broken one, is left out."""
    history = {}
    for host in sorted(runs_root.iterdir()):
        if not host.is_dir():
            continue
        newest = sorted((run for run in host.iterdir() if not run.is_symlink()), reverse=True)[:_MOST]
        if entries := [entry for run in newest if (entry := _read(run / _FILE))]:
            history[host.name] = entries
    return history


@contextlib.contextmanager
def alone_in(runs_root: pathlib.Path) -> t.Iterator[None]:
    """Keep others from writing the history meanwhile: runs of several hosts may end together."""
    descriptor = os.open(runs_root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: pathlib.Path) -> Entry | None:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and found.keys() == Entry.__annotations__.keys():
            return t.cast(Entry, found)
    return None


def _seconds(began: str, ended: str) -> float:
    return (datetime.datetime.fromisoformat(ended) - datetime.datetime.fromisoformat(began)).total_seconds()
