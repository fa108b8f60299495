# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rows of a table are not the same in two databases, found by their servers.

Each side groups its rows by bits of the hash of their key and tells each group's sum; of the groups that differ, finer
ones are asked for, until few rows are left in each; and only of these do rows come here, as hashes, in the order of
their keys' hashes. What is transferred grows with the differences, and memory not at all.

By the hash, not by ranges of the key: every type has one, while an order depends on collations, in which two servers
need not agree, and takes a sort. Rows without a primary key are grouped by all of their columns.
"""

from __future__ import annotations

import collections
import itertools
import operator
import typing as t

from psycopg import sql

from ..catalog.checksums import HashedColumn, row_hash
from ..catalog.relations import Relation
from ..server.endpoint import Session

#: By how many bits of the hash rows are grouped at first, and by how many more each time.
_FIRST_BITS: t.Final = 12
_MORE_BITS: t.Final = 6
_MOST_BITS: t.Final = 30
#: Finer groups are asked for while there are more rows than this to a group: the sums of 64 groups are as much to
#: transfer as the hashes of about a hundred rows.
_FEW_ROWS: t.Final = 128
#: Of more groups than this, no finer ones: each may become 64.
_MOST_GROUPS: t.Final = 1 << 12
_FETCHED: t.Final = 10_000

#: How many rows there are of each hash, among those of one key.
RowHashes = collections.Counter[int]


class Differing(t.NamedTuple):
    """A hash of keys, and the hashes of the rows that have such a key on either side; they are not the same.

    Of a primary key, that is one row on one side or on both, but for keys whose hash is the same by chance.
    """

    key_hash: int
    ours: RowHashes
    theirs: RowHashes

    @property
    def missing(self) -> RowHashes:
        """What the target does not have."""
        return self.ours - self.theirs

    @property
    def extra(self) -> RowHashes:
        """What the source does not have."""
        return self.theirs - self.ours

    @property
    def changed(self) -> int:
        """How many rows of the target become others of the same key."""
        return min(self.missing.total(), self.extra.total())


class Places:
    """Where rows lie that were looked for, by the hash of their key: who wants them again need not look for them.

    A row stays where it is for those to whom a snapshot shows it, and for all while nobody else writes to its table.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[int, list[str | None]] = collections.defaultdict(list)
        self._left = _FETCHED

    def note(self, rows: t.Iterable[tuple[t.Any, ...]]) -> t.Iterator[tuple[int, int]]:
        """Yield rows without the place that each tells, or not, and note it; of too many, nothing is known."""
        for key, row, place in rows:
            self._left -= 1
            if self._left >= 0:
                self._known[key].append(place)
            else:
                self._known.clear()
            yield key, row

    def of(self, key_hashes: t.Iterable[int]) -> tuple[str, ...] | None:
        """Return where all rows with such keys lie, if that is known."""
        found = [place for key in key_hashes for place in self._known.get(key, ())]
        return None if self._left < 0 or None in found else tuple(place for place in found if place)


def find_differing(source: Session, target: Session, relation: Relation) -> t.Iterator[Differing]:
    """Return what differs, in the order of the keys' hashes.

    Both sessions must be in a transaction, each at its instant.

    :param relation: of the source; the target's has the same columns
    """
    suspects, most = _narrow(source, target, relation)
    ours, theirs = (read_rows(session, relation, suspects, most) for session in (source, target))
    return pair_rows(ours, theirs)


def pair_rows(ours: t.Iterator[tuple[int, int]], theirs: t.Iterator[tuple[int, int]]) -> t.Iterator[Differing]:
    """Yield what differs between rows of both sides, each as the hashes of key and row, in the order of the keys'."""
    for key, (here, there) in _side_by_side(_keys(ours), _keys(theirs)):
        if here != there:
            yield Differing(key, here, there)


def key_hash(relation: Relation) -> sql.Composed:
    """Return the expression of the hash of a row's key."""
    return row_hash(key_columns(relation) or relation.hashed)


def key_columns(relation: Relation) -> list[HashedColumn]:
    """Return the columns of the primary key, by name."""
    return [column for column in relation.hashed if column.name in relation.key]


def name_keys(session: Session, relation: Relation, key_hashes: t.Sequence[int]) -> dict[int, str]:
    """Return the values of the primary key as text, by their hash, of those of some rows that the session has."""
    columns = sql.SQL(", ").join(map(sql.Identifier, relation.key))
    query = sql.SQL("SELECT {}, ROW({})::text FROM {}").format(
        key_hash(relation), columns, rows_of(relation, key_hashes)
    )
    return dict(session.execute(query).fetchall())


def rows_of(relation: Relation, key_hashes: t.Sequence[int], places: t.Sequence[str] | None = None) -> sql.Composed:
    """Return the FROM item that yields the relation's own rows whose keys have these hashes.

    An extension's condition may hold an OR: it is asked of these rows, under the name by which it knows the table.

    :param places: where they lie, if that is known
    """
    return _own_rows(relation, has_key(relation, key_hashes, places))


