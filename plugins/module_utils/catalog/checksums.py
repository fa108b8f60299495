# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checksums of rows, computed by the servers: equal on any server for equal rows in any order, exact for every type.

A row is hashed by ``hash_record_extended`` over its columns in the order of their names. That hash is linear in the
columns' hashes: its sum alone would not see two rows exchange a value. Hence two sums: that of the row hashes, in
which a single changed row shows with all 64 bits, and that of the row hashes hashed again, which binds a row's values
together.
"""

from __future__ import annotations

import dataclasses
import typing as t

from psycopg import sql

from ..endpoint import Session

#: The name of this way to compute; checksums of two names cannot be compared.
ALGORITHM: t.Final = "hash_record-2sum-1"

#: Types whose hash is equal only for identical values. Missing here, for instance: float8 (-0 = 0), numeric and jsonb
#: (scale), interval (1 mon = 30 days), timetz, inet; text and varchar are identical only under the collation "C".
_PLAIN: t.Final = frozenset(
    {
        *("bool", "bytea", "char", "date", "int2", "int4", "int8", "macaddr", "macaddr8", "name", "oid", "pg_lsn"),
        *("time", "timestamp", "timestamptz", "uuid"),
    }
)
_COLLATED: t.Final = frozenset({"text", "varchar"})
#: Types that hold OIDs: only their text is the same everywhere.
_OID_ALIASES: t.Final = frozenset(
    {
        *("regclass", "regcollation", "regconfig", "regdatabase", "regdictionary", "regnamespace", "regoper"),
        *("regoperator", "regproc", "regprocedure", "regrole", "regtype"),
    }
)


@dataclasses.dataclass(frozen=True)
class Type:
    """A row of pg_type, as far as it matters. ``builtin``: its OID is the same on every server."""

    schema: str
    name: str
    builtin: bool
    kind: str
    is_array: bool
    element: int
    base: int
    subtype: int
    send: tuple[str, str] | None


@dataclasses.dataclass(frozen=True)
class HashedColumn:
    """How a column enters the row's hash: as it is, under the collation C, as its send function's bytes, or as text."""

    name: str
    type: str
    form: t.Literal["plain", "collated", "send", "text"]
    send: tuple[str, str] | None = None

    @property
    def expression(self) -> sql.Composable:
        """The column's part of the row."""
        column = sql.Identifier(self.name)
        if self.form == "collated":
            return column + sql.SQL(' COLLATE "C"')
        if self.form == "text":
            return column + sql.SQL('::text COLLATE "C"')
        if self.form == "send":
            assert self.send
            return sql.SQL("{}({})").format(sql.Identifier(*self.send), column)
        return column


# A multirange's subtype is its range's.
_TYPES: t.Final = """
SELECT y.oid, yn.nspname, y.typname, y.oid < 16384, y.typtype::text,
       y.typelem <> 0 AND y.typlen = -1 AND y.typsubscript =
       'array_subscript_handler'::regproc, y.typelem, y.typbasetype, coalesce(r.rngsubtype, m.rngsubtype, 0),
       CASE WHEN y.typsend <> 0 THEN ARRAY[n.nspname::text, p.proname::text] END
FROM pg_type y
JOIN pg_namespace yn ON yn.oid = y.typnamespace
LEFT JOIN pg_range r ON r.rngtypid = y.oid
LEFT JOIN pg_range m ON m.rngmultitypid = y.oid
LEFT JOIN pg_proc p ON p.oid = y.typsend
LEFT JOIN pg_namespace n ON n.oid = p.pronamespace
"""


def read_types(session: Session) -> dict[int, Type]:
    """Return all types by OID. The session's search_path must be empty."""
    types = {}
    for oid, schema, name, builtin, kind, is_array, element, base, subtype, send in session.execute(_TYPES).fetchall():
        sender = tuple(send) if send else None
        types[oid] = Type(schema, name, builtin, kind, is_array, element, base, subtype, sender)
    return types


def hashed_column(name: str, oid: int, types: t.Mapping[int, Type]) -> HashedColumn:
    """Return how a column of a type is hashed."""
    declared = types[oid]
    type_name, type_ = f"{declared.schema}.{declared.name}", declared
    while type_.kind == "d":
        type_ = types[type_.base]
    if type_.builtin and type_.name in _PLAIN:
        return HashedColumn(name, type_name, "plain")
    if type_.builtin and type_.name in _COLLATED:
        return HashedColumn(name, type_name, "collated")
    if type_.send and _sends_no_oid(type_, types):
        return HashedColumn(name, type_name, "send", type_.send)
    return HashedColumn(name, type_name, "text")


def _sends_no_oid(type_: Type, types: t.Mapping[int, Type]) -> bool:
    """Whether a type's binary form is made of values alone; an array's holds its element type's OID besides."""
    if type_.kind == "d":
        return _sends_no_oid(types[type_.base], types)
    if type_.kind in "rm":
        return _sends_no_oid(types[type_.subtype], types)
    if type_.is_array:
        return types[type_.element].builtin and _sends_no_oid(types[type_.element], types)
    return type_.kind in "be" and type_.send is not None and not (type_.builtin and type_.name in _OID_ALIASES)


def sums_query(columns: t.Sequence[HashedColumn], source: sql.Composable) -> sql.Composed:
    """Return the query for the number of rows and the two sums of what a FROM clause yields."""
    row = sql.SQL(", ").join(column.expression for column in columns)
    # OFFSET 0 keeps the row's hash from being computed once for each sum.
    return sql.SQL(
        "SELECT count(*), coalesce(sum(h), 0), coalesce(sum(hashint8extended(h, 0)), 0)"
        " FROM (SELECT hash_record_extended(ROW({}), 0) AS h FROM {} OFFSET 0) hashed"
    ).format(row, source)


def digest(sums: t.Iterable[tuple[int, int]]) -> str:
    """Return the checksum that pairs of sums make together: 32 hexadecimal digits."""
    totals = [sum(column) % 2**64 for column in zip((0, 0), *sums, strict=True)]
    return "".join(f"{total:016x}" for total in totals)


def add(checksums: t.Iterable[str]) -> str:
    """Return the checksum of the rows of several relations together."""
    return digest((int(checksum[:16], 16), int(checksum[16:], 16)) for checksum in checksums)
