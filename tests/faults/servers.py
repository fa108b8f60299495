# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers and their processes that die, of a kill -9 or because an administrator ends them."""

from __future__ import annotations

import functools
import os
import signal
import typing as t
from pathlib import Path

import psycopg
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab import programs
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.goals import LoadMode

from tests.faults import places
from tests.faults.fault import Fault
from tests.faults.places import Place, Side
from tests.faults.proxy import Message, Watch
from tests.faults.scene import Scene
from tests.playbooks import wait_until
from tests.servers import PostgresServer

#: Where a run is when it happens; a server's end reaches all its sessions, and any of them may be the first to tell.
_PLACES: t.Final[tuple[Place, ...]] = (
    ("pg-dump", "source", places.pg_dump_begins, "pg_dump of the source database"),
    ("copy-start", "source", places.copy_start, "source database"),
    ("copy-middle", "source", places.copy_middle, "source database"),
    ("copy-middle", "target", places.copy_middle, ""),
    ("copy-end", "target", places.copy_end, ""),
    ("index", "target", places.index_built, ""),
    ("in-switch", "target", places.last_rename, "during the switch|The switch did not happen"),
    ("commit-of-switch", "target", places.commit_of_switch, "during the switch|The switch did not happen"),
    ("answer-to-switch", "target", places.commit_of_switch_answered, "The switch has happened"),
)
_PLACES_IN_PLACE: t.Final[tuple[Place, ...]] = (
    ("clearing", "target", places.clearing, "Cannot clear the live database"),
    ("copy-middle", "target", places.copy_middle, ""),
    ("commit", "target", places.commit_of_replacement, "The commit failed|at the commit"),
    ("answer-to-commit", "target", places.commit_of_replacement_answered, "The commit failed|at the commit"),
)


def _server(scene: Scene, side: Side) -> PostgresServer:
    return scene.source.server if side == "source" else scene.target.server


def _data(server: PostgresServer) -> Path:
    return server.server.folder / "data"


def _children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()))


def _kill_postmaster(scene: Scene, side: Side, message: Message) -> None:
    """End all of a server at once; nothing that it has not written down stays."""
    postmaster = int((_data(_server(scene, side)) / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    # Not able to start another child, for one that has gone before it.
    os.kill(postmaster, signal.SIGSTOP)
    family = {postmaster, *_children(postmaster)}
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    # A process that has ended and that nobody has taken note of would still count as the server.
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))


def _start_again(side: Side, scene: Scene) -> None:
    server = _server(scene, side)
    command = [str(server.bindir / "pg_ctl"), "start", "--wait", f"--pgdata={_data(server)}"]
    log = f"--log={server.server.folder / 'log'}"
    answer = programs.run(programs.server_command([*command, log, f"--options=-p {server.port}"]))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def kill_backend(scene: Scene, side: Side, message: Message) -> None:
    """End one session's process, whereupon the server ends all others and recovers."""
    os.kill(message.link.backend_pid, signal.SIGKILL)
    # The message goes on only when the server has come to know of it.
    wait_until(lambda: not Path(f"/proc/{message.link.backend_pid}").exists())


def _terminate_backend(scene: Scene, side: Side, message: Message) -> None:
    with _server(scene, side).connect() as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", (message.link.backend_pid,))


def wait_for_recovery(side: Side, scene: Scene) -> None:
    """Wait until the server has recovered."""

    def answers() -> bool:
        try:
            _server(scene, side).connect().close()
        except psycopg.OperationalError:
            return False
        return True

    wait_until(answers)


Deed = t.Callable[[Scene, Side, Message], None]


def _arm(deed: Deed, load_mode: LoadMode, side: Side, watch: Watch, scene: Scene) -> None:
    scene.load_mode = load_mode
    scene.proxies[side].at(watch, lambda message: deed(scene, side, message))


def _faults(load_mode: LoadMode, table: t.Iterable[Place], prefix: str = "") -> t.Iterator[Fault]:
    for place, side, watch, doing in table:
        for what, deed, words, repair in (
            (
                "postmaster-killed",
                _kill_postmaster,
                "closed the connection|reset by peer|lost|postmaster",
                _start_again,
            ),
            (
                "backend-killed",
                kill_backend,
                "crash|recovery|closed the connection|reset by peer|lost",
                wait_for_recovery,
            ),
            (
                "backend-terminated",
                _terminate_backend,
                "administrator command|closed the connection|lost",
                wait_for_recovery,
            ),
        ):
            yield Fault(
                f"{prefix}{what}-at-{place}-of-{side}",
                functools.partial(_arm, deed, load_mode, side, watch),
                f"({doing})(.|\n)*({words})",
                # A session that has sent all it has, be it into buffers, is not needed any more.
                may_succeed=place in ("answer-to-switch", "answer-to-commit")
                or (side == "source" and place == "copy-middle"),
                tidy=side == "source" or deed is _terminate_backend,
                repair=functools.partial(repair, side),
            )


FAULTS: t.Final = (*_faults("swap", _PLACES), *_faults("in_place", _PLACES_IN_PLACE, "in-place-"))
