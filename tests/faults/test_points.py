# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Points all along a run, drawn by a seeded generator, at which everything is killed, or a server's process, or a line.

The seed is FAULTS_SEED, the number of points FAULTS_POINTS; a point's name has its number and what is done there.
"""

from __future__ import annotations

import functools
import os
import random
import re
import threading
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.goals import LoadMode
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.transfer import Way

from tests.faults.aftermath import assert_next_run_succeeds, assert_old_or_new
from tests.faults.places import Side
from tests.faults.proxy import Message
from tests.faults.scene import By, Scene, new_scene
from tests.faults.servers import kill_backend, wait_for_recovery
from tests.servers import Servers

SEED: t.Final = int(os.environ.get("FAULTS_SEED", "20261122"))
POINTS: t.Final = int(os.environ.get("FAULTS_POINTS", "100"))
#: The first points are tried by `make test`, too.
_QUICK: t.Final = 3

#: What is killed: the run with all its processes, the server's process of a session, or the connection.
Victim = t.Literal["run", "backend", "connection"]

#: What makes or unmakes something, where a fault tells most.
_TELLING: t.Final = re.compile(
    rb"(?m)^(COPY|CREATE|ALTER|DROP|COMMENT|COMMIT|TRUNCATE|REFRESH|SELECT pg_catalog.setval)"
)


class Point(t.NamedTuple):
    """Where on the way, as a share of all its events or of the telling ones, and what."""

    share: float
    telling: bool
    victim: Victim
    by: By
    load_mode: LoadMode
    transfer: Way
    #: whether the source is frozen at the end; of playbooks alone
    short: bool


def _points() -> t.Iterator[t.Any]:
    generator = random.Random(SEED)  # noqa: S311 - nothing secret
    for number in range(POINTS):
        victim = generator.choices(t.get_args(Victim), (4, 2, 1))[0]
        by: By = "playbook" if number % 10 == 9 else "engine"
        load_mode: LoadMode = "in_place" if number % 3 == 2 else "swap"
        point = Point(
            generator.random(),
            generator.random() < 0.5,
            victim,
            by,
            load_mode,
            "stream" if (number + number // 10) % 2 else "archive",
            by == "playbook" and load_mode == "swap" and number // 20 % 2 == 1,
        )
        marks = () if number < _QUICK else pytest.mark.faults
        name = f"{SEED}-{number}-{point.victim}-{point.by}-{point.load_mode}-{point.transfer}"
        name += "-short" if point.short else ""
        yield pytest.param(point, id=name, marks=marks)


class Events:
    """The messages that count, of both sides, in the order in which they come by."""

    def __init__(self, scene: Scene) -> None:
        """Count, and do nothing yet."""
        #: the statement that each belongs to
        self.seen: list[bytes] = []
        self._at: int | None = None
        #: whether that which was to be done was done
        self.reached = False
        self._act: t.Callable[[Side, Message], None] | None = None
        self._lock = threading.Lock()
        for side in t.get_args(Side):
            scene.proxies[side].at(self._count, functools.partial(self._do, side), once=False)

    def at(self, number: int, act: t.Callable[[Side, Message], None]) -> None:
        """Do something at an event."""
        self._at, self._act = number, act

    def _count(self, message: Message) -> bool:
        kinds = ("startup", "Q", "P", "d", "c") if message.origin == "client" else ("C", "c")
        if message.kind not in kinds:
            return False
        with self._lock:
            self.seen.append(message.link.statement)
            return len(self.seen) - 1 == self._at

    def _do(self, side: Side, message: Message) -> None:
        assert self._act
        self.reached = True
        print(message)
        self._act(side, message)


Rehearse = t.Callable[[By, LoadMode, Way, bool], list[bytes]]


@pytest.fixture(scope="session")
def rehearse(fault_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Rehearse:
    """Give what tells the events of an undisturbed run."""

    @functools.cache
    def events(by: By, load_mode: LoadMode, transfer: Way, short: bool) -> list[bytes]:
        folder = tmp_path_factory.mktemp("rehearsal")
        with new_scene(fault_servers.source(), fault_servers.target(), folder) as scene:
            scene.load_mode, scene.transfer, scene.short = load_mode, transfer, short
            counted = Events(scene)
            rc, words = scene.start(by).finish()
            assert rc == 0, words
            return counted.seen

    return events


@pytest.mark.parametrize("point", list(_points()))
def test_point(scene: Scene, point: Point, rehearse: Rehearse) -> None:
    """One point, and the run after it."""
    scene.load_mode, scene.transfer, scene.short = point.load_mode, point.transfer, point.short
    if (point.load_mode, point.transfer) == ("swap", "archive"):
        # The second run restores what the first has dumped, and goes on where that was.
        scene.archive = scene.archive_root / "engine" / "kept"
    rehearsed = rehearse(point.by, point.load_mode, point.transfer, point.short)
    numbers = [n for n, statement in enumerate(rehearsed) if not point.telling or _TELLING.search(statement)]
    events = Events(scene)
    at = numbers[int(point.share * len(numbers))]
    print(f"event {at} of {len(rehearsed)}: ", end="")

    def act(side: Side, message: Message) -> None:
        if point.victim == "run":
            assert scene.run.kill()
        elif point.victim == "backend" and message.link.backend_pid:
            kill_backend(scene, side, message)
        else:
            message.link.reset()

    events.at(at, act)
    rc, words = scene.start(point.by).finish()
    print(words)
    for side in t.get_args(Side):
        wait_for_recovery(side, scene)
    scene.heal()
    assert events.reached or rc == 0, words
    if point.victim != "run" and rc != 0:
        assert re.search("connection|closed|reset|lost|crash|recovery|administrator", words), words
    assert_old_or_new(scene, rc, words)
    assert_next_run_succeeds(scene, point.by)
    if not events.reached:
        pytest.skip("the run was over before its point: it had fewer events than the rehearsed one")
