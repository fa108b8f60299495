# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load order: parents before children whatever the graph, and exactly the keys that no order can satisfy."""

from __future__ import annotations

import itertools
import random
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.foreign_keys import ForeignKey, Link
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.graph import find_ways
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.order import LoadOrder, order_tables
from hypothesis import given
from hypothesis import strategies as st

Graph = tuple[list[str], list[tuple[str, str]]]


def name(table: str) -> tuple[str, str]:
    return "public", table


def link(child: str, parent: str, number: int = 1) -> Link:
    key = ForeignKey(f"{child}_{parent}_{number}", f"public.{child}", f"public.{parent}", "", validated=True)
    return Link(key, name(child), name(parent))


def order(tables: str, keys: str, partitions: t.Mapping[str, str] | None = None) -> LoadOrder:
    """Order tables that are named by letters; a key is child and parent, as in "ba ca"."""
    trees = {name(tree): [name(leaf) for leaf in leaves] for tree, leaves in (partitions or {}).items()}
    return order_tables([name(table) for table in tables], [link(*key) for key in keys.split()], trees)


def names(tables: t.Iterable[tuple[str, str]]) -> str:
    return "".join(table for _, table in tables)


def keys(links: t.Iterable[Link]) -> str:
    return " ".join(link.referring[1] + link.referenced[1] for link in links)


def test_what_functions_read_comes_first() -> None:
    """As parents do; by way of a tree, too."""
    calls = {name("a"): [name("t")], name("y"): [name("z")]}
    found = order_tables([*map(name, "ayz")], [], {name("t"): [name("y")]}, calls)
    assert names(found.tables) == "zya"
    assert found.cycles == ()


@pytest.mark.parametrize(
    ("tables", "given_keys", "loaded", "cycles", "within"),
    [
        ("cba", "", "abc", "", ""),
        ("abc", "ab bc", "cba", "", ""),
        ("ab", "aa ba", "ab", "", ""),
        ("abc", "ab ba ca", "abc", "ab", "ab ba"),
        ("abcd", "ab bc ca cd", "dabc", "abc", "ab bc ca"),
        ("abcd", "ab ba cd dc", "abcd", "ab cd", "ab ba cd dc"),
        ("ab", "aa ab ba", "ab", "ab", "ab ba"),
    ],
)
def test_orders(tables: str, given_keys: str, loaded: str, cycles: str, within: str) -> None:
    found = order(tables, given_keys)
    assert names(found.tables) == loaded
    assert " ".join(map(names, found.cycles)) == cycles
    assert keys(found.within_cycles) == within
    assert not found.leading_in
    assert not found.leading_out


def test_keys_that_lead_in_and_out_of_a_selection() -> None:
    found = order("b", "ab bc ac bb")
    assert (keys(found.leading_in), keys(found.leading_out)) == ("ab", "bc")


def test_a_key_of_a_partitioned_table_is_one_of_each_partition() -> None:
    found = order("xyc", "cP", {"P": "xy"})
    assert names(found.tables) == "xyc"
    found = order("xyp", "Cp", {"C": "xy"})
    assert names(found.tables) == "pxy"


def test_a_partitioned_table_that_refers_to_itself_is_a_cycle_of_its_partitions() -> None:
    found = order("xy", "PP", {"P": "xy"})
    assert (names(*found.cycles), keys(found.within_cycles)) == ("xy", "PP")
    assert not order("x", "PP", {"P": "x"}).within_cycles


def test_a_part_of_a_tree() -> None:
    found = order("xac", "aP cP Pd", {"P": "xy"})
    assert (keys(found.leading_in), keys(found.leading_out)) == ("", "Pd aP cP")
    found = order("xd", "Pd", {"P": "xy"})
    assert (keys(found.leading_in), keys(found.leading_out)) == ("Pd", "")


def test_a_chain_longer_than_python_may_recurse() -> None:
    tables = [f"t{number:05}" for number in range(3000)]
    found = order_tables([name(table) for table in tables], [link(*pair) for pair in itertools.pairwise(tables)], {})
    assert [table for _, table in found.tables] == tables[::-1]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    tables = [f"t{number}" for number in range(draw(st.integers(1, 9)))]
    table = st.sampled_from(tables)
    return tables, draw(st.lists(st.tuples(table, table), max_size=20, unique=True))


@given(graphs(), st.data())
def test_any_graph(graph: Graph, data: st.DataObject) -> None:
    """Without the keys that are told to be in the way, parents come before children, and no other key is told."""
    tables, pairs = graph
    selected = data.draw(st.lists(st.sampled_from(tables), min_size=1, unique=True))
    links = [link(*pair) for pair in pairs]
    found = order_tables([name(table) for table in selected], links, {})

    assert sorted(found.tables) == sorted(name(table) for table in selected)
    place = {table: number for number, (_, table) in enumerate(found.tables)}
    among = [(child, parent) for child, parent in pairs if child in place and parent in place and child != parent]
    edges: dict[str, list[str]] = {}
    for child, parent in among:
        edges.setdefault(child, []).append(parent)
    back = {(child, parent) for child, parent in among if find_ways(edges, parent, [child], len(edges))}
    assert {(within.referring[1], within.referenced[1]) for within in found.within_cycles} == back
    assert all(place[parent] < place[child] for child, parent in set(among) - back)
    assert {led.key for led in found.leading_in} == {link(c, p).key for c, p in pairs if p in place and c not in place}
    assert {led.key for led in found.leading_out} == {link(c, p).key for c, p in pairs if c in place and p not in place}
    assert {table for cycle in found.cycles for _, table in cycle} == {table for pair in back for table in pair}


@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_that_of_the_question(graph: Graph, chance: random.Random) -> None:
    tables, links = [name(table) for table in graph[0]], [link(*pair) for pair in graph[1]]
    found = order_tables(tables, links, {})
    chance.shuffle(tables)
    chance.shuffle(links)
    assert order_tables(tables, links, {}) == found
