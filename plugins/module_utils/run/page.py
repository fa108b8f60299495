# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of HTML: a run's report, and the history of all runs. Each is one file that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import pathlib
import typing as t

import jinja2

from .folder import Record
from .history import Entry
from .presentation import HEADLINES, consequence, counted, judged, number, shown, spoken, summarize, visible
from .progress_line import duration, size
from .report import REACHED, Report

#: A row's ways, in a report's ledger.
_STATIONS: t.Final = {"snapshot": "Snapshot", "sent": "Sent", "received": "Received", "target": "Target"}


def render(report: Report, templates: pathlib.Path) -> str:
    """Return a report as a page.

    :param templates: the folder of the pages' templates
    """
    return _render(
        templates,
        "report.html.j2",
        report=report,
        reached=report["status"] in REACHED,
        headline=HEADLINES[report["status"]],
        summary=summarize(report),
        consequence=consequence(report),
        stations=add_up(report["ledger"]),
        waterfall=line_up(report["timings"]),
    )


def render_history(hosts: t.Mapping[str, t.Sequence[Entry]], templates: pathlib.Path) -> str:
    """Return the history of all hosts' runs, each host's newest run first, as a page.

    :param templates: the folder of the pages' templates
    """
    return _render(templates, "history.html.j2", hosts=hosts, good=REACHED)


def add_up(ledger: t.Iterable[Record]) -> list[tuple[str, int, float]]:
    """Return the stations that all tables' rows have come to, each with how many were there and their share of all."""
    ledger = list(ledger)
    sums: list[tuple[str, int]] = []
    for station, name in _STATIONS.items():
        counts = [entry[f"{station}_rows"] for entry in ledger]
        if counts and any(count is not None for count in counts):
            sums.append((name, sum(count or 0 for count in counts)))
    most = max((count for _, count in sums), default=0)
    return [(name, count, count / most if most else 0) for name, count in sums]


def line_up(timings: t.Mapping[str, float]) -> list[tuple[str, float, float, float]]:
    """Return the stages, one after the other: name, seconds, and where each begins and how long it is, as shares."""
    total, began, lined = sum(timings.values()), 0.0, []
    for stage, seconds in timings.items():
        lined.append((stage, seconds, began / total if total else 0, seconds / total if total else 0))
        began += seconds
    return lined


def _render(templates: pathlib.Path, name: str, **content: object) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests.update(unfinished=_unfinished)
    environment.filters.update(
        judged=judged,
        shown=shown,
        visible=visible,
        number=number,
        counted=counted,
        spoken=spoken,
        size=size,
        duration=duration,
    )
    script = (templates / "filter.js").read_text(encoding="utf-8")
    # Whatever a name from a database would try: this script runs, and no other.
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(name).render(script=script, script_hash=allowed, **content)


def _unfinished(entry: Record) -> bool:
    """Whether a table's rows are not all there only because the run broke off on their way."""
    counts = {entry[f"{station}_rows"] for station in _STATIONS}
    return None in counts and len(counts) <= 2
