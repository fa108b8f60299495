# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rows of a table differ between two databases.

Rows are grouped by the hash of their key into buckets, and only the rows of the buckets whose sums differ come here, in
the order of that hash, as hashes. What is transferred grows with the differences, and memory not at all.
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from psycopg import sql

from ..catalog.checksums import row_hash
from ..catalog.relations import Relation
from ..server.endpoint import Session

_BUCKETS: t.Final = 1 << 14
#: How many rows of each kind are named.
_NAMED: t.Final = 5


@dataclasses.dataclass
class RowDifferences:
    """How many rows are missing on the target, there in excess, or changed, and some of each by their primary key.

    A row without one is told by a part of its hash: no other value of a row is anybody's to read in a report.
    """

    missing: int = 0
    extra: int = 0
    changed: int = 0
    examples: dict[str, list[str]] = dataclasses.field(default_factory=lambda: collections.defaultdict(list))
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = []
        for kind, count in (("missing", self.missing), ("extra", self.extra), ("changed", self.changed)):
            if count:
                named = ", ".join(self.examples[kind]) + (", ..." if count > len(self.examples[kind]) else "")
                columns = f" in {', '.join(self.columns)}" if kind == "changed" and self.columns else ""
                parts.append(f"{count:,} {kind}{columns}: {named}")
        return "; ".join(parts)


class _Row(t.NamedTuple):
    key_hash: int
    row_hash: int
    key: str | None

    @property
    def name(self) -> str:
        return name_hash(self.row_hash) if self.key is None else self.key


def name_hash(row_hash: int) -> str:
    """Return a row's name where it has no key: enough to tell some rows apart, too little to tell what is in them."""
    return f"#{row_hash & 0xFFFFFFFF:08x}"


def find_row_differences(source: Session, target: Session, relation: Relation) -> RowDifferences:
    """Return what differs; a table without primary key has its whole row for a key, so that nothing in it is changed.

    Both sessions must be in a transaction, each at its instant.
    """
    buckets = _differing_buckets(source, target, relation)
    found = RowDifferences()
    changed: list[int] = []
    for ours, theirs in _side_by_side(_rows(source, relation, buckets), _rows(target, relation, buckets)):
        if theirs is None:
            assert ours
            found.missing += 1
            _name(found, "missing", ours)
        elif ours is None:
            found.extra += 1
            _name(found, "extra", theirs)
        elif ours.row_hash != theirs.row_hash:
            found.changed += 1
            _name(found, "changed", ours)
            if len(changed) < _NAMED:
                changed.append(ours.key_hash)
    if changed:
        found.columns = _changed_columns(source, target, relation, changed)
    return found


def _name(found: RowDifferences, kind: str, row: _Row) -> None:
    if len(found.examples[kind]) < _NAMED:
        found.examples[kind].append(row.name)


def _differing_buckets(source: Session, target: Session, relation: Relation) -> list[int]:
    query = sql.SQL("SELECT pg_catalog.int8and(k, {mask}), count(*), sum(h) FROM ({hashes}) hashed GROUP BY 1").format(
        mask=_BUCKETS - 1, hashes=_hashes(relation)
    )
    ours, theirs = ({row[0]: row[1:] for row in session.execute(query).fetchall()} for session in (source, target))
    return [bucket for bucket in ours.keys() | theirs.keys() if ours.get(bucket) != theirs.get(bucket)]


def _rows(session: Session, relation: Relation, buckets: list[int]) -> t.Iterator[_Row]:
    """Yield the rows of the buckets in the order of their hashes, fetched bit by bit."""
    query = sql.SQL("SELECT k, h, key FROM ({}) hashed WHERE pg_catalog.int8and(k, {}) = ANY({}) ORDER BY k, h").format(
        _hashes(relation), _BUCKETS - 1, buckets
    )
    with session.cursor("pgconvoy_rows") as cursor:
        cursor.itersize = 10_000
        for row in cursor.execute(query):
            yield _Row(*row)


def _hashes(relation: Relation) -> sql.Composed:
    """The hash of each row's key, of the row, and the primary key as text if there is one."""
    key = [column for column in relation.hashed if column.name in relation.key]
    named = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(sql.Identifier(column.name) for column in key))
    return sql.SQL("SELECT {} AS k, {} AS h, {} AS key FROM {} OFFSET 0").format(
        row_hash(key or relation.hashed),
        row_hash(relation.hashed),
        named if key else sql.SQL("NULL::text"),
        relation.own_rows,
    )


def _side_by_side(source: t.Iterator[_Row], target: t.Iterator[_Row]) -> t.Iterator[tuple[_Row | None, _Row | None]]:
    """Pair the rows of two sorted streams by the hash of their key; a row without its like has None beside it."""
    ours, theirs = next(source, None), next(target, None)
    while ours or theirs:
        if theirs is None or (ours and ours.key_hash < theirs.key_hash):
            yield ours, None
            ours = next(source, None)
        elif ours is None or theirs.key_hash < ours.key_hash:
            yield None, theirs
            theirs = next(target, None)
        else:
            yield ours, theirs
            ours, theirs = next(source, None), next(target, None)


def _changed_columns(source: Session, target: Session, relation: Relation, key_hashes: list[int]) -> tuple[str, ...]:
    """Return the columns in which the rows with these keys differ."""
    key = [column for column in relation.hashed if column.name in relation.key]
    query = sql.SQL("SELECT {}, {} FROM {} WHERE {} = ANY({}) ORDER BY 1").format(
        row_hash(key),
        sql.SQL(", ").join(row_hash([column]) for column in relation.hashed),
        relation.own_rows,
        row_hash(key),
        key_hashes,
    )
    ours, theirs = (session.execute(query).fetchall() for session in (source, target))
    pairs = [pair for pair in zip(ours, theirs, strict=False) if pair[0][0] == pair[1][0]]
    return tuple(
        column.name
        for place, column in enumerate(relation.hashed, start=1)
        if any(our[place] != their[place] for our, their in pairs)
    )
