# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session that outlives the stage which needs it first: a process in the background holds it."""

from __future__ import annotations

import contextlib
import json
import pathlib
import time
import typing as t

import psycopg

from ..errors import MigrationError, describe
from ..server.endpoint import Endpoint, Session
from .background import Tell, start_background
from .playbook_process import PlaybookProcess, interrupt_when_ended
from .unexpected import tell_unexpected

#: What lies in between may forget a connection over which nothing goes.
ALIVE_SECONDS: t.Final = 30

_ENDED: t.Final = (
    "The process that should hold {} has ended before it could say why. See that {} can be written, and that the "
    "machine has memory, and run again."
)

#: Opens the session; returns it, or None where there is nothing to hold, and what is to be told.
Open = t.Callable[[contextlib.ExitStack], tuple[Session | None, str]]


class BackgroundSession(t.NamedTuple):
    """The process that holds a session of a database."""

    #: what it holds, in the singular, for messages
    what: str
    endpoint: Endpoint
    #: which it locks for as long as it lives
    lock_file: pathlib.Path
    #: the process id of ansible-playbook, which it does not outlive
    playbook_pid: int


def _wait() -> bool:
    time.sleep(ALIVE_SECONDS)
    return True


def hold_session(background: BackgroundSession, open_session: Open, go_on: t.Callable[[], bool] = _wait) -> str:
    """Let a new process open a session and hold it; return what is to be told of it.

    Call it before anything is connected to a server. The process ends when its connection does.

    :param go_on: waits a moment, after which the server is asked for a sign of life; returns whether to hold it still
    :raises MigrationError: what opening it raised
    """
    return begin_to_hold(background, open_session, go_on)()


def begin_to_hold(
    background: BackgroundSession, open_session: Open, go_on: t.Callable[[], bool] = _wait
) -> t.Callable[[], str]:
    """Do so, and return what waits until it is open."""
    wait = start_background(background.lock_file, lambda tell: _hold(background, open_session, go_on, tell))

    def hear() -> str:
        told = wait()
        answer = json.loads(told) if told else {"error": _ENDED.format(background.what, background.lock_file)}
        if "error" in answer:
            raise MigrationError(answer["error"])
        return str(answer["told"])

    return hear


def _hold(background: BackgroundSession, open_session: Open, go_on: t.Callable[[], bool], tell: Tell) -> None:
    interrupt_when_ended(PlaybookProcess(background.playbook_pid))
    with contextlib.ExitStack() as stack:
        try:
            session, told = open_session(stack)
        except psycopg.Error as error:
            tell(json.dumps({"error": describe(error)}))
            return
        except MigrationError as error:
            tell(json.dumps({"error": str(error)}))
            return
        except Exception as error:  # noqa: BLE001 - nobody else could tell of it
            folder = background.lock_file.parent
            tell(json.dumps({"error": tell_unexpected(error, background.lock_file.name, folder, _without(background))}))
            return
        tell(json.dumps({"told": told}))
        while session and go_on():
            session.execute("SELECT")


def _without(background: BackgroundSession) -> t.Callable[[str], str]:
    """Return what takes the password out of a text."""
    password = background.endpoint.password
    return lambda text: text.replace(password, "********") if password else text
