# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage's progress is shown while its module runs: as a bar in a terminal, elsewhere as a line now and then."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from ..module_utils.run.presentation import visible
from ..module_utils.run.progress_file import ProgressReader
from ..module_utils.run.progress_line import duration, share, tell
from ..module_utils.schedule.progress import State
from ..module_utils.schedule.signals import start_beside

try:
    # It knows how wide a terminal's characters are and draws a bar of eighths; small, and nothing comes with it.
    from tqdm.std import tqdm
except ImportError:
    CAN_DRAW = False
else:
    CAN_DRAW = True

#: How often a bar is drawn, and how long nothing is said elsewhere.
_DRAW_SECONDS: t.Final = 0.2
_LINE_SECONDS: t.Final = 10

_ERASE: t.Final = "\r\x1b[K"


class View(t.Protocol):
    """What shows how far a stage is."""

    def show(self, state: State, waited: float) -> None:
        """Show a state.

        :param waited: seconds since it was told
        """

    def end(self) -> None:
        """The stage has ended; what comes next has the place to itself."""


class Bar:
    """The last line of a terminal."""

    def __init__(self, write: t.Callable[[str], object], columns: t.Callable[[], int], title: str) -> None:
        self._write = write
        self._columns = columns
        self._title = visible(title)

    def show(self, state: State, waited: float) -> None:
        """Draw it anew."""
        done, seconds, told = share(state), state["seconds"] + waited, tell(state, waited)
        form = "{desc}: {percentage:3.0f}%|{bar:10}| {told}" if done is not None else "{desc}: {told}"
        title = ": ".join(filter(None, (self._title, visible(state["phase"]))))
        line = tqdm.format_meter(
            done or 0,
            1,
            seconds,
            # In a line's last column, some terminals begin another line.
            ncols=self._columns() - 1,
            prefix=title,
            bar_format=form,
            told=told or duration(seconds),
        )
        self._write(_ERASE + line)

    def end(self) -> None:
        """Leave the line empty."""
        self._write(_ERASE)


class Lines:
    """A line now and then, and one at the end of a stage that took as long."""

    def __init__(
        self, write: t.Callable[[str], object], title: str, clock: t.Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._title = visible(title)
        self._clock = clock
        self._began = self._last = clock()
        self._waiting = False

    def show(self, state: State, waited: float) -> None:
        """Say how far it is, unless that was said a moment ago; at once, that others begin to wait."""
        begins, self._waiting = "waiting" in state and not self._waiting, "waiting" in state
        if self._clock() - self._last < _LINE_SECONDS and not begins:
            return
        self._last = self._clock()
        done = share(state)
        parts = [visible(state["phase"]), *([] if done is None else [f"{done:.0%}"]), tell(state, waited)]
        told = ", ".join(filter(None, parts)) or duration(state["seconds"] + waited)
        self._write(f"{self._title}: {told}")

    def end(self) -> None:
        """Say how long it took."""
        if (seconds := self._clock() - self._began) >= _LINE_SECONDS:
            self._write(f"{self._title}: took {duration(seconds)}")


class Follower:
    """Brings what is read to what shows it."""

    def __init__(self, reader: ProgressReader, view: View, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._view = view
        self._clock = clock
        self._state: State | None = None
        self._read_at = clock()

    def look(self) -> None:
        """Show how far it is by now."""
        if state := self._reader.latest():
            self._state, self._read_at = state, self._clock()
        if self._state:
            self._view.show(self._state, self._clock() - self._read_at)

    @contextlib.contextmanager
    def following(self) -> t.Iterator[None]:
        """Show it again and again until the block ends."""
        ended = threading.Event()

        def follow() -> None:
            # It is a comfort: whatever it fails of, the run goes on.
            with contextlib.suppress(Exception):
                while not ended.wait(_DRAW_SECONDS):
                    self.look()
            with contextlib.suppress(Exception):
                self._view.end()

        thread = threading.Thread(target=follow, daemon=True)
        start_beside(thread)
        try:
            yield
        finally:
            ended.set()
            thread.join()
