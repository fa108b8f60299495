# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process beside the stages, which holds something for a run from one of its stages to another."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import signal
import typing as t

#: Above the descriptors that a module can have open by now.
_DESCRIPTORS: t.Final = 4096

Tell = t.Callable[[str], None]


def start_background(lock_file: pathlib.Path, hold: t.Callable[[Tell], None]) -> t.Callable[[], str]:
    """Let a new process run ``hold``; return what waits for what it tells, once. It tells nothing if it fails.

    It has nothing of this process but its memory: no terminal, no open file, no session of a server. Fork before any
    is opened. It locks the file, in which its process id is, for as long as it lives.
    """
    answer, tell = os.pipe()
    with open(lock_file, "w", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as locked:
        # A lock goes with what was opened: from now on the new process has it, and this one no more after the block.
        fcntl.flock(locked, fcntl.LOCK_EX)
        pid = os.fork()
        if pid == 0:
            try:
                _hold(hold, tell, locked.fileno())
            finally:
                # Never back into the caller's code, nor into what it has left for its own end.
                os._exit(0)
        locked.write(str(pid))
    os.close(tell)

    def wait() -> str:
        with open(answer, encoding="utf-8") as stream:
            return stream.read()

    return wait


def _hold(hold: t.Callable[[Tell], None], tell: int, locked: int) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    # First out of the way of the places that they get.
    kept = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (null, null, null, tell, locked)]
    for place, descriptor in enumerate(kept):
        os.dup2(descriptor, place)
    os.closerange(len(kept), _DESCRIPTORS)

    def answer(text: str) -> None:
        with open(3, "w", encoding="utf-8") as stream:
            stream.write(text)

    hold(answer)


def end_background(lock_file: pathlib.Path) -> bool:
    """End the process that locks the file, and wait until it has ended; return whether it was still there."""
    with open(lock_file, encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            # Locked, so the process id is still its own.
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(stream.read()), signal.SIGTERM)
            fcntl.flock(stream, fcntl.LOCK_SH)
            return True
    return False
