# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between the content of the source and that of the live database: which rows, and how many."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.content import Content, Rows
from ..catalog.large_objects import LargeObject
from ..catalog.relations import Relation
from ..catalog.selection import Name
from ..rows.differing import find_differing
from ..server.endpoint import Session

#: Of more rows than this, the hashes of their keys are not kept: a statement that names them would be of 20 MB.
MOST_KEYS: t.Final = 1 << 20


@dataclasses.dataclass(frozen=True)
class TableDifference:
    """The rows of a table that are not the same on both sides.

    ``relation`` is the source's: a table, or a tree of them whose rows may lie in other partitions on the target.
    """

    relation: Relation
    #: how many rows the target has
    before: int
    inserted: int
    updated: int
    deleted: int
    #: how many rows the source sends
    sent: int
    #: the hashes of these rows' keys and of those that the target deletes; None if all are replaced
    keys: tuple[int, ...] | None

    @property
    def tables(self) -> t.Collection[Name]:
        """The tables that hold the rows."""
        return self.relation.partitions if self.is_tree else (self.relation.full_name,)

    @property
    def is_tree(self) -> bool:
        """Whether rows go by way of a partitioned table's name."""
        return self.relation.kind == "partitioned table"

    @property
    def deletes(self) -> bool:
        """Whether rows of the target are deleted, also to come back with other values."""
        return bool(self.updated or self.deleted)


def find_table_differences(
    source: Session, target: Session, ours: Content, theirs: Content
) -> t.Iterator[TableDifference]:
    """Yield, for each table that is not the same on both sides, what differs.

    Both sessions must be in a transaction, each at its instant, of which the contents were read.
    """
    there = {measured.relation.full_name: measured for measured in theirs.relations}
    trees = {m.relation.load_through for m in ours.relations}
    for measured in ours.relations:
        relation = measured.relation
        # Of a tree whose rows may lie in other partitions on the target, the whole is compared.
        is_whole = relation.kind == "table" and not relation.load_through
        if (is_whole or relation.full_name in trees) and measured.rows != there[relation.full_name].rows:
            found = there[relation.full_name].rows
            assert measured.rows
            assert found
            yield _compare_rows(source, target, relation, measured.rows, found)


def _compare_rows(source: Session, target: Session, relation: Relation, ours: Rows, theirs: Rows) -> TableDifference:
    if not ours.count or not theirs.count:
        return TableDifference(relation, theirs.count, ours.count, 0, theirs.count, ours.count, None)
    inserted = updated = deleted = sent = 0
    keys: list[int] = []
    for rows in find_differing(source, target, relation):
        inserted += rows.missing.total() - rows.changed
        updated += rows.changed
        deleted += rows.extra.total() - rows.changed
        sent += rows.ours.total()
        if len(keys) <= MOST_KEYS:
            keys.append(rows.key_hash)
    if len(keys) > MOST_KEYS:
        return TableDifference(relation, theirs.count, inserted, updated, deleted, ours.count, None)
    return TableDifference(relation, theirs.count, inserted, updated, deleted, sent, tuple(keys))


@dataclasses.dataclass(frozen=True)
class LargeObjectsDifference:
    """Large objects that the target unlinks, and those that the source sends in their place or besides."""

    unlinked: tuple[LargeObject, ...]
    sent: tuple[LargeObject, ...]


def compare_large_objects(ours: t.Sequence[LargeObject], theirs: t.Sequence[LargeObject]) -> LargeObjectsDifference:
    """Return what differs; one that has another comment is sent anew."""
    here, there = set(ours), set(theirs)
    return LargeObjectsDifference(
        tuple(large_object for large_object in theirs if large_object not in here),
        tuple(large_object for large_object in ours if large_object not in there),
    )
