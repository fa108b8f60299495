# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways along keys, and ways back; the components are tested with the load order that is made of them."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import graph
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.graph import find_way, find_ways_back
from hypothesis import given
from hypothesis import strategies as st

NODES = "abcdefgh"


def test_way() -> None:
    edges = {"a": ["b", "c"], "b": ["d"], "c": ["a"], "d": []}
    assert find_way(edges, "c", "c") == ("c",)
    assert find_way(edges, "c", "d") == ("c", "a", "b", "d")
    assert find_way(edges, "d", "a") == ()


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
    assert find_ways_back(edges) == {pair: way for pair in pairs if (way := find_way(edges, pair[1], pair[0]))}


def test_long_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of tables, each referring to the one before: no way back is searched for along it, for any of them."""
    monkeypatch.setattr(graph, "find_way", lambda *_: pytest.fail("there is no cycle to look into"))
    tables = [f"t{number:05}" for number in range(5000)]
    edges: dict[str, list[str]] = {table: [] for table in tables}
    edges |= {table: [before] for before, table in itertools.pairwise(tables)}
    assert find_ways_back(edges) == {}
