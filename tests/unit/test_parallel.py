# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads over one list: everything is done, or the first failure stops all."""

from __future__ import annotations

import contextlib
import signal
import threading
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.schedule.beside import begin_beside
from ansible_collections.pgconvoy.migrate.plugins.module_utils.schedule.threads import (
    Lane,
    in_order,
    run_lanes,
    run_parallel,
)

PATIENCE_SECONDS = 30


class Recorder:
    """Workers that write down what they did."""

    def __init__(self, run: t.Callable[[int], None] = lambda item: None) -> None:
        self.done: list[int] = []
        self.opened = 0
        self.closed = 0
        self.cancelled = threading.Event()
        self._run = run

    @contextlib.contextmanager
    def open(self) -> t.Iterator[Recorder]:
        self.opened += 1
        yield self
        self.closed += 1

    def run(self, item: int) -> None:
        self._run(item)
        self.done.append(item)

    def cancel(self) -> None:
        self.cancelled.set()


@pytest.mark.parametrize("jobs", [1, 2, 7, 200])
def test_everything_is_done_once(jobs: int) -> None:
    recorder = Recorder()
    run_parallel(range(100), jobs, recorder.open)
    assert sorted(recorder.done) == list(range(100))
    assert recorder.opened == recorder.closed <= min(jobs, 100)
    assert not recorder.cancelled.is_set()


def test_one_job_keeps_the_order() -> None:
    recorder = Recorder()
    run_parallel(range(100), 1, recorder.open)
    assert recorder.done == list(range(100))


def test_nothing_to_do_opens_nothing() -> None:
    recorder = Recorder()
    run_parallel([], 4, recorder.open)
    assert recorder.opened == 0


def test_several_at_once() -> None:
    """Each waits for the other: with one thread this would not end."""
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    recorder = Recorder(lambda item: t.cast(None, both.wait()))
    run_parallel(range(4), 2, recorder.open)
    assert len(recorder.done) == 4


def test_first_failure_cancels_the_others() -> None:
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def fail_or_wait(item: int) -> None:
        both.wait()
        if item == 0:
            raise ValueError("the first")
        assert recorder.cancelled.wait(PATIENCE_SECONDS)
        raise RuntimeError("broken off")

    recorder = Recorder(fail_or_wait)
    with pytest.raises(ValueError, match="the first"):
        run_parallel(range(100), 2, recorder.open)
    assert recorder.done == []
    assert recorder.cancelled.is_set()


def test_cancelling_does_not_take_turns() -> None:
    """Each waits for the other to be cancelled: where the network is silent, that of one may take long."""
    all_begun = threading.Barrier(3, timeout=PATIENCE_SECONDS)
    cancelled = threading.Barrier(4, timeout=PATIENCE_SECONDS)

    class Waiting(Recorder):
        def cancel(self) -> None:
            cancelled.wait()

    def fail_or_wait(item: int) -> None:
        all_begun.wait()
        if item == 0:
            raise ValueError("the first")
        cancelled.wait()

    recorder = Waiting(fail_or_wait)
    with pytest.raises(ValueError, match="the first"):
        run_parallel(range(3), 3, recorder.open)
    assert sorted(recorder.done) == [1, 2]


def test_cancelled_a_moment_too_early() -> None:
    """A worker that was about to begin has not noticed: it is cancelled once more."""
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    cancelled = threading.Semaphore(0)

    class Late(Recorder):
        def cancel(self) -> None:
            cancelled.release()

    def fail_or_wait(item: int) -> None:
        both.wait()
        if item == 0:
            raise ValueError("the first")
        for _ in range(2):
            assert cancelled.acquire(timeout=PATIENCE_SECONDS)

    recorder = Late(fail_or_wait)
    with pytest.raises(ValueError, match="the first"):
        run_parallel(range(2), 2, recorder.open)
    assert recorder.done == [1]


def test_stopped_while_a_worker_is_opened() -> None:
    """It does not begin."""
    all_begun, other_cancelled = threading.Barrier(3, timeout=PATIENCE_SECONDS), threading.Event()

    class Other(Recorder):
        def cancel(self) -> None:
            other_cancelled.set()

    def wait(item: int) -> None:
        all_begun.wait()
        assert other_cancelled.wait(PATIENCE_SECONDS)

    def fail(item: int) -> None:
        all_begun.wait()
        raise ValueError(item)

    late, other, failing = Recorder(), Other(wait), Recorder(fail)

    @contextlib.contextmanager
    def open_late() -> t.Iterator[Recorder]:
        all_begun.wait()
        # Whoever works is cancelled, so all have been told to stop.
        assert other_cancelled.wait(PATIENCE_SECONDS)
        yield late

    lanes = [Lane(in_order([1]), 1, open_late), Lane(in_order([2]), 1, other.open)]
    with pytest.raises(ValueError, match="7"):
        run_lanes([*lanes, Lane(in_order([7]), 1, failing.open)])
    assert late.done == []


def test_worker_that_cannot_be_opened() -> None:
    @contextlib.contextmanager
    def refuse() -> t.Iterator[Recorder]:
        raise OSError("no more connections")
        yield

    with pytest.raises(OSError, match="no more connections"):
        run_parallel(range(3), 2, refuse)


def test_worker_that_cannot_be_closed() -> None:
    @contextlib.contextmanager
    def open_worker() -> t.Iterator[Recorder]:
        yield Recorder()
        raise OSError("lost at the end")

    with pytest.raises(OSError, match="lost at the end"):
        run_parallel(range(3), 1, open_worker)


def test_interrupt() -> None:
    """Ctrl-C in one of the threads' programs, or here: all stop, and it goes on to the caller."""

    def interrupt(item: int) -> None:
        raise KeyboardInterrupt

    recorder = Recorder(interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_parallel(range(100), 2, recorder.open)
    assert recorder.done == []


def test_interrupt_of_the_caller() -> None:
    """What its threads are doing is cancelled."""
    main = threading.main_thread().ident
    assert main is not None

    def interrupt_and_wait(item: int) -> None:
        signal.pthread_kill(main, signal.SIGINT)
        assert recorder.cancelled.wait(PATIENCE_SECONDS)

    recorder = Recorder(interrupt_and_wait)
    with pytest.raises(KeyboardInterrupt):
        run_parallel([1], 1, recorder.open)
    assert recorder.done == [1]


def test_failure_in_one_lane_stops_the_other() -> None:
    """What the other one is doing is cancelled, and what it has not begun is left."""
    begun = threading.Event()

    def wait(item: int) -> None:
        begun.set()
        assert slow.cancelled.wait(PATIENCE_SECONDS)

    def fail(item: int) -> None:
        assert begun.wait(PATIENCE_SECONDS)
        raise ValueError(item)

    slow, failing = Recorder(wait), Recorder(fail)
    with pytest.raises(ValueError, match="7"):
        run_lanes([Lane(in_order(range(100)), 1, slow.open), Lane(in_order([7]), 1, failing.open)])
    assert len(slow.done) <= 1
    assert slow.closed == slow.opened == 1


def test_beside() -> None:
    """One thing waits for another that is under way, and neither hides what came of it."""
    met = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    place = begin_beside(met.wait)
    assert {met.wait(), place()} == {0, 1}
    wrong = begin_beside(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        wrong()
