# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directed graphs, of tables and the keys by which they refer to each other: what is connected, and by which way."""

from __future__ import annotations

import typing as t

#: A table, by its name or by schema and name.
Node = t.TypeVar("Node", str, tuple[str, str])


def find_components(edges: t.Mapping[Node, t.Collection[Node]]) -> list[tuple[Node, ...]]:
    """Return the strongly connected components, each sorted, each after those that its edges lead to.

    Tarjan's algorithm, with a stack of its own: chains of tables may be longer than Python may recurse.
    """
    found: list[tuple[Node, ...]] = []
    index: dict[Node, int] = {}
    lowest: dict[Node, int] = {}
    open_: dict[Node, None] = {}
    for start in sorted(edges):
        way = [] if start in index else [(start, iter(sorted(edges[start])))]
        while way:
            node, rest = way[-1]
            if node not in index:
                index[node] = lowest[node] = len(index)
                open_[node] = None
            for next_ in rest:
                if next_ not in index:
                    way.append((next_, iter(sorted(edges[next_]))))
                    break
                if next_ in open_:
                    lowest[node] = min(lowest[node], index[next_])
            else:
                way.pop()
                if way:
                    before = way[-1][0]
                    lowest[before] = min(lowest[before], lowest[node])
                if lowest[node] == index[node]:
                    component = [node]
                    while (member := open_.popitem()[0]) != node:
                        component.append(member)
                    found.append(tuple(sorted(component)))
    return found


#: A way back over more tables than this tells nobody anything, and to tell it of each key would cost its square.
LONGEST_WAY: t.Final = 20


def find_ways_back(edges: t.Mapping[Node, t.Collection[Node]]) -> dict[tuple[Node, Node], tuple[Node, ...]]:
    """Return, for each edge that is part of a cycle, the shortest way from its end back to where it begins.

    Of a way over more than ``LONGEST_WAY`` nodes nothing is told but that there is one: it is empty.
    """
    ways: dict[tuple[Node, Node], tuple[Node, ...]] = {}
    for component in map(set, find_components(edges)):
        # No way back leaves the component.
        within = {node: component.intersection(edges[node]) for node in component}
        starts: dict[Node, set[Node]] = {}
        for start, ends in within.items():
            for end in ends:
                starts.setdefault(end, set()).add(start)
        for end, wanted in starts.items():
            found = find_ways(within, end, wanted, LONGEST_WAY)
            ways |= {(start, end): found.get(start, ()) for start in wanted}
    return ways


def find_ways(
    edges: t.Mapping[Node, t.Collection[Node]], start: Node, ends: t.Collection[Node], longest: int
) -> dict[Node, tuple[Node, ...]]:
    """Return the shortest ways along the edges to some nodes, by these; the start and the end are part of each.

    It is looked no further than need be.

    :param longest: over how many nodes a way may lead
    """
    ways: dict[Node, tuple[Node, ...]] = {start: (start,)}
    missing = set(ends) - {start}
    waiting = [start]
    for place in waiting:
        if not missing or len(ways[place]) == longest:
            break
        for neighbour in sorted(edges.get(place, ())):
            if neighbour not in ways:
                ways[neighbour] = ways[place] + (neighbour,)
                missing.discard(neighbour)
                waiting.append(neighbour)
    return {end: ways[end] for end in ends if end in ways}
