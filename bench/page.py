# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/performance.md, made of results."""

from __future__ import annotations

import typing as t
from pathlib import Path

from bench import timeline
from bench.own_ways import OWN_WAYS
from bench.peers import TITLES
from bench.results import AGAIN, FIRST, Measured, Results
from bench.works import WORKS, Goal, Work

_NAMES: t.Final = {**{name: way.title for name, way in OWN_WAYS.items()}, **TITLES}
_FIGURES: t.Final = {
    "seconds": "wall",
    "copy_seconds": "dump and restore alone",
    "freeze_seconds": "the source frozen",
    "turns": "round trips",
    "connections": "connections",
    "down": "bytes down",
    "crossed": "bytes both ways",
    "peak": "memory of all processes",
}
#: A median of fewer rounds says little.
_ENOUGH: t.Final = 3
#: What no run of it tells: why a goal is missed.
_LIMITS: t.Final = Path(__file__).with_name("limits.md")
_HEAD: t.Final = """\
<!-- Made by `make bench`: do not edit. -->
# Performance

Measured by `make bench`, in rounds: in each of them every way moves the same database once, one after the other,
between two servers of one machine. Times are medians; a ratio is the median of the rounds' ratios, ours to the peer's.
Ours is the whole `ansible-playbook migrate.yml`, with every row compared; of the peers, only `pgcopydb compare data`
compares anything. All use 2 jobs. Seconds are this machine's, ratios say more.

How to run it, and how the far target is made: [bench/README.md](../bench/README.md).
"""


def render(results: Results) -> str:
    """Return the page."""
    works = {work.name: work for work in WORKS}
    lines = [_HEAD, *_remarks(results)]
    lines += ["", "| | |", "|---|---|", f"| machine | {results.machine} |"]
    lines += [f"| {name} | {version} |" for name, version in results.versions.items()]
    lines += ["", "## Goals", "", *_goals(results, works)]
    for measured in results.measured:
        lines += ["", f"## {works[measured.work].title}", "", *_table(measured, works[measured.work])]
        lines += ["", "Where the time of ours goes, in the run of median length:", "", *_parts(measured)]
    return "\n".join([*lines, "", _LIMITS.read_text(encoding="utf-8")])


def _remarks(results: Results) -> list[str]:
    """Return what keeps the figures from being all there is."""
    unmeasured = [work.name for work in WORKS if work.name not in {measured.work for measured in results.measured}]
    scaled = [f"{m.work} ({m.scale:g})" for m in results.measured if m.scale != 1]
    seldom = [m.work for m in results.measured if m.rounds < _ENOUGH]
    lines = ["**Not all is measured as it should be.**"] if seldom or scaled or unmeasured else []
    lines += [f"- In fewer than {_ENOUGH} rounds: {', '.join(seldom)}."] if seldom else []
    lines += [f"- Scaled: {', '.join(scaled)}."] if scaled else []
    lines += [f"- Not measured: {', '.join(unmeasured)}."] if unmeasured else []
    lines += [f"- Left out: {what}." for what in results.absent]
    lines += [f"- {peer} failed on {m.work}." for m in results.measured for peer in m.failed]
    return lines


def _goals(results: Results, works: dict[str, Work]) -> t.Iterator[str]:
    yield "| work | figure | measured | goal | |"
    yield "|---|---|---|---|---|"
    for measured in results.measured:
        for goal in works[measured.work].goals:
            value = _value(measured, goal)
            met = "met" if value is not None and value <= goal.at_most else "**missed**"
            what = _FIGURES[goal.figure] + ("" if goal.run == FIRST else f", {_short(goal.run)}")
            what += f", against {_short(goal.against)}" if goal.against else ""
            shown = "not measured" if value is None else _shown(goal, value)
            judged = value is not None and measured.scale == 1
            yield f"| {measured.work} | {what} | {shown} | {_shown(goal, goal.at_most)} | {met if judged else ''} |"


def _value(measured: Measured, goal: Goal) -> float | None:
    if goal.against:
        return measured.ratio(goal.run, goal.against, goal.figure)
    return measured.median(goal.run, goal.figure)


def _shown(goal: Goal, value: float) -> str:
    if goal.against:
        return f"{value:.2f}"
    if goal.figure in ("down", "crossed"):
        return f"{value / 1e6:.2f} MB"
    return {"seconds": f"{value:.1f} s", "peak": f"{value / 1e6:.0f} MB"}.get(goal.figure, f"{value:.0f}")


def _short(run: str) -> str:
    return _NAMES[run].removeprefix("**ours**, ")


def _table(measured: Measured, work: Work) -> t.Iterator[str]:
    counted = any(figures.line for runs in measured.runs.values() for figures in runs)
    scaled = "" if measured.scale == 1 else f", at scale {measured.scale:g} of what the title says"
    rounds = f"{measured.rounds} round{'' if measured.rounds == 1 else 's'}"
    yield f"The database has {measured.size / 1e6:,.0f} MB{scaled}."
    yield f"Measured on {measured.began[:10]}, of {measured.commit}, in {rounds}."
    yield ""
    archived = any(measured.median(run, "archive") for run in measured.runs)
    archive = " archive, MB |" if archived else ""
    line = " connections | round trips | MB up | MB down |" if counted else ""
    yield f"| | wall, s | ours to it | nothing to do to it | memory, MB |{archive}{line}"
    yield "|---|---|---|---|---|" + ("---|" if archived else "") + ("---|---|---|---|" if counted else "")
    for run in (*work.ours, *work.peers):
        if run not in measured.runs:
            continue
        seconds, peak = measured.median(run, "seconds"), measured.median(run, "peak")
        ratios = ["" if run in work.ours else f"{measured.ratio(ours, run):.2f}" for ours in (FIRST, AGAIN)]
        assert seconds is not None
        assert peak is not None
        cells = _cell(measured.median(run, "archive"), 1e6) if archived else ""
        cells += _crossed(measured, run) if counted else ""
        yield f"| {_NAMES[run]} | {seconds:.1f} | {' | '.join(ratios)} | {peak / 1e6:.0f} |{cells}"


def _cell(value: float | None, unit: float) -> str:
    return f" {value / unit:,.1f} |" if value else " |"


def _crossed(measured: Measured, run: str) -> str:
    """Return the cells of what crossed the line; empty ones where a run was not counted."""
    counts = [measured.median(run, figure) for figure in ("connections", "turns", "up", "down")]
    if None in counts:
        return " | | | |"
    connections, turns, up, down = (count or 0 for count in counts)
    return f" {connections:.0f} | {turns:.0f} | {up / 1e6:.2f} | {down / 1e6:.2f} |"


def _parts(measured: Measured) -> t.Iterator[str]:
    """Give a table of the parts; the columns are seconds, and seconds of processors."""
    first, again = (measured.typical(run).parts for run in (FIRST, AGAIN))
    # By the names under which they were measured, which may have been others then.
    stages = [what for what in first if what.startswith("stage ")]
    yield "| part | first run, s | its processor, s | nothing to do, s | its processor, s |"
    yield "|---|---|---|---|---|"
    for part in (what for what in first if what not in stages):
        rows = [part, *stages] if part == timeline.STAGE else [part]
        for what in rows:
            cells = [f"{value:.2f}" for parts in (first, again) for value in parts.get(what, (0.0, 0.0))]
            yield f"| {what} | {' | '.join(cells)} |"
