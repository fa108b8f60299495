# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The freeze of a source, from the stage that brings what has moved to the one that switches.

Another process, in the background, has the session that locks its tables. It lets go when it is ended, when
ansible-playbook has ended, when the source's server breaks the connection, or at the limit: either the limit or the
switch comes first, and whichever does, notes so in a file that can be made but once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import signal
import time
import typing as t

from ..catalog.freeze import frozen
from ..catalog.selection import Patterns, tables_to_hold
from ..catalog.snapshot import Snapshot, exported_snapshot, imported_snapshot
from ..container.route import open_route
from ..errors import MigrationError
from ..schedule.progress import waiting
from ..server.endpoint import Endpoint, Session
from .background import end_background
from .folder import Record, RunFolder, write_private
from .held_session import BackgroundSession, hold_session

#: How often the session is asked whether it still lives.
_LOOK_SECONDS: t.Final = 1


@dataclasses.dataclass
class Clock:
    """The source's clock, by this machine's: what it showed when the freeze began, and what has passed since."""

    folder: RunFolder
    limit: int
    snapshot: str = ""
    began_at: datetime.datetime | None = None
    began: float = 0
    ended_by: str = "lost"

    def start(self, snapshot: str, now: datetime.datetime) -> None:
        self.snapshot, self.began_at, self.began = snapshot, now, time.monotonic()
        self._write(None)

    def stop(self) -> None:
        """To be called before the lock is let go: what was committed by then is known to be in the snapshot."""
        if self.began_at:
            self._write(self.began_at + datetime.timedelta(seconds=time.monotonic() - self.began))

    @property
    def left(self) -> float:
        return self.limit - (time.monotonic() - self.began)

    def go_on(self) -> bool:
        """Wait a moment; return whether the session is held any longer."""
        time.sleep(min(_LOOK_SECONDS, max(self.left, 0)))
        if self.left <= 0 and decide(self.folder, "limit"):
            self.ended_by = "limit"
            return False
        if self.left <= 0:
            # The switch has begun, and takes its few seconds.
            time.sleep(_LOOK_SECONDS)
        return True

    def _write(self, ended_at: datetime.datetime | None) -> None:
        told = {
            "began_at": _spell(self.began_at),
            "ended_at": _spell(ended_at),
            "ended_by": self.ended_by if ended_at else None,
            "limit": self.limit,
            "held_since": self.began,
            "snapshot": self.snapshot,
        }
        write_private(self.folder.freeze_record, json.dumps(told, indent=1) + "\n")


def _spell(moment: datetime.datetime | None) -> str | None:
    return moment.astimezone(datetime.UTC).isoformat(timespec="microseconds") if moment else None


def hold_freeze(source: Endpoint, patterns: Patterns, folder: RunFolder, playbook_pid: int, limit: int) -> Record:
    """Freeze the source's tables, and have a process hold that; return what is known of the freeze.

    Call it before anything is connected to a server.

    :param limit: after how many seconds it lets go, unless the switch has begun
    :raises MigrationError: when the source cannot be entered, or a lock cannot be had
    """
    clock = Clock(folder, limit)
    background = BackgroundSession("the freeze of the source", source, folder.freeze, playbook_pid)
    hold_session(background, lambda stack: _open(stack, source, patterns, clock), clock.go_on)
    return folder.read_freeze() or {}


def _open(stack: contextlib.ExitStack, source: Endpoint, patterns: Patterns, clock: Clock) -> tuple[Session, str]:
    # The way into a container has a folder and programs of its own, which must not stay behind.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    reached = stack.enter_context(open_route(source))
    snapshot = stack.enter_context(frozen(reached, tables_to_hold(patterns)))
    row = snapshot.session.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    assert row is not None
    clock.start(snapshot.name, row[0])
    stack.enter_context(_stopped(clock))
    return snapshot.session, snapshot.name


@contextlib.contextmanager
def _stopped(clock: Clock) -> t.Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        clock.ended_by = "run"
        raise
    finally:
        clock.stop()


def tell_waiting(record: Record) -> contextlib.AbstractContextManager[None]:
    """Tell people in the block since when the source is frozen, and for how long it will be at most."""
    return waiting(f"source frozen since {record['began_at'][11:19]} UTC", record["held_since"], record["limit"])


def decide(folder: RunFolder, who: str) -> bool:
    """Return whether it is this one who comes first."""
    try:
        descriptor = os.open(folder.freeze_decision, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="ascii") as stream:
        stream.write(who)
    return True


@contextlib.contextmanager
def let_go_on_failure(folder: RunFolder) -> t.Iterator[None]:
    """Let the source's writers go on if the block fails; what ended the freeze before, is told in its place.

    :raises MigrationError: when the freeze has ended in the block
    """
    try:
        yield
        require_frozen(folder)
    except BaseException as error:
        if folder.freeze.exists():
            end_background(folder.freeze)
        if isinstance(error, MigrationError):
            require_frozen(folder, error)
        raise


def require_frozen(folder: RunFolder, error: MigrationError | None = None) -> None:
    """Make sure that the freeze has not ended by itself.

    :param error: what has failed, perhaps since it has ended
    :raises MigrationError: when it has
    """
    record = folder.read_freeze() or {}
    outcome = error.outcome if error else None
    if record.get("ended_by") == "limit":
        raise MigrationError(
            f"The freeze of the source was let go after {record['limit']} seconds, its limit (freeze_timeout), before "
            "all was brought and judged. The application goes on with the source as before. Raise freeze_timeout, or "
            "run when less is written, and run again.",
            *([outcome] if outcome else []),
        ) from None
    if record.get("ended_by") == "lost":
        raise MigrationError(
            "The freeze of the source was lost: the connection that held its locks broke, or its server has ended. The "
            "application goes on with the source as before. See that its server is up, and run again.",
            *([outcome] if outcome else []),
        ) from None


@contextlib.contextmanager
def kept_until_committed(
    source: Endpoint, folder: RunFolder, look: t.Callable[[Snapshot], None]
) -> t.Iterator[t.Callable[[], object]]:
    """Let the block replace the live database while the source is frozen; afterwards its writers go on.

    Give what lets them go on as soon as that is committed.

    :param look: looks for what no lock keeps, in the source as it is then
    :raises MigrationError: when the freeze has ended, or what was raised by that look
    """
    try:
        if not decide(folder, "switch"):
            require_frozen(folder)
        record = folder.read_freeze() or {}
        with open_route(source) as reached, contextlib.ExitStack() as stack:
            try:
                stack.enter_context(imported_snapshot(reached, str(record.get("snapshot"))))
            except MigrationError as error:
                require_frozen(folder, error)
                raise
            look(stack.enter_context(exported_snapshot(reached)))
        with tell_waiting(record):
            yield lambda: end_background(folder.freeze)
    finally:
        end_background(folder.freeze)
