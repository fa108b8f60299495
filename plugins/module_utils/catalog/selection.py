# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tables a partial run is about: patterns in, tables out."""

from __future__ import annotations

import dataclasses
import fnmatch
import typing as t

from ..errors import MigrationError
from ..server.endpoint import Session
from .relations import Relation, list_relations

Name = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Patterns:
    """What the user says: shell-style patterns over ``schema.table``, compared with the names as they are stored.

    A pattern without a dot is about the schema public. No pattern to include means all tables.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any; without one, a run is about the whole database."""
        return bool(self.include or self.exclude)


EVERYTHING: t.Final = Patterns()


@dataclasses.dataclass(frozen=True)
class Selection:
    """The tables of a partial run, and the partitioned tables all of whose partitions are among them."""

    tables: frozenset[Name]
    trees: frozenset[Name] = frozenset()

    def __contains__(self, name: object) -> bool:
        """Whether a table or partitioned table, by schema and name, is selected."""
        return name in self.tables or name in self.trees

    @property
    def labels(self) -> frozenset[str]:
        """The same as ``schema.table``, as reports and pg_dump say it."""
        return frozenset(f"{schema}.{name}" for schema, name in self.tables | self.trees)


def select(relations: t.Iterable[Relation], patterns: Patterns) -> Selection:
    """Return what the patterns select: first those to include, then without those to exclude.

    A partitioned table stands for its partitions. Materialized views cannot be selected: they are derived.

    :raises MigrationError: when a pattern matches no table, nothing is left, or a tree cannot be taken in parts
    """
    tables = [relation for relation in relations if relation.kind != "materialized view"]
    faults: list[str] = []
    included = _matching(tables, patterns.include, "include_tables", faults)
    excluded = _matching(tables, patterns.exclude, "exclude_tables", faults)
    if not patterns.include:
        included = {leaf for relation in tables for leaf in _leaves(relation)}
    selected = included - excluded
    trees = [relation for relation in tables if relation.kind == "partitioned table"]
    whole = {tree.full_name for tree in trees if tree.partitions and selected.issuperset(tree.partitions)}
    faults += [
        f"{relation}: which partition of {'.'.join(relation.load_through)} a row lies in may differ on the target, so "
        "that this table can only be taken as a whole"
        for relation in tables
        if relation.load_through and relation.full_name in selected and relation.load_through not in whole
    ]
    if not faults and not selected:
        faults.append("include_tables and exclude_tables together leave no table")
    if faults:
        raise MigrationError("The tables cannot be selected as asked: " + "; ".join(faults) + ".")
    return Selection(frozenset(selected), frozenset(whole))


def _matching(tables: t.Iterable[Relation], patterns: t.Iterable[str], variable: str, faults: list[str]) -> set[Name]:
    """Return the tables that hold the rows of what the patterns match; a pattern that matches nothing is a fault."""
    matched: set[Name] = set()
    for pattern in patterns:
        schema, dot, name = pattern.partition(".")
        if not dot:
            schema, name = "public", pattern
        found = [r for r in tables if fnmatch.fnmatchcase(r.schema, schema) and fnmatch.fnmatchcase(r.name, name)]
        if not found:
            where = "" if dot else " of the schema public (a pattern without a dot is about that one)"
            faults.append(f'"{pattern}" of {variable} matches no table{where}')
        matched.update(leaf for relation in found for leaf in _leaves(relation))
    return matched


def _leaves(relation: Relation) -> tuple[Name, ...]:
    return relation.partitions if relation.kind == "partitioned table" else (relation.full_name,)


def tables_to_hold(patterns: Patterns) -> t.Callable[[Session], list[Name]]:
    """Return what lists the tables of a session's database that a run with these patterns reads."""

    def list_tables(session: Session) -> list[Name]:
        relations = list_relations(session)
        names = [relation.full_name for relation in relations if relation.kind != "materialized view"]
        selection = select(relations, patterns) if patterns else None
        return [name for name in names if selection is None or name in selection]

    return list_tables
