# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between what a database must hold and what the live one does: which rows, and how many."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.checksums import digest
from ..catalog.content import Content, Rows
from ..catalog.large_objects import LargeObject
from ..catalog.relations import Relation
from ..catalog.selection import Name
from ..catalog.sequences import Sequence
from ..rows.differing import RowHashes
from ..rows.written import find_changed
from ..server.endpoint import Session

#: Of more rows than this, the hashes of their keys are not kept: a statement that names them would be of 20 MB.
MOST_KEYS: t.Final = 1 << 20


@dataclasses.dataclass(frozen=True)
class TableDifference:
    """The rows of a table that are not what they must be: they go from the target, and others come.

    ``relation`` is the source's: a table, or a tree of them whose rows may lie in other partitions on the target.
    """

    relation: Relation
    #: how many rows the target has
    before: int
    inserted: int
    updated: int
    deleted: int
    going: Rows
    coming: Rows
    #: the hashes of the keys of what goes and of what comes; None if all are replaced
    keys: tuple[int, ...] | None
    #: where what comes lies on the source, and what goes on the target, if that is known
    here: tuple[str, ...] | None = None
    there: tuple[str, ...] | None = None

    @property
    def tables(self) -> t.Collection[Name]:
        """The tables that hold the rows."""
        return self.relation.stored_in

    @property
    def is_tree(self) -> bool:
        """Whether rows go by way of a partitioned table's name."""
        return self.relation.kind == "partitioned table"


@dataclasses.dataclass(frozen=True)
class LargeObjectsDifference:
    """Large objects that the target unlinks, and those that come in their place or besides."""

    unlinked: tuple[LargeObject, ...]
    sent: tuple[LargeObject, ...]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.unlinked or self.sent)


@dataclasses.dataclass(frozen=True)
class Differences:
    """What a database holds that it must not, and what it lacks.

    ``tables`` come parents before their children, and of a tree all is taken at once.
    """

    tables: tuple[TableDifference, ...]
    large_objects: LargeObjectsDifference
    #: where sequences must stand that stand elsewhere
    sequences: tuple[Sequence, ...]


def find_table_differences(
    source: Session,
    target: Session,
    ours: Content,
    theirs: Content,
    since: int | None = None,
    computed: t.Container[Name] = (),
) -> t.Iterator[TableDifference]:
    """Yield, for each table that is not the same on both sides, what differs.

    Both sessions must be in a transaction, each at its instant, of which the contents were read.

    :param since: the number of the source's transaction before which the target was its copy; None if it never was
    :param computed: the target's tables whose generated columns hold what its server makes of their rows, of which what
        they are given is compared
    """
    there = {measured.relation.full_name: measured for measured in theirs.relations}
    trees = {m.relation.load_through for m in ours.relations}
    for measured in ours.relations:
        relation = measured.relation
        # Of a tree whose rows may lie in other partitions on the target, the whole is compared.
        is_whole = relation.kind == "table" and not relation.load_through
        found = there[relation.full_name]
        if (is_whole or relation.full_name in trees) and measured.rows != found.rows:
            if all(name in computed for name in found.relation.stored_in) and measured.given.relation != relation:
                measured, found = measured.given, found.given
            assert measured.rows
            assert found.rows
            if measured.rows != found.rows:
                yield _compare_rows(source, target, measured.relation, measured.rows, found.rows, since)


def _compare_rows(
    source: Session, target: Session, relation: Relation, ours: Rows, theirs: Rows, since: int | None
) -> TableDifference:
    if not ours.count or not theirs.count:
        return TableDifference(relation, theirs.count, ours.count, 0, theirs.count, theirs, ours, None)
    inserted = updated = deleted = 0
    going, coming, keys = _Sum(), _Sum(), list[int]()
    found = find_changed(source, target, relation, ours, theirs, since)
    for rows in found.rows:
        inserted += rows.missing.total() - rows.changed
        updated += rows.changed
        deleted += rows.extra.total() - rows.changed
        going.add(rows.theirs)
        coming.add(rows.ours)
        if len(keys) <= MOST_KEYS:
            keys.append(rows.key_hash)
    if len(keys) > MOST_KEYS:
        return TableDifference(relation, theirs.count, inserted, updated, deleted, theirs, ours, None)
    here, there = (places.of(keys) if places else None for places in (found.here, found.there))
    return TableDifference(
        relation, theirs.count, inserted, updated, deleted, going.rows, coming.rows, tuple(keys), here, there
    )


@dataclasses.dataclass
class _Sum:
    """The number of rows, and the sum of their hashes."""

    count: int = 0
    hashes: int = 0

    def add(self, some: RowHashes) -> None:
        self.count += some.total()
        self.hashes += sum(row * times for row, times in some.items())

    @property
    def rows(self) -> Rows:
        return Rows(self.count, digest([self.hashes]))


def compare_large_objects(ours: t.Sequence[LargeObject], theirs: t.Sequence[LargeObject]) -> LargeObjectsDifference:
    """Return what differs; one that has another comment is sent anew."""
    here, there = set(ours), set(theirs)
    return LargeObjectsDifference(
        tuple(large_object for large_object in theirs if large_object not in here),
        tuple(large_object for large_object in ours if large_object not in there),
    )


def compare_sequences(ours: t.Iterable[Sequence], theirs: t.Iterable[Sequence]) -> tuple[Sequence, ...]:
    """Return where sequences must stand that do not stand there."""
    there = {(sequence.schema, sequence.name): (sequence.last_value, sequence.is_called) for sequence in theirs}
    return tuple(
        sequence
        for sequence in ours
        if there.get((sequence.schema, sequence.name)) != (sequence.last_value, sequence.is_called)
    )
