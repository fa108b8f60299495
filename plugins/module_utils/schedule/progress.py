# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a stage is, for people. Told of are names, counts and sizes, never a row's value.

What is done tells of itself by ``doing`` and ``moved``, wherever it is and in whichever thread; it need not know who
listens, and nobody may: a context variable leads from one to the other.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import threading
import time
import typing as t

#: How many of the things that are being done are named; a name is cut at so many characters.
_NAMED: t.Final = 4
_NAME_LENGTH: t.Final = 160

State = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Step:
    """What is told of a thing to be done: its name, how many bytes it is about (roughly), how many rows it moves."""

    title: str = ""
    size: int = 0
    rows: int = 0


#: A step that nobody is told of by name.
UNTOLD: t.Final = Step()


class Progress:
    """What all threads of a stage have done so far."""

    def __init__(self, tell: t.Callable[[State], None], clock: t.Callable[[], float] = time.monotonic) -> None:
        """Begin.

        :param tell: gets how far it is, by one thread at a time; must not fail
        :param clock: seconds
        """
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()
        #: whether anything has happened that was not told
        self._news = False
        self._phase = _Phase("", (), clock())
        #: what others wait for meanwhile, since when, and for how many seconds at most
        self._waiting: tuple[str, float, int] | None = None

    def tell_news(self) -> None:
        """Tell how far it is if anything has happened since that was told last."""
        with self._lock:
            if self._news:
                self._news = False
                now = self._clock()
                state = self._phase.state(now)
                if self._waiting:
                    what, since, limit = self._waiting
                    state["waiting"] = [what, round(now - since, 3), limit]
                self._tell(state)

    @contextlib.contextmanager
    def waiting(self, what: str, since: float, limit: int) -> t.Iterator[None]:
        """Let be told of, beside all else, what others wait for until the block ends."""
        with self._happens():
            self._waiting = (what, since, limit)
        self.tell_news()
        try:
            yield
        finally:
            with self._happens():
                self._waiting = None

    @contextlib.contextmanager
    def phase(self, name: str, steps: t.Sequence[Step]) -> t.Iterator[None]:
        """Let the block do the steps, which are told of until it ends."""
        with self._lock:
            before, self._phase = self._phase, _Phase(name, steps, self._clock())
        try:
            yield
        finally:
            self.tell_news()
            with self._happens():
                self._phase = before

    @contextlib.contextmanager
    def doing(self, step: Step) -> t.Iterator[None]:
        """Let the block do a step; it counts as done only if it ends well."""
        under_way = UnderWay(step)
        with self._happens():
            phase = self._phase
            phase.under_way.append(under_way)
        token = _UNDER_WAY.set(under_way)
        ended = False
        try:
            yield
            ended = True
        finally:
            _UNDER_WAY.reset(token)
            with self._happens():
                phase.under_way.remove(under_way)
                if ended:
                    phase.ended += 1
                    phase.size_ended += step.size

    def moved(self, size: int, rows: int) -> None:
        """Note that rows, or bytes of them, have moved."""
        under_way = _UNDER_WAY.get()
        with self._happens():
            self._phase.bytes += size
            self._phase.rows += rows
            if under_way:
                under_way.bytes += size
                under_way.rows += rows

    def seen(self, under_way: UnderWay, share: float, rows: int) -> None:
        """Note how far a step is that cannot tell it itself."""
        with self._happens():
            under_way.share = max(under_way.share, share)
            under_way.rows_seen = max(under_way.rows_seen, rows)

    @contextlib.contextmanager
    def _happens(self) -> t.Iterator[None]:
        with self._lock:
            self._news = True
            yield


@dataclasses.dataclass(eq=False)
class UnderWay:
    """A step that has begun and not ended, and how far it is."""

    step: Step
    bytes: int = 0
    rows: int = 0
    #: what others see of it: how much is done, from 0 to 1, and how many rows have moved
    share: float = 0
    rows_seen: int = 0

    def __str__(self) -> str:
        percent = f" {self.share:.0%}" if self.share else ""
        return self.step.title[:_NAME_LENGTH] + percent

    @property
    def moved(self) -> int:
        """How many of the step's bytes are done.

        What has moved is as long as COPY makes it, a step's size what it takes on a disk: only near to that.
        """
        return max(min(self.bytes, self.step.size), int(self.share * self.step.size))


class _Phase:
    """Steps that belong together, and how far they are."""

    def __init__(self, name: str, steps: t.Sequence[Step], now: float) -> None:
        self._name, self._began = name, now
        self._count, self._size, self._rows = len(steps), sum(s.size for s in steps), sum(s.rows for s in steps)
        self.ended = self.size_ended = self.rows = self.bytes = 0
        self.under_way: list[UnderWay] = []

    def state(self, now: float) -> State:
        rows_seen = sum(max(0, one.rows_seen - one.rows) for one in self.under_way)
        return {
            "phase": self._name,
            "seconds": round(now - self._began, 3),
            "steps": [self.ended, self._count],
            "sizes": [self.size_ended + sum(one.moved for one in self.under_way), self._size],
            "rows": [self.rows + rows_seen, self._rows],
            "bytes": self.bytes,
            "doing": [str(one) for one in self.under_way if one.step.title][:_NAMED],
        }


_PROGRESS: t.Final[contextvars.ContextVar[Progress | None]] = contextvars.ContextVar("progress", default=None)
_UNDER_WAY: t.Final[contextvars.ContextVar[UnderWay | None]] = contextvars.ContextVar("under_way", default=None)


@contextlib.contextmanager
def listening(progress: Progress) -> t.Iterator[None]:
    """Let the progress be told of all that the block does, also in threads that get its context."""
    token = _PROGRESS.set(progress)
    try:
        yield
    finally:
        _PROGRESS.reset(token)


def phase(name: str, steps: t.Sequence[Step]) -> contextlib.AbstractContextManager[None]:
    """Let the block do steps that belong together, whoever listens."""
    progress = _PROGRESS.get()
    return progress.phase(name, steps) if progress else contextlib.nullcontext()


def doing(step: Step) -> contextlib.AbstractContextManager[None]:
    """Let the block do a step, whoever listens."""
    progress = _PROGRESS.get()
    return progress.doing(step) if progress else contextlib.nullcontext()


def waiting(what: str, since: float, limit: int) -> contextlib.AbstractContextManager[None]:
    """Let be told of, whoever listens, what others wait for until the block ends.

    :param since: when that began, by ``time.monotonic()``, which all processes of a machine share
    :param limit: for how many seconds at most
    """
    progress = _PROGRESS.get()
    return progress.waiting(what, since, limit) if progress else contextlib.nullcontext()


def moved(size: int = 0, rows: int = 0) -> None:
    """Tell whoever listens that rows, or bytes of them, have moved.

    :param size: bytes
    """
    if progress := _PROGRESS.get():
        progress.moved(size, rows)


def under_way() -> UnderWay | None:
    """Return what this thread does, for another one to see how far it is; None if nobody listens."""
    return _UNDER_WAY.get()


def seen(under_way: UnderWay, share: float = 0, rows: int = 0) -> None:
    """Tell whoever listens how far a step is that another thread does.

    :param share: how much of it is done, from 0 to 1
    :param rows: how many have moved
    """
    if progress := _PROGRESS.get():
        progress.seen(under_way, share, rows)
