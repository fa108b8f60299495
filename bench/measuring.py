# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring one work: ours and the peers by turns."""

from __future__ import annotations

import contextlib
import datetime
import typing as t

from bench import timeline
from bench.line import Line
from bench.ours import Controller, OwnRun
from bench.own_ways import OWN_WAYS
from bench.pair import Pair
from bench.peers import missing, run_peer
from bench.results import Figures, Measured
from bench.works import Work

_DATABASE: t.Final = "app"
_COPYING: t.Final = ("dump", "schema_restore", "data_restore")


def measure(work: Work, pair: Pair, scale: float, rounds: int) -> Measured:
    """Load a work's database and move it in every way, round by round.

    :raises RuntimeError: when we fail; a peer's failure is noted, and it is not tried again
    """
    _say(f"{work.name}: loading, scale {scale:g}")
    work.load(pair, _DATABASE, scale)
    size = int(pair.source.psql(_DATABASE, "SELECT pg_database_size(current_database())"))
    measured = Measured(work.name, scale, size, {})
    try:
        for number in range(1, rounds + 1):
            _say(f"{work.name}: round {number} of {rounds}, {size / 1e6:.0f} MB")
            _measure_ours(work, pair, measured)
            for peer in work.peers:
                if peer not in missing() and peer not in measured.failed:
                    _measure_peer(work, pair, peer, measured)
    finally:
        pair.drop(_DATABASE)
    return measured


def _measure_ours(work: Work, pair: Pair, measured: Measured) -> None:
    """Migrate into an empty database, once more when there is nothing to do, and whatever else the work asks for."""
    controller = Controller(pair)
    for name in work.ours:
        way = OWN_WAYS[name]
        way.prepare(pair, _DATABASE)
        with _way(work, pair, way.counted) as line:
            run = way.run(controller, pair, _DATABASE, _port(line, pair))
        _note(measured, name, _figures(run, line))


def _measure_peer(work: Work, pair: Pair, peer: str, measured: Measured) -> None:
    pair.empty_target(_DATABASE)
    try:
        with _way(work, pair) as line:
            seconds, watch = run_peer(peer, pair, _DATABASE, _port(line, pair))
    except RuntimeError as error:
        measured.failed[peer] = str(error)
        _say(f"  {peer} failed: {error}")
    else:
        _note(measured, peer, Figures(seconds, watch.peak, line=line.counts if line else None))


def _way(work: Work, pair: Pair, counted: bool = False) -> contextlib.AbstractContextManager[Line | None]:
    """Give the line to the target, if there is one."""
    port = pair.target.port
    assert port
    return Line(port, one_way=work.one_way) if work.one_way or counted else contextlib.nullcontext()


def _port(line: Line | None, pair: Pair) -> int:
    port = line.port if line else pair.target.port
    assert port
    return port


def _figures(run: OwnRun, line: Line | None) -> Figures:
    copying = [run.records[stage]["seconds"] for stage in _COPYING if stage in run.records]
    return Figures(
        run.seconds,
        run.watch.peak,
        copy_seconds=sum(copying) if copying else None,
        freeze_seconds=_seconds(run.report["freeze"]) if run.report.get("freeze") else None,
        archive=run.records.get("dump", {}).get("bytes"),
        line=line.counts if line else None,
        parts=timeline.sums(timeline.spans(run)),
    )


def _seconds(freeze: t.Mapping[str, str]) -> float:
    began, ended = (datetime.datetime.fromisoformat(freeze[name]) for name in ("began_at", "ended_at"))
    return (ended - began).total_seconds()


def _note(measured: Measured, name: str, figures: Figures) -> None:
    measured.runs.setdefault(name, []).append(figures)
    crossed = f", {figures.line}" if figures.line else ""
    _say(f"  {name:17} {figures.seconds:8.2f} s, {figures.peak / 1e6:5.0f} MB{crossed}")


def _say(text: str) -> None:
    print(text, flush=True)