def has_key(relation: Relation, key_hashes: t.Sequence[int], places: t.Sequence[str] | None = None) -> sql.Composed:
    """Return the condition that a row's key has one of these hashes.

    :param places: where these rows lie, if that is known: they are named by that alone
    """
    if places is None:
        return is_any(key_hash(relation), key_hashes)
    return sql.SQL("ctid OPERATOR(pg_catalog.=) ANY (CAST({} AS pg_catalog.tid[]))").format(list(places))


def is_any(expression: sql.Composable, values: t.Sequence[int]) -> sql.Composed:
    """Return the condition that a bigint is one of the values."""
    return sql.SQL("{} = ANY (CAST({} AS pg_catalog.int8[]))").format(expression, list(values))


def _own_rows(relation: Relation, condition: sql.Composable, columns: t.LiteralString = "*") -> sql.Composed:
    only = sql.SQL("ONLY ") if relation.kind == "table" else sql.SQL("")
    return sql.SQL("(SELECT {} FROM {}{} WHERE {}) {} {}").format(
        sql.SQL(columns),
        only,
        relation.identifier,
        condition,
        sql.Identifier(relation.name),
        sql.SQL(relation.condition),
    )


def _narrow(source: Session, target: Session, relation: Relation) -> tuple[sql.Composed, int]:
    """Return the condition that holds for the rows of groups that differ, and how many there are at most on a side."""
    bits, condition = _FIRST_BITS, sql.Composed([sql.SQL("true")])
    while True:
        ours, theirs = (_sums(session, relation, bits, condition) for session in (source, target))
        suspects = sorted(group for group in ours.keys() | theirs.keys() if ours.get(group) != theirs.get(group))
        condition = is_any(_group(relation, bits), suspects)
        rows = sum(max(side.get(group, (0, 0))[0] for side in (ours, theirs)) for group in suspects)
        if rows <= _FEW_ROWS * len(suspects) or len(suspects) > _MOST_GROUPS or bits >= _MOST_BITS:
            return condition, rows
        bits += _MORE_BITS


def _sums(session: Session, relation: Relation, bits: int, condition: sql.Composable) -> dict[int, tuple[int, int]]:
    """Return the number of rows, and the sum of their hashes, of each group that has any and meets the condition."""
    query = sql.SQL("SELECT {}, count(*), sum({}) FROM {} GROUP BY 1").format(
        _group(relation, bits), row_hash(relation.hashed), _own_rows(relation, condition)
    )
    return {group: (count, int(hashes)) for group, count, hashes in session.execute(query).fetchall()}


def _group(relation: Relation, bits: int) -> sql.Composed:
    return sql.SQL("pg_catalog.int8and({}, {})").format(key_hash(relation), (1 << bits) - 1)


# A way of storing rows that is an extension's need not find them by their place.
_PLACE: t.Final = """, CASE WHEN (
    SELECT a.amhandler::pg_catalog.oid OPERATOR(pg_catalog.=)
        'pg_catalog.heap_tableam_handler'::pg_catalog.regproc::pg_catalog.oid
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
    WHERE c.oid OPERATOR(pg_catalog.=) {}::pg_catalog.regclass::pg_catalog.oid
) THEN ctid::pg_catalog.text END"""


def read_rows(
    session: Session,
    relation: Relation,
    condition: sql.Composable,
    most: int | None = None,
    places: Places | None = None,
) -> t.Iterator[tuple[int, int]]:
    """Yield the hashes of keys and rows that meet a condition, in the order of the keys', fetched bit by bit.

    :param most: how many there are at most, if that is known: few come at once
    :param places: notes where they lie
    """
    place, columns = sql.Composed([]), "*"
    if places:
        place, columns = sql.SQL(_PLACE).format(relation.identifier.as_string(session)), "ctid, *"
    query = sql.SQL("SELECT {}, {}{} FROM {} ORDER BY 1").format(
        key_hash(relation), row_hash(relation.hashed), place, _own_rows(relation, condition, columns)
    )
    if most is not None and most <= _FETCHED:
        found = session.execute(query).fetchall()
        yield from places.note(found) if places else found
        return
    with session.cursor("pgconvoy_rows", binary=True) as cursor:
        cursor.itersize = _FETCHED
        cursor.execute(query)
        yield from places.note(cursor) if places else cursor


def _keys(rows: t.Iterable[tuple[int, int]]) -> t.Iterator[tuple[int, RowHashes]]:
    """Group rows by the hash of their key."""
    for key, some in itertools.groupby(rows, key=operator.itemgetter(0)):
        yield key, RowHashes(row for _, row in some)


def _side_by_side(
    source: t.Iterator[tuple[int, RowHashes]], target: t.Iterator[tuple[int, RowHashes]]
) -> t.Iterator[tuple[int, tuple[RowHashes, RowHashes]]]:
    """Pair two sorted streams by the hash of the key; what one side does not have is none there."""
    ours, theirs = next(source, None), next(target, None)
    while ours or theirs:
        key = min(side[0] for side in (ours, theirs) if side)
        here = ours[1] if ours and ours[0] == key else RowHashes()
        there = theirs[1] if theirs and theirs[0] == key else RowHashes()
        yield key, (here, there)
        if here:
            ours = next(source, None)
        if there:
            theirs = next(target, None)
