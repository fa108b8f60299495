# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of ansible-playbook. What works for it must not outlive it, even if it was killed."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
import typing as t

from ..schedule.signals import start_beside

#: How often a process is looked for where the system cannot wait for one that is not its parent's, in seconds.
_LOOK_SECONDS: t.Final = 0.1


class PlaybookProcess:
    """A process that is not a child of this one, watched until it ends."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._descriptor: int | None = None
        # Linux tells by a descriptor when a process ends, even before anybody has asked for its exit status.
        if hasattr(os, "pidfd_open"):
            # It fails if the process has ended already, or the kernel is older than 5.3.
            with contextlib.suppress(OSError):
                self._descriptor = os.pidfd_open(pid)

    def has_ended(self, within: float) -> bool:
        """Wait until the process has ended, at most so many seconds; return whether it has."""
        if self._descriptor is not None:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            return bool(poll.poll(within * 1000))
        deadline = time.monotonic() + within
        while _is_there(self._pid):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_SECONDS)
        return True


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is somebody else's
    return True


def interrupt_when_ended(playbook: PlaybookProcess) -> None:
    """Have this process interrupted, as by Ctrl-C, as soon as ansible-playbook has ended."""
    main = threading.main_thread().ident
    assert main is not None

    def watch() -> None:
        while not playbook.has_ended(within=3600):
            pass
        signal.pthread_kill(main, signal.SIGINT)

    start_beside(threading.Thread(target=watch, daemon=True))
