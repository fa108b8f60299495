# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graph of work: what may begin, in which order, and what keeps what waiting."""

from __future__ import annotations

import contextlib
import random
import threading
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.schedule.threads import Lane, run_lanes
from ansible_collections.pgconvoy.migrate.plugins.module_utils.schedule.work import Graph, Work
from hypothesis import given
from hypothesis import strategies as st

PATIENCE_SECONDS = 30


def work(key: str, needs: str = "", *, alone: str = "", shared: str = "", weight: int = 0) -> Work[str]:
    return Work(key, key, frozenset(needs.split()), frozenset(alone.split()), frozenset(shared.split()), weight=weight)


def in_order(works: t.Iterable[Work[str]]) -> list[str]:
    """Return the order in which one worker does the works."""
    graph, done = Graph(works), []
    while begun := graph.begin():
        done.append(begun.item)
        graph.end(begun)
    assert not graph
    return done


def begin_all(graph: Graph[str]) -> list[Work[str]]:
    begun = []
    while now := graph.begin():
        begun.append(now)
    return begun


@pytest.mark.parametrize(
    ("works", "order"),
    [
        ([], ""),
        ([work("a"), work("b"), work("c")], "a b c"),
        ([work("a", "b"), work("b", "c"), work("c")], "c b a"),
        ([work("light", weight=1), work("heavy", weight=9)], "heavy light"),
        # The way to the end counts: a small table with a dear index comes before a table twice its size.
        ([work("big", weight=2), work("small", weight=1), work("index", "small", weight=5)], "small index big"),
        ([work("a", "absent"), work("b")], "a b"),
        ([work("a", alone="t"), work("b", alone="t"), work("c", shared="t")], "a b c"),
    ],
)
def test_one_worker(works: list[Work[str]], order: str) -> None:
    assert in_order(works) == order.split()


@pytest.mark.parametrize(
    ("works", "begun"),
    [
        ([work("a", shared="t"), work("b", shared="t"), work("c", shared="t u")], "a b c"),
        ([work("a", alone="t"), work("b", alone="t"), work("c", shared="t"), work("d", alone="u")], "a d"),
        ([work("a", shared="t"), work("b", alone="t"), work("c", shared="t")], "a c"),
        ([work("a"), work("b", "a"), work("c", "a b")], "a"),
    ],
)
def test_several_workers(works: list[Work[str]], begun: str) -> None:
    graph = Graph(works)
    at_once = begin_all(graph)
    assert [now.item for now in at_once] == begun.split()
    for now in at_once:
        graph.end(now)
    while at_once := begin_all(graph):
        for now in at_once:
            graph.end(now)
    assert not graph


def test_works_that_need_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="need each other"):
        Graph([work("a", "b"), work("b", "a"), work("c")])


def test_a_key_stands_for_one_work() -> None:
    with pytest.raises(ValueError, match="one key"):
        Graph([work("a"), work("a")])


@st.composite
def works(draw: st.DrawFn) -> list[Work[str]]:
    """Draw works of which each needs only such as come before it."""
    keys = [str(number) for number in range(draw(st.integers(0, 12)))]
    tables = st.frozensets(st.sampled_from("tuv"), max_size=2)
    drawn = []
    for place, key in enumerate(keys):
        alone = draw(tables)
        needs = draw(st.frozensets(st.sampled_from(keys[:place]), max_size=3)) if place else frozenset()
        drawn.append(Work(key, key, needs, alone, draw(tables) - alone, draw(st.integers(0, 9))))
    return drawn


@given(works(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_whoever_ends_first(drawn: list[Work[str]], jobs: int, chance: random.Random) -> None:
    """All end; nothing begins before what it needs has ended, or beside what it may not be beside."""
    graph = Graph(drawn)
    running: list[Work[str]] = []
    ended: set[t.Hashable] = set()
    while graph:
        while len(running) < jobs and (begun := graph.begin()):
            assert begun.needs <= ended
            for other in running:
                assert not begun.alone & (other.alone | other.shared)
                assert not begun.shared & other.alone
            running.append(begun)
        assert running
        last = running.pop(chance.randrange(len(running)))
        graph.end(last)
        ended.add(last.key)
    assert ended == {drawn_work.key for drawn_work in drawn}


def test_threads_wait_for_what_is_needed() -> None:
    """The second thread has nothing to do until the first one has ended its work, and then both work at once."""
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    done: list[str] = []

    class Worker:
        def run(self, item: str) -> None:
            if item != "first":
                both.wait()
            done.append(item)

        def cancel(self) -> None:
            both.abort()

    @contextlib.contextmanager
    def open_worker() -> t.Iterator[Worker]:
        yield Worker()

    run_lanes([Lane([work("first"), work("b", "first"), work("c", "first")], 2, open_worker)])
    assert done[0] == "first"
    assert sorted(done[1:]) == ["b", "c"]
