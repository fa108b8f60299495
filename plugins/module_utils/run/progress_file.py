# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage's progress as lines of JSON in the run's folder: written by its module, read by whoever shows it."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import threading
import typing as t

from ..schedule.progress import Progress, State, listening
from ..schedule.signals import start_beside

#: How often what has happened is written down. Most of a run's steps take less: the file grows with the time that a run
#: takes, not with its steps.
_SECONDS: t.Final = 0.5


@contextlib.contextmanager
def progress_written(path: pathlib.Path, stage: str) -> t.Iterator[None]:
    """Append to a file, which only its owner can read, how far the block is. Nothing fails if it cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        yield
        return

    def write(state: State) -> None:
        with contextlib.suppress(OSError):
            os.write(descriptor, json.dumps({"stage": stage, **state}).encode() + b"\n")

    progress, ended = Progress(write), threading.Event()

    def write_now_and_then() -> None:
        while not ended.wait(_SECONDS):
            progress.tell_news()

    writer = threading.Thread(target=write_now_and_then, daemon=True)
    start_beside(writer)
    try:
        with listening(progress):
            yield
    finally:
        ended.set()
        writer.join()
        os.close(descriptor)


class ProgressReader:
    """Reads the lines of one stage while they are written."""

    def __init__(self, find: t.Callable[[], pathlib.Path | None], stage: str) -> None:
        """Begin with what is written from now on.

        :param find: returns the file, as soon as it is known
        """
        self._find = find
        self._stage = stage
        self._path = find()
        self._place = self._path.stat().st_size if self._path and self._path.exists() else 0

    def latest(self) -> State | None:
        """Return the newest state that has been written, or None if none has since it was asked for last."""
        self._path = self._path or self._find()
        try:
            with open(self._path or os.devnull, "rb") as stream:
                stream.seek(self._place)
                # The last line may be half there yet.
                whole, end, _ = stream.read().rpartition(b"\n")
        except OSError:
            return None
        self._place += len(whole + end)
        for line in reversed(whole.splitlines()):
            # What cannot be read, a full disk has cut.
            with contextlib.suppress(ValueError):
                state = json.loads(line)
                if state["stage"] == self._stage:
                    return dict(state)
        return None
