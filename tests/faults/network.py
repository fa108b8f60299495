# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that break: cut, closed, down for good, or silent, at telling places of a run."""

from __future__ import annotations

import functools
import os
import signal
import typing as t

from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.goals import LoadMode

from tests.faults import places
from tests.faults.fault import Fault
from tests.faults.places import Place, Side
from tests.faults.proxy import Message, Watch
from tests.faults.scene import Scene

Break = t.Callable[[Scene, Message], None]

#: Two tables are on their way at once: whichever has come to know of it first.
_READING: t.Final = r"Cannot read the rows of table public\.|psql on the source database"
_LOADING: t.Final = r"Cannot load the rows of table public\.wide"
#: The COPYs of several tables travel with one message: the first of them is told.
_BEGINNING: t.Final = r"Cannot load the rows of table public\.item"
#: Indexes are made together: which of them it was is not told.
_BUILDING: t.Final = r"Cannot create constraint public\.\w+ \w+_pkey"
_SWITCHING: t.Final = "during the switch|The switch did not happen"
#: Where, on which side, and what the run then says it was doing.
_PLACES: t.Final[tuple[Place, ...]] = (
    ("pg-dump", "source", places.pg_dump_begins, "pg_dump of the source database"),
    ("copy-start", "source", places.copy_start, _READING),
    ("copy-middle", "source", places.copy_middle, _READING),
    ("copy-end", "source", places.copy_end, _READING),
    ("copy-answer", "source", places.copy_answered, _READING),
    ("copy-start", "target", places.copy_start, _BEGINNING),
    ("copy-middle", "target", places.copy_middle, _LOADING),
    ("copy-end", "target", places.copy_end, _LOADING),
    ("copy-answer", "target", places.copy_answered, _LOADING),
    ("index", "target", places.index_built, _BUILDING),
    ("before-switch", "target", places.before_switch, _SWITCHING),
    ("in-switch", "target", places.last_rename, _SWITCHING),
    ("commit-of-switch", "target", places.commit_of_switch, _SWITCHING),
    ("answer-to-switch", "target", places.commit_of_switch_answered, _SWITCHING),
)
_COMMITTING: t.Final = "The commit failed|at the commit"
#: The same for a run in place, which loads in one session.
_PLACES_IN_PLACE: t.Final[tuple[Place, ...]] = (
    ("clearing", "target", places.clearing, "Cannot clear the live database"),
    ("copy-middle", "target", places.copy_middle, _LOADING),
    ("index", "target", places.index_built, _BUILDING),
    ("commit", "target", places.commit_of_replacement, _COMMITTING),
    ("answer-to-commit", "target", places.commit_of_replacement_answered, _COMMITTING),
)
_LOST: t.Final = "server closed the connection unexpectedly|Connection reset by peer|connection is lost"


def _reset(scene: Scene, message: Message) -> None:
    message.link.reset()


def _close(scene: Scene, message: Message) -> None:
    message.link.close()


def _go_down(scene: Scene, message: Message) -> None:
    message.link.proxy.go_down()


def _stall(scene: Scene, message: Message) -> None:
    # A server that is busy says nothing for as long as it likes: only a person can tell, and then it must end.
    message.link.stall()
    os.killpg(scene.run.process.pid, signal.SIGINT)


def _arm(break_: Break, load_mode: LoadMode, side: Side, place: Watch, scene: Scene) -> None:
    scene.load_mode = load_mode
    scene.proxies[side].at(place, functools.partial(break_, scene))


def _faults(load_mode: LoadMode, table: t.Iterable[Place], prefix: str = "") -> t.Iterator[Fault]:
    for place, side, watch, doing in table:
        for how, break_, words in (
            ("reset", _reset, f"({doing})(.|\n)*({_LOST})"),
            ("closed", _close, f"({doing})(.|\n)*({_LOST})"),
            # It reaches all sessions: any of them may be the first to tell.
            ("down", _go_down, f"{_LOST}|Cannot connect"),
            ("stalled", _stall, "interrupted|switch|commit"),
        ):
            name = f"{prefix}{place}-of-{side}-{how}"
            yield Fault(
                name,
                functools.partial(_arm, break_, load_mode, side, watch),
                words,
                may_succeed=place in ("answer-to-switch", "answer-to-commit"),
                tidy=how in ("reset", "closed") or (how == "down" and side == "source"),
            )


FAULTS: t.Final = (*_faults("swap", _PLACES), *_faults("in_place", _PLACES_IN_PLACE, "in-place-"))
