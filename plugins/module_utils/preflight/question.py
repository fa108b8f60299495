# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is told before the live database is replaced: in their words, what there is, and what becomes of it."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ..catalog.selection import Name
from .goals import LoadMode
from .row_counts import Counts

#: How many tables are named of those that lose rows, and of those that gain some.
_NAMED: t.Final = 8
#: What cannot be seen where rows are counted.
_BY_NUMBER: t.Final = "(rows are counted here: one that is replaced by another is not seen)"


@dataclasses.dataclass(frozen=True)
class Past:
    """An earlier run of this or another host, as its report tells."""

    host: str
    run_id: str
    status: str
    ended_at: str
    #: the source's size then, in bytes, if that is known
    size: int | None
    #: how long it took until a verified copy was there, and how long the live database was replaced, in seconds
    copying: float
    switching: float | None


@dataclasses.dataclass(frozen=True)
class History:
    """What earlier runs tell of this one."""

    #: the last that replaced this live database
    last: Past | None = None
    #: the last of the same way by which it can be told how long this one will take
    rate: Past | None = None
    #: the last runs of other hosts with the same source, or the same archive
    tried: tuple[Past, ...] = ()


@dataclasses.dataclass(frozen=True)
class Standing:
    """What is known of both sides."""

    live: str
    exists: bool
    #: by tables; or why they are not counted
    theirs: Counts | str
    ours: Counts | str
    #: who is connected, if anybody is
    clients: str
    #: what is kept of what was live
    undo: str
    #: the source's size in bytes
    size: int | None
    load_mode: LoadMode = "swap"
    #: whether a copy is made; not if what was live before returns
    copies: bool = True


def put_question(standing: Standing, history: History) -> list[str]:
    """Return what is told: of each matter a heading, and a line or more."""
    told = [("live now", [_tell_live(standing, history.last)])]
    if standing.exists:
        told += _tell_rows(standing)
        told.append(("connected", [standing.clients or "nobody, as far as the target's user may see"]))
    told.append(("the undo", [standing.undo]))
    told.append(("time", _tell_time(standing, history.rate)))
    tried = [f"on {run.host} at {_moment(run.ended_at)}: {run.status} (run {run.run_id})" for run in history.tried]
    told.append(("tried", tried or ["not yet on another target, as far as the reports here tell"]))
    width = max(len(heading) for heading, _ in told)
    return [
        f"{'' if number else heading:{width}}  {line}" for heading, lines in told for number, line in enumerate(lines)
    ]


def _tell_live(standing: Standing, last: Past | None) -> str:
    if not standing.exists:
        return f'there is no "{standing.live}" yet'
    held = standing.theirs
    told = f'"{standing.live}"'
    if not isinstance(held, str):
        told += f", {_counted(len(held), 'table')} with {_counted(sum(held.values()), 'row')}"
    if last:
        return f"{told}; its content is of {_moment(last.ended_at)} (run {last.run_id}) and of what clients did since"
    return f"{told}; no run that is known here has filled it"


def _tell_rows(standing: Standing) -> t.Iterator[tuple[str, list[str]]]:
    ours, theirs = standing.ours, standing.theirs
    if isinstance(ours, str) or isinstance(theirs, str):
        reason = ours if isinstance(ours, str) else theirs
        yield "rows", [f"which tables lose or gain some is not known: {reason}"]
        return
    lost = {name: count - ours.get(name, 0) for name, count in theirs.items() if count > ours.get(name, 0)}
    gained = {name: count - theirs.get(name, 0) for name, count in ours.items() if count > theirs.get(name, 0)}
    yield "lost", [*(_tell_tables(lost, "fewer", ours.keys()) or ["no table has fewer rows"]), _BY_NUMBER]
    yield "gained", _tell_tables(gained, "more", theirs.keys()) or ["no table has more rows"]


def _tell_tables(changes: t.Mapping[Name, int], how: str, elsewhere: t.Collection[Name]) -> list[str]:
    most = sorted(changes.items(), key=lambda change: (-change[1], change[0]))
    named = [
        f"{'.'.join(name)}: {_counted(count, 'row')} {how}" + ("" if name in elsewhere else f", {_WHOLE[how]}")
        for name, count in most[:_NAMED]
    ]
    return [*named, f"and {_counted(len(most) - _NAMED, 'table')} more"] if len(most) > _NAMED else named


#: What is said of a table that one side alone has.
_WHOLE: t.Final = {"fewer": "and the table goes", "more": "in a table that is new"}


def _tell_time(standing: Standing, rate: Past | None) -> list[str]:
    if rate is None:
        return [f"not known: no earlier run of this host {_UNKNOWN[standing.load_mode, standing.copies]}"]
    scale = standing.size / rate.size if standing.size and rate.size else 1.0
    told, who, waiting = [], "clients wait", rate.switching
    if standing.load_mode == "sync":
        who = "clients who write wait"
    elif standing.load_mode == "in_place":
        told = [f"about {_duration(rate.copying * scale)} for dump and backup"]
        waiting = waiting and waiting * scale
    elif standing.copies:
        told = [f"about {_duration(rate.copying * scale)} for the copy"]
    if waiting is not None:
        told.append(f"{who} for about {_duration(waiting)}, as they did then")
    return [f"{told[0]}, by run {rate.run_id}", *told[1:]]


#: By the way in which the live database gets its new content, and whether a copy is made.
_UNKNOWN: t.Final[dict[tuple[LoadMode, bool], str]] = {
    ("swap", True): "tells; playbooks/rehearse.yml would",
    ("swap", False): "has switched",
    ("in_place", True): "has filled it in place",
    ("sync", True): "has brought only what differs",
}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _moment(moment: str) -> str:
    try:
        return f"{datetime.datetime.fromisoformat(moment).astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return moment


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
