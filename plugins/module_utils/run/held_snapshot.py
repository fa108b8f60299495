# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The snapshot of a run whose rows are streamed, from the stage that describes it to the one that reads its rows.

Stages are processes of their own, so another one, in the background, has the session that exported it, with its locks.
"""

from __future__ import annotations

import contextlib
import pathlib
import signal

from ..catalog.selection import Patterns, tables_to_hold
from ..catalog.snapshot import exported_snapshot
from ..container.route import open_route
from ..server.endpoint import Endpoint, Session
from .held_session import BackgroundSession, hold_session


def hold_snapshot(source: Endpoint, patterns: Patterns, lock_file: pathlib.Path, playbook_pid: int) -> str:
    """Take a snapshot of the source, and have a process hold it, so that others can import it; return its name.

    Call it before anything is connected to a server.

    :param patterns: which tables nobody can truncate, rewrite or drop meanwhile
    :param lock_file: of the process that holds it, which also ends with ansible-playbook
    :raises MigrationError: when the source cannot be entered, or a lock cannot be had
    """
    background = BackgroundSession("the snapshot of the source", source, lock_file, playbook_pid)
    return hold_session(background, lambda stack: _open(stack, source, patterns))


def _open(stack: contextlib.ExitStack, source: Endpoint, patterns: Patterns) -> tuple[Session, str]:
    # The way into a container has a folder and programs of its own, which must not stay behind.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    reached = stack.enter_context(open_route(source))
    snapshot = stack.enter_context(exported_snapshot(reached, tables_to_hold(patterns)))
    return snapshot.session, snapshot.name
