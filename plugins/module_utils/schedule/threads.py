# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several threads, one graph of work or several, and a first failure that stops them all."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import threading
import time
import typing as t

from . import progress
from .progress import UNTOLD, Step
from .signals import start_beside
from .work import Graph, Work

Item = t.TypeVar("Item")
Task = t.TypeVar("Task", contravariant=True)

#: How long cancelled workers may take to stop. One that does not, ends with the process.
_CANCEL_SECONDS: t.Final = 10
_AGAIN_SECONDS: t.Final = 0.5


class Worker(t.Protocol[Task]):
    """What one thread works with: its own session or program."""

    def run(self, item: Task) -> None:
        """Do one item."""

    def cancel(self) -> None:
        """Make a running ``run`` fail soon; called from another thread."""


OpenWorker = t.Callable[[], contextlib.AbstractContextManager[Worker[Item]]]


@dataclasses.dataclass(frozen=True)
class Lane(t.Generic[Item]):
    """Works that up to ``jobs`` threads do, each with a worker of its own."""

    works: t.Iterable[Work[Item]]
    jobs: int
    open_worker: OpenWorker[Item]


def _untold(_item: object) -> Step:
    return UNTOLD


def in_order(items: t.Iterable[Item], step: t.Callable[[Item], Step] = _untold) -> list[Work[Item]]:
    """Return works of which none needs another one, for items that are best begun in their order.

    :param step: what people are told of an item
    """
    return [Work(key=place, item=item, step=step(item)) for place, item in enumerate(items)]


def run_parallel(
    items: t.Iterable[Item],
    jobs: int,
    open_worker: OpenWorker[Item],
    phase: str = "",
    step: t.Callable[[Item], Step] = _untold,
) -> None:
    """Let up to ``jobs`` threads, each with a worker of its own, take the items in order.

    :param phase: what people are told that is done here
    :param step: what they are told of an item
    :raises Exception: the first failure of any worker, after all have stopped that can be stopped
    :raises KeyboardInterrupt: on Ctrl-C, likewise
    """
    run_lanes([Lane(in_order(items, step), jobs, open_worker)], phase)


def run_lanes(lanes: t.Iterable[Lane[t.Any]], phase: str = "") -> None:
    """Do what is in several lanes, all at once, each work after what it needs; a failure in one of them stops them all.

    :param phase: what people are told that is done here
    :raises Exception: the first failure of any worker, after all have stopped that can be stopped
    :raises KeyboardInterrupt: on Ctrl-C, likewise
    """
    lanes = [dataclasses.replace(lane, works=[*lane.works]) for lane in lanes]
    with progress.phase(phase, [work.step for lane in lanes for work in lane.works]):
        _Threads(lanes).run()


class _Threads:
    def __init__(self, lanes: t.Iterable[Lane[t.Any]]) -> None:
        #: guards all that is below, and all graphs, and tells when any of it has changed
        self._changed = threading.Condition()
        self._stopping = False
        #: how many threads have not ended. Thread.is_alive() is no help: broken off by a Ctrl-C, it believes from then
        #: on that a thread which is at work has ended (Python 3.11, threading.Thread._wait_for_tstate_lock).
        self._at_work = 0
        self._failures: list[BaseException] = []
        self._running: list[Worker[t.Any]] = []
        self._threads = []
        for lane in lanes:
            graph = Graph(lane.works)
            self._threads += [
                # In a context of its own, which leads to whoever listens to the progress.
                threading.Thread(
                    target=contextvars.copy_context().run, args=(self._do, graph, lane.open_worker), daemon=True
                )
                for _ in range(min(lane.jobs, len(graph)))
            ]

    def run(self) -> None:
        try:
            for thread in self._threads:
                with self._changed:
                    self._at_work += 1
                start_beside(thread)
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or not self._at_work)
        finally:
            self._halt()
            self._cancel()
        if self._failures:
            raise self._failures[0]

    def _do(self, graph: Graph[t.Any], open_worker: OpenWorker[t.Any]) -> None:
        try:
            # A session costs a far server's user as much as some works do: it is opened when there is one for it.
            if work := self._begin(graph):
                with open_worker() as worker:
                    self._work(graph, work, worker)
        except BaseException as error:  # noqa: BLE001 - handed to the caller of run
            self._failures.append(error)
            self._halt()
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    def _work(self, graph: Graph[t.Any], work: Work[t.Any] | None, worker: Worker[t.Any]) -> None:
        self._running.append(worker)
        try:
            # To open it took a while, in which all may have been stopped.
            while work and not self._stopping:
                with progress.doing(work.step):
                    worker.run(work.item)
                with self._changed:
                    graph.end(work)
                    self._changed.notify_all()
                work = self._begin(graph)
        finally:
            self._running.remove(worker)

    def _begin(self, graph: Graph[t.Any]) -> Work[t.Any] | None:
        """Return what to do next, or None when all is done or to be left."""
        with self._changed:
            while graph and not self._stopping:
                if work := graph.begin():
                    return work
                self._changed.wait()
        return None

    def _halt(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _cancel(self) -> None:
        """Cancel the workers, all at once, and wait a while for what is under way."""
        deadline = time.monotonic() + _CANCEL_SECONDS
        while self._at_work and time.monotonic() < deadline:
            cancelling = [threading.Thread(target=_cancel, args=(worker,), daemon=True) for worker in [*self._running]]
            for thread in cancelling:
                start_beside(thread)
            for thread in cancelling:
                thread.join(max(0, deadline - time.monotonic()))
            # Once more, then: a worker that was just about to begin has not been cancelled.
            with self._changed:
                self._changed.wait_for(lambda: not self._at_work, _AGAIN_SECONDS)


def _cancel(worker: Worker[t.Any]) -> None:
    # One that cannot be cancelled, its server being gone, hides no failure.
    with contextlib.suppress(Exception):
        worker.cancel()
