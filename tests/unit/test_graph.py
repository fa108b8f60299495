# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways along keys, and ways back; the components are tested with the load order that is made of them."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import graph
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.graph import (
    LONGEST_WAY,
    find_ways,
    find_ways_back,
)
from hypothesis import given
from hypothesis import strategies as st

NODES = "abcdefgh"


def test_ways() -> None:
    edges = {"a": ["b", "c"], "b": ["d"], "c": ["a"], "d": []}
    assert find_ways(edges, "c", "cd", 4) == {"c": ("c",), "d": ("c", "a", "b", "d")}
    assert find_ways(edges, "c", "d", 3) == {}
    assert find_ways(edges, "d", "a", 4) == {}


def test_ways_back() -> None:
    edges = {"a": ["b"], "b": ["c", "d"], "c": ["a"], "d": ["d"]}
    assert find_ways_back(edges) == {
        ("a", "b"): ("b", "c", "a"),
        ("b", "c"): ("c", "a", "b"),
        ("c", "a"): ("a", "b", "c"),
        ("d", "d"): ("d",),
    }


@given(st.dictionaries(st.sampled_from(NODES), st.sets(st.sampled_from(NODES), max_size=4)))
def test_ways_back_of_any_graph(some: dict[str, set[str]]) -> None:
    """They are those that a search of the whole graph would find for each edge."""
    edges = {node: some.get(node, set()) for node in NODES}
    pairs = [(start, end) for start, ends in edges.items() for end in ends]
    ways = {(start, end): find_ways(edges, end, start, len(NODES)) for start, end in pairs}
    assert find_ways_back(edges) == {pair: found[pair[0]] for pair, found in ways.items() if found}


def _looks(monkeypatch: pytest.MonkeyPatch, edges: dict[str, set[str]]) -> tuple[int, int]:
    """Return how many nodes were looked at and how many names are told when the ways back are looked for."""
    looked = 0

    class Counted(dict[str, set[str]]):
        def get(self, *arguments: t.Any) -> t.Any:
            nonlocal looked
            looked += 1
            return super().get(*arguments)

    find = graph.find_ways
    monkeypatch.setattr(graph, "find_ways", lambda within, *rest: find(Counted(within), *rest))
    ways = find_ways_back(edges)
    monkeypatch.undo()
    assert len(ways) == sum(map(len, edges.values())), "each edge is part of a cycle"
    return looked, sum(map(len, ways.values()))


def test_ways_back_in_a_large_component(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it costs grows with the number of keys, in a cycle of all tables and where each refers to each."""

    def circle(count: int) -> dict[str, set[str]]:
        return {f"{number:05}": {f"{(number + 1) % count:05}"} for number in range(count)}

    def clique(count: int) -> dict[str, set[str]]:
        return {f"{n:05}": {f"{other:05}" for other in range(count)} for n in range(count)}

    once, twice = _looks(monkeypatch, circle(1000)), _looks(monkeypatch, circle(2000))
    assert (twice[0], twice[1]) == (2 * once[0], 2 * once[1])
    assert not any(find_ways_back(circle(LONGEST_WAY + 1)).values())
    assert all(find_ways_back(circle(LONGEST_WAY)).values())
    once, twice = _looks(monkeypatch, clique(50)), _looks(monkeypatch, clique(100))
    assert twice[0] <= 2 * once[0], "nodes"


def test_long_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of tables, each referring to the one before: no way back is searched for along it, for any of them."""
    monkeypatch.setattr(graph, "find_ways", lambda *_: pytest.fail("there is no cycle to look into"))
    tables = [f"t{number:05}" for number in range(5000)]
    edges: dict[str, list[str]] = {table: [] for table in tables}
    edges |= {table: [before] for before, table in itertools.pairwise(tables)}
    assert find_ways_back(edges) == {}
