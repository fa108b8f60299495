# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders for files and sockets that nobody needs any more when the work is done, even if it is cut short by a kill."""

from __future__ import annotations

import fcntl
import os
import pathlib
import shutil
import tempfile
import typing as t

_PREFIX: t.Final = "pgconvoy-work-"
#: The room for a socket's path is 104 bytes on some systems.
_LONGEST_ROOT: t.Final = 60


class WorkFolder:
    """A folder that nobody else can enter, and that goes with the block.

    It is locked until then, and a lock ends with its process. So whoever can lock one of ours may remove it: a process
    that was killed has left it.
    """

    def __init__(self) -> None:
        """Make it, and remove what others have left."""
        root = pathlib.Path(tempfile.gettempdir())
        if len(str(root)) > _LONGEST_ROOT:
            root = pathlib.Path("/tmp")  # noqa: S108 - a folder of its own in there
        for path in root.glob(f"{_PREFIX}*"):
            if (lock := _lock(path)) is not None:
                _remove(path, lock)
        lock = None
        while lock is None:
            # mkdtemp gives it mode 0700.
            self.path = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
            # None if another process has just taken it for one that was left.
            lock = _lock(self.path)
        self._lock: int = lock

    def __enter__(self) -> pathlib.Path:
        return self.path

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove it, and all that is in it."""
        _remove(self.path, self._lock)


def _lock(path: pathlib.Path) -> int | None:
    """Return the descriptor that locks a folder of this user's, if nobody else has locked it and it is still there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(descriptor).st_uid == os.getuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():
                return descriptor
    except BlockingIOError:
        pass  # another process works in it
    os.close(descriptor)
    return None


def _remove(path: pathlib.Path, lock: int) -> None:
    # What cannot be removed now, the next one tries again.
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
