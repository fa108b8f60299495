# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several threads, one list of items or several, and a first failure that stops them all."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import time
import typing as t

Item = t.TypeVar("Item", contravariant=True)

#: How long cancelled workers may take to stop. One that does not, ends with the process.
_CANCEL_SECONDS: t.Final = 10


class Worker(t.Protocol[Item]):
    """What one thread works with: its own session or program."""

    def run(self, item: Item) -> None:
        """Do one item."""

    def cancel(self) -> None:
        """Make a running ``run`` fail soon; called from another thread."""


@dataclasses.dataclass(frozen=True)
class Lane(t.Generic[Item]):
    """Items that up to ``jobs`` threads take in order, each with a worker of its own."""

    items: t.Iterable[Item]
    jobs: int
    open_worker: t.Callable[[], contextlib.AbstractContextManager[Worker[Item]]]


def run_parallel(
    items: t.Iterable[Item], jobs: int, open_worker: t.Callable[[], contextlib.AbstractContextManager[Worker[Item]]]
) -> None:
    """Let up to ``jobs`` threads, each with a worker of its own, take the items in order.

    :raises Exception: the first failure of any worker, after all have stopped that can be stopped
    :raises KeyboardInterrupt: on Ctrl-C, likewise
    """
    run_lanes([Lane(items, jobs, open_worker)])


def run_lanes(lanes: t.Iterable[Lane[t.Any]]) -> None:
    """Do what is in several lanes, all at once; a failure in one of them stops them all.

    :raises Exception: the first failure of any worker, after all have stopped that can be stopped
    :raises KeyboardInterrupt: on Ctrl-C, likewise
    """
    failures: list[BaseException] = []
    running: list[Worker[t.Any]] = []
    stop = threading.Event()

    def work(waiting: queue.SimpleQueue[t.Any], lane: Lane[t.Any]) -> None:
        try:
            with lane.open_worker() as worker:
                running.append(worker)
                while not stop.is_set():
                    try:
                        item = waiting.get_nowait()
                    except queue.Empty:
                        return
                    worker.run(item)
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            failures.append(error)
            stop.set()

    threads = []
    for lane in lanes:
        waiting: queue.SimpleQueue[t.Any] = queue.SimpleQueue()
        for item in lane.items:
            waiting.put(item)
        workers = min(lane.jobs, waiting.qsize())
        threads += [threading.Thread(target=work, args=(waiting, lane), daemon=True) for _ in range(workers)]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and not stop.wait(0.01):
            pass
    finally:
        stop.set()
        unfinished = [thread for thread in threads if thread.is_alive()]
        if failures or unfinished:
            _stop(running, unfinished)
    if failures:
        raise failures[0]


def _stop(workers: t.Iterable[Worker[t.Any]], threads: t.Iterable[threading.Thread]) -> None:
    """Cancel the workers, all at once, and wait a while for what is under way."""
    cancelling = [threading.Thread(target=_cancel, args=(worker,), daemon=True) for worker in list(workers)]
    for thread in cancelling:
        thread.start()
    deadline = time.monotonic() + _CANCEL_SECONDS
    for thread in [*cancelling, *threads]:
        thread.join(max(0, deadline - time.monotonic()))


def _cancel(worker: Worker[t.Any]) -> None:
    # One that cannot be cancelled, its server being gone, hides no failure.
    with contextlib.suppress(Exception):
        worker.cancel()
