# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of a run that are killed, and runs that are told to stop."""

from __future__ import annotations

import functools
import os
import signal
import typing as t

from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import wheel_bindir
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.goals import LoadMode

from tests.faults import places
from tests.faults.fault import Fault
from tests.faults.places import Side
from tests.faults.proxy import Message, Watch
from tests.faults.scene import By, Scene
from tests.playbooks import parent_of

#: Where a run is when it happens: load mode, side and message.
_PLACES: t.Final[dict[str, tuple[LoadMode, str, Watch]]] = {
    "dump": ("swap", "source", places.copy_middle),
    "load": ("swap", "target", places.copy_middle),
    "switch": ("swap", "target", places.last_rename),
    "switched": ("swap", "target", places.commit_of_switch_answered),
    "load-in-place": ("in_place", "target", places.copy_middle),
    "commit": ("in_place", "target", places.commit_of_replacement),
    "committed": ("in_place", "target", places.commit_of_replacement_answered),
}


def _is_main(scene: Scene, pid: int, line: str) -> bool:
    return pid == scene.run.process.pid


def _is_worker(scene: Scene, pid: int, line: str) -> bool:
    return parent_of(pid) == scene.run.process.pid


def _is_module(scene: Scene, pid: int, line: str) -> bool:
    """Tell whether this is what a worker of Ansible's runs."""
    return parent_of(parent_of(pid)) == scene.run.process.pid


def _is_program(name: str, scene: Scene, pid: int, line: str) -> bool:
    return line.partition(" ")[0].endswith(f"/{name}")


Which = t.Callable[[Scene, int, str], bool]


def _kill(scene: Scene, which: Which, message: Message | None = None) -> None:
    assert scene.run.kill(functools.partial(which, scene))


def _interrupt(scene: Scene, message: Message) -> None:
    """Do what a terminal does on Ctrl-C."""
    os.killpg(scene.run.process.pid, signal.SIGINT)


def _terminate(scene: Scene, message: Message) -> None:
    """Do what an init system does."""
    scene.run.process.terminate()


def _arm(place: str, act: t.Callable[[Scene, Message], None], scene: Scene) -> None:
    scene.load_mode, side, watch = _PLACES[place]
    scene.proxies[side].at(watch, functools.partial(act, scene))


def _killed(name: str, which: Which, place: str, reason: str, by: By = "playbook", *, tidy: bool = False) -> Fault:
    act = lambda scene, message: _kill(scene, which, message)  # noqa: E731 - partial() would bind the wrong end
    return Fault(f"{name}-killed-in-{place}", functools.partial(_arm, place, act), reason, by=by, tidy=tidy)


def _arm_program(name: str, side: Side, watch: Watch, scene: Scene) -> None:
    """Let the run have a client program that is killed from a moment on."""
    bindir, now = scene.folder / "bin", scene.folder / "now"
    bindir.mkdir()
    for program in ("psql", "pg_dump", "pg_restore"):
        (bindir / program).symlink_to(wheel_bindir() / program)
    killed = bindir / name
    killed.unlink()
    script = f'#!/bin/sh\ntest -e "{now}" && kill -KILL $$\nexec "{wheel_bindir()}/{name}" "$@"\n'
    killed.write_text(script, encoding="utf-8")
    killed.chmod(0o755)
    scene.client_bindir = str(bindir)
    scene.proxies[side].at(watch, lambda message: now.touch())


def _restore(scene: Scene) -> None:
    (scene.folder / "now").unlink()


def _faults() -> t.Iterator[Fault]:
    for place in _PLACES:
        yield _killed("main", _is_main, place, "")
        yield _killed("worker", _is_worker, place, "worker|dead|killed")
        yield _killed("module", _is_module, place, "was killed by signal 9")
        # On SIGTERM Ansible ends without a word.
        for name, act, reason in (("ctrl-c", _interrupt, "interrupted"), ("sigterm", _terminate, "")):
            # Once the last rename is on its way, it may be done before the interruption comes.
            tidy = place in ("dump", "load", "load-in-place")
            yield Fault(f"{name}-in-{place}", functools.partial(_arm, place, act), reason, by="playbook", tidy=tidy)
    yield _killed(
        "psql",
        functools.partial(_is_program, "psql"),
        "dump",
        "was killed by signal 9 in the middle",
        by="engine",
        tidy=True,
    )
    # What pg_dump asks first is asked ahead of it. Not at preflight's trial does pg_restore end.
    at_pg_dump = functools.partial(_arm_program, "pg_dump", "source", places.pg_dump_begins)
    yield Fault("pg_dump-killed", at_pg_dump, "pg_dump of the source database .* failed: .*killed", repair=_restore)
    at_pg_restore = functools.partial(_arm_program, "pg_restore", "target", places.staging_made)
    yield Fault("pg_restore-killed", at_pg_restore, "pg_restore .*killed", repair=_restore)


FAULTS: t.Final = tuple(_faults())
