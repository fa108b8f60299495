# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order tables are loaded under the eyes of their foreign keys, and which keys cannot stay meanwhile."""

from __future__ import annotations

import dataclasses
import types
import typing as t

from ..catalog.foreign_keys import Link
from ..catalog.graph import find_components
from ..catalog.relations import Relation
from ..catalog.selection import Name, Selection


@dataclasses.dataclass(frozen=True)
class LoadOrder:
    """How to load: always the same for the same tables and keys, whatever order they are given in."""

    #: parents before their children
    tables: tuple[Name, ...]
    #: the groups of tables that refer to each other, directly or not
    cycles: tuple[tuple[Name, ...], ...]
    #: the keys among the tables of one cycle: no order satisfies all of them
    within_cycles: tuple[Link, ...]
    #: the keys by which other tables refer to these: TRUNCATE refuses (docs: TRUNCATE)
    leading_in: tuple[Link, ...]
    #: the keys by which these refer to other tables, whose rows are not loaded
    leading_out: tuple[Link, ...]


def order_tables(
    tables: t.Collection[Name],
    links: t.Iterable[Link],
    partitions: t.Mapping[Name, t.Collection[Name]],
    calls: t.Mapping[Name, t.Collection[Name]] = types.MappingProxyType({}),
) -> LoadOrder:
    """Return how to load the tables.

    A key of a partitioned table is one of each of its partitions. A table that refers to itself is no cycle: COPY
    checks its rows when all of them are there.

    :param tables: those that hold rows
    :param partitions: of each partitioned table, the tables that hold its rows
    :param calls: of tables, those that functions read which their expressions call
    """
    selected = set(tables)
    joints = [
        _Joint(link, *({*partitions.get(side, (side,))} for side in (link.referring, link.referenced)))
        for link in sorted(links, key=lambda link: (link.referring, link.key.name))
    ]
    parents: dict[Name, set[Name]] = {table: set() for table in selected}
    for joint in joints:
        for child in joint.children & selected:
            parents[child] |= joint.parents & selected
    for table in calls.keys() & selected:
        parents[table] |= {leaf for read in calls[table] for leaf in partitions.get(read, (read,))} & selected - {table}
    components = find_components(parents)
    cycles = tuple(component for component in components if len(component) > 1)
    return LoadOrder(
        tables=tuple(table for component in components for table in component),
        cycles=cycles,
        within_cycles=tuple(joint.link for joint in joints if any(map(joint.is_within, map(set, cycles)))),
        leading_in=tuple(joint.link for joint in joints if joint.parents & selected and joint.children - selected),
        leading_out=tuple(joint.link for joint in joints if joint.children & selected and joint.parents - selected),
    )


def order_selected(relations: t.Iterable[Relation], links: t.Iterable[Link], selection: Selection | None) -> LoadOrder:
    """Return how to load a database's tables, or the selected ones.

    :param relations: all of the database
    """
    relations = list(relations)
    tables = [relation.full_name for relation in relations if relation.kind == "table"]
    trees = {relation.full_name: relation.partitions for relation in relations if relation.kind == "partitioned table"}
    calls = {relation.full_name: relation.calls_for for relation in relations}
    return order_tables([table for table in tables if selection is None or table in selection], links, trees, calls)


@dataclasses.dataclass(frozen=True)
class _Joint:
    """A key and the tables that hold the rows of both its sides."""

    link: Link
    children: set[Name]
    parents: set[Name]

    def is_within(self, component: set[Name]) -> bool:
        """Whether the key leads from one table of the component to another one."""
        children, parents = self.children & component, self.parents & component
        return bool(children and parents and len(children | parents) > 1)


def tell_load(strategy: str, order: LoadOrder, readded: t.Iterable[Link] = ()) -> dict[str, t.Any]:
    """Return how tables are loaded, for a record.

    :param readded: the keys that were dropped and added again
    """
    return {
        "fk_strategy": strategy,
        "load_order": [".".join(table) for table in order.tables],
        "cycles": [[".".join(table) for table in cycle] for cycle in order.cycles],
        "readded_keys": [str(link.key) for link in readded],
    }
