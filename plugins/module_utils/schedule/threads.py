# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several threads, one graph of work, and a first failure that stops them all."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

from .work import Graph, Work

Item = t.TypeVar("Item")
Task = t.TypeVar("Task", contravariant=True)

#: How long cancelled workers may take to stop. One that does not, ends with the process.
_CANCEL_SECONDS: t.Final = 10


class Worker(t.Protocol[Task]):
    """What one thread works with: its own session or program."""

    def run(self, item: Task) -> None:
        """Do one item."""

    def cancel(self) -> None:
        """Make a running ``run`` fail soon; called from another thread."""


OpenWorker = t.Callable[[], contextlib.AbstractContextManager[Worker[Item]]]


def run_parallel(items: t.Iterable[Item], jobs: int, open_worker: OpenWorker[Item]) -> None:
    """Let up to ``jobs`` threads, each with a worker of its own, take the items in order.

    :raises Exception: the first failure of any worker, after all have stopped that can be stopped
    :raises KeyboardInterrupt: on Ctrl-C, likewise
    """
    perform([Work(key=place, item=item) for place, item in enumerate(items)], jobs, open_worker)


def perform(works: t.Iterable[Work[Item]], jobs: int, open_worker: OpenWorker[Item]) -> None:
    """Let up to ``jobs`` threads, each with a worker of its own, do the works, each after what it needs.

    :raises Exception: the first failure of any worker, after all have stopped that can be stopped
    :raises KeyboardInterrupt: on Ctrl-C, likewise
    """
    graph = Graph(works)
    progress = threading.Condition()
    failures: list[BaseException] = []
    running: list[Worker[Item]] = []
    stop = threading.Event()

    def take() -> Work[Item] | None:
        """Return what to do next, or None when all is done or to be left."""
        with progress:
            while graph and not stop.is_set():
                if work := graph.begin():
                    return work
                progress.wait()
        return None

    def end(work: Work[Item]) -> None:
        with progress:
            graph.end(work)
            progress.notify_all()

    def fail(error: BaseException) -> None:
        with progress:
            failures.append(error)
            stop.set()
            progress.notify_all()

    def do() -> None:
        try:
            with open_worker() as worker:
                running.append(worker)
                while work := take():
                    worker.run(work.item)
                    end(work)
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            fail(error)

    threads = [threading.Thread(target=do, daemon=True) for _ in range(min(jobs, len(graph)))]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and not stop.wait(0.01):
            pass
    finally:
        with progress:
            stop.set()
            progress.notify_all()
        unfinished = [thread for thread in threads if thread.is_alive()]
        if failures or unfinished:
            _stop(running, unfinished)
    if failures:
        raise failures[0]


def _stop(workers: t.Iterable[Worker[Item]], threads: t.Iterable[threading.Thread]) -> None:
    """Cancel the workers, all at once, and wait a while for what is under way."""
    cancelling = [threading.Thread(target=_cancel, args=(worker,), daemon=True) for worker in list(workers)]
    for thread in cancelling:
        thread.start()
    deadline = time.monotonic() + _CANCEL_SECONDS
    for thread in [*cancelling, *threads]:
        thread.join(max(0, deadline - time.monotonic()))


def _cancel(worker: Worker[Item]) -> None:
    # One that cannot be cancelled, its server being gone, hides no failure.
    with contextlib.suppress(Exception):
        worker.cancel()
