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


def find_ways_back(edges: t.Mapping[Node, t.Collection[Node]]) -> dict[tuple[Node, Node], tuple[Node, ...]]:
    """Return, for each edge that is part of a cycle, the shortest way from its end back to where it begins."""
    ways: dict[tuple[Node, Node], tuple[Node, ...]] = {}
    for component in map(set, find_components(edges)):
        # No way back leaves the component.
        within = {node: component.intersection(edges[node]) for node in component}
        ways |= {(start, end): find_way(within, end, start) for start, ends in within.items() for end in ends}
    return ways


def find_way(edges: t.Mapping[Node, t.Collection[Node]], start: Node, end: Node) -> tuple[Node, ...]:
    """Return the shortest way along the edges, both ends included; empty if there is none."""
    before: dict[Node, Node | None] = {start: None}
    waiting = [start]
    for place in waiting:
        if place == end:
            way: list[Node] = []
            step: Node | None = end
            while step is not None:
                way.append(step)
                step = before[step]
            return tuple(reversed(way))
        for neighbour in sorted(edges.get(place, ())):
            if neighbour not in before:
                before[neighbour] = place
                waiting.append(neighbour)
    return ()
