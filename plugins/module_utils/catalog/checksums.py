# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checksums of rows, computed by the servers: equal on any server for equal rows in any order, exact for every type.

Each column is hashed by itself, to 64 bits, from a seed of its own; a row's hash is made of all of these bits; and the
rows' hashes are summed up. hash_record_extended would be simpler, but hashes a bigint and every type that is stored as
one (timestamps, times, pg_lsn) by the exclusive or of its halves (hashint8extended in hashfunc.c): 5 and 4294967300
are the same to it.
"""

from __future__ import annotations

import dataclasses
import typing as t

from psycopg import sql

from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer, one_line

#: The name of this way to compute; checksums of two names cannot be compared.
ALGORITHM: t.Final = "column-hashes-2"

#: The types whose own hash differs for different values, by the functions of their hash operator classes. Missing
#: here, for instance: numeric and jsonb (scale and sign), interval (1 mon = 30 days), all that are stored as a bigint.
_HASHES: t.Final = {
    "char": "hashcharextended",
    "int2": "hashint2extended",
    "int4": "hashint4extended",
    "macaddr": "hashmacaddrextended",
    "macaddr8": "hashmacaddr8extended",
    "name": "hashnameextended",
    "oid": "hashoidextended",
    "uuid": "uuid_hash_extended",
}
#: Different values are different bytes, if only the collation leaves them alone.
_TEXTS: t.Final = frozenset({"text", "varchar"})
#: Only -0 and 0 have one hash.
_FLOATS: t.Final = {"float4": "hashfloat4extended", "float8": "hashfloat8extended"}
#: Types whose text is exact and costs less than their binary form, which is hashed in hexadecimal digits.
PRINTED: t.Final = frozenset({"bool", "int8", "json", "jsonb", "numeric", "xml"})
#: The types whose text tells an object's schema only where the session's search_path does not lead to it, and the
#: catalogs of these objects, whose full names pg_identify_object knows.
_NAMES: t.Final = {
    "regclass": "pg_class",
    "regcollation": "pg_collation",
    "regconfig": "pg_ts_config",
    "regdictionary": "pg_ts_dict",
    "regoper": "pg_operator",
    "regoperator": "pg_operator",
    "regproc": "pg_proc",
    "regprocedure": "pg_proc",
    "regtype": "pg_type",
}
#: Types that hold OIDs: only their text is the same everywhere.
OID_ALIASES: t.Final = frozenset(
    {
        *("regclass", "regcollation", "regconfig", "regdatabase", "regdictionary", "regnamespace", "regoper"),
        *("regoperator", "regproc", "regprocedure", "regrole", "regtype"),
    }
)


@dataclasses.dataclass(frozen=True)
class Type:
    """A row of pg_type, as far as it matters. ``builtin``: its OID is the same on every server.

    That is so of those which PostgreSQL's source assigns; initdb assigns others, those of information_schema among
    them, and they differ between majors (docs: BKI, OID Assignment).
    """

    schema: str
    name: str
    builtin: bool
    kind: str
    is_array: bool
    element: int
    base: int
    subtype: int
    output: tuple[str, str]
    send: tuple[str, str] | None


Form = t.Literal["hash", "float", "text", "digest", "name", "output", "send"]


@dataclasses.dataclass(frozen=True)
class HashedColumn:
    """How a column is hashed.

    ``hash``: by the type's own hash function, which is ``function``; ``float``: likewise, but for zeros; ``text``:
    under the collation C; ``digest``: by its SHA-256, since its text may be longer than any may be; ``name``: as the
    full name of the object in ``catalog`` that it stands for; ``output`` and ``send``: as what that function of the
    type makes of it.
    """

    name: str
    #: as it is declared
    type: str
    form: Form
    function: tuple[str, str]
    #: what it is cast to, where the functions take no value of the declared type: a domain's base type, mostly
    base: tuple[str, str] | None = None
    catalog: str = ""

    def hash(self, seed: int) -> sql.Composed:
        """Return the expression of the column's hash, a bigint; that of NULL is 0."""
        column: sql.Composable = sql.Identifier(self.name)
        if self.base:
            column = sql.SQL("CAST({} AS {})").format(column, sql.Identifier(*self.base))
        function = sql.Identifier(*self.function)
        if self.form == "hash":
            hashes = [sql.SQL("{}({}, {})").format(function, column, seed)]
        elif self.form == "float":
            # A zero is told by its text, which has a sign.
            not_zero = sql.SQL("{}(NULLIF({}, '0'), {})").format(function, column, seed)
            hashes = [not_zero, _hash_text(sql.SQL("CAST({} AS pg_catalog.text)").format(column), seed)]
        elif self.form == "text":
            hashes = [_hash_text(column, seed)]
        elif self.form == "name":
            # What stands for no object, or for one that is gone, has a text only.
            named = sql.SQL("(pg_catalog.pg_identify_object({}, CAST({} AS pg_catalog.oid), 0)).identity").format(
                sql.SQL("CAST({} AS pg_catalog.regclass)").format(f"pg_catalog.{self.catalog}"), column
            )
            printed = sql.SQL("pg_catalog.textin({}({}))").format(function, column)
            hashes = [_hash_text(sql.SQL("COALESCE({}, {})").format(named, printed), seed)]
        else:
            made = sql.SQL("{}({})").format(function, column)
            printed = made if self.form == "output" else sql.SQL("pg_catalog.byteaout({})").format(made)
            hashes = [_hash_text(sql.SQL("pg_catalog.textin({})").format(printed), seed)]
        return sql.SQL("COALESCE({}, 0)").format(sql.SQL(", ").join(hashes))


def _hash_text(text: sql.Composable, seed: int) -> sql.Composed:
    return sql.SQL('pg_catalog.hashtextextended({} COLLATE pg_catalog."C", {})').format(text, seed)


# Those of users' columns, and what these are made of (FirstNormalObjectId in transam.h). A multirange's subtype is its
# range's.
_TYPES: t.Final = """
WITH RECURSIVE used(oid) AS (
    SELECT atttypid FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0 AND NOT attisdropped
    UNION
    SELECT part.oid FROM used JOIN pg_type y ON y.oid = used.oid
    CROSS JOIN LATERAL (
        SELECT unnest(ARRAY[y.typelem, y.typbasetype])
        UNION ALL SELECT rngsubtype FROM pg_range WHERE y.oid IN (rngtypid, rngmultitypid)
        UNION ALL SELECT atttypid FROM pg_attribute WHERE attrelid = y.typrelid AND attnum > 0 AND NOT attisdropped
    ) part(oid)
)
SELECT y.oid, yn.nspname, y.typname, y.oid < 10000, y.typtype::text,
       y.typelem <> 0 AND y.typlen = -1 AND y.typsubscript =
       'array_subscript_handler'::regproc, y.typelem, y.typbasetype, coalesce(r.rngsubtype, m.rngsubtype, 0),
       ARRAY[n.nspname::text, p.proname::text],
       CASE WHEN y.typsend <> 0 THEN ARRAY[sn.nspname::text, s.proname::text] END
FROM used JOIN pg_type y ON y.oid = used.oid
JOIN pg_namespace yn ON yn.oid = y.typnamespace
JOIN pg_proc p ON p.oid = y.typoutput
JOIN pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN pg_range r ON r.rngtypid = y.oid
LEFT JOIN pg_range m ON m.rngmultitypid = y.oid
LEFT JOIN pg_proc s ON s.oid = y.typsend
LEFT JOIN pg_namespace sn ON sn.oid = s.pronamespace
"""


def read_types(session: Session) -> dict[int, Type]:
    """Return the types of users' columns by OID; see `ask_types`."""
    return answer(session, ask_types())


def ask_types() -> Inquiry[dict[int, Type]]:
    """Ask for the types of users' columns, and what these are made of, by OID.

    The session's search_path must be empty.
    """
    types = {}
    (rows,) = yield [one_line(_TYPES)]
    for oid, schema, name, builtin, kind, is_array, element, base, subtype, output, send in rows:
        printer, sender = tuple(output), tuple(send) if send else None
        types[oid] = Type(schema, name, builtin, kind, is_array, element, base, subtype, printer, sender)
    return types


def hashed_column(name: str, oid: int, types: t.Mapping[int, Type]) -> HashedColumn:
    """Return how a column of a type is hashed."""
    declared = types[oid]
    type_ = declared
    while type_.kind == "d":
        type_ = types[type_.base]
    form, function = _form(type_, types)
    base = (type_.schema, type_.name) if declared.kind == "d" else None
    if type_.builtin and type_.name == "refcursor":
        # The one type that has the functions of another (pg_type.dat).
        form, base = "text", ("pg_catalog", "text")
    catalog = _NAMES.get(type_.name, "") if type_.builtin else ""
    return HashedColumn(
        name, f"{declared.schema}.{declared.name}", "name" if catalog else form, function, base, catalog
    )


def _form(type_: Type, types: t.Mapping[int, Type]) -> tuple[Form, tuple[str, str]]:
    if type_.builtin and type_.name in _HASHES:
        return "hash", ("pg_catalog", _HASHES[type_.name])
    if type_.builtin and type_.name in _FLOATS:
        return "float", ("pg_catalog", _FLOATS[type_.name])
    if type_.builtin and type_.name in _TEXTS:
        return "text", type_.output
    if type_.builtin and type_.name == "bytea":
        return "digest", ("pg_catalog", "sha256")
    if type_.send and _sends_no_oid(type_, types) and not (type_.builtin and type_.name in PRINTED):
        return "send", type_.send
    return "output", type_.output


def _sends_no_oid(type_: Type, types: t.Mapping[int, Type]) -> bool:
    """Whether a type's binary form is made of values alone; an array's holds its element type's OID besides."""
    if type_.kind == "d":
        return _sends_no_oid(types[type_.base], types)
    if type_.kind in "rm":
        return _sends_no_oid(types[type_.subtype], types)
    if type_.is_array:
        return types[type_.element].builtin and _sends_no_oid(types[type_.element], types)
    return type_.kind in "be" and type_.send is not None and not (type_.builtin and type_.name in OID_ALIASES)


def is_sent_alike(type_: Type, types: t.Mapping[int, Type]) -> bool:
    """Whether a type's binary form is the same on every server: PostgreSQL's own types, and what is made of them.

    Of the majors 15 to 18, each reads what the others write. An enum sends its labels (enum_send in enum.c). What an
    extension's type sends, its version may decide.
    """
    if type_.kind == "d":
        return is_sent_alike(types[type_.base], types)
    if type_.kind in "rm":
        return is_sent_alike(types[type_.subtype], types)
    if type_.is_array:
        return types[type_.element].builtin and is_sent_alike(types[type_.element], types)
    return type_.kind == "e" or (type_.builtin and _sends_no_oid(type_, types))


def row_hash(columns: t.Sequence[HashedColumn]) -> sql.Composed:
    """Return the expression of a row's hash, a bigint.

    The columns' hashes are joined by exclusive or; since each has a seed of its own, equal values do not cancel out. To
    hash the outcome once more binds a row's values together: were it summed up as it is, two rows that exchange a value
    would go unseen. The seed is what hashint4extended takes whole (hash_bytes_uint32_extended in hashfn.c).
    """
    return sql.SQL("pg_catalog.hashint4extended(0, {})").format(
        _xor([c.hash(n) for n, c in enumerate(columns, start=1)])
    )


def _xor(hashes: t.Sequence[sql.Composable]) -> sql.Composable:
    """Join the hashes as a balanced tree: 1,600 columns in a chain would need a deep stack."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sql.SQL("0")
    half = len(hashes) // 2
    return sql.SQL("pg_catalog.int8xor({}, {})").format(_xor(hashes[:half]), _xor(hashes[half:]))


def sum_query(
    columns: t.Sequence[HashedColumn], source: sql.Composable, *others: t.Sequence[HashedColumn]
) -> sql.Composed:
    """Return the query for the number of rows and the sum of their hashes, of what a FROM clause yields.

    :param others: of these columns, there is another sum each
    """
    sums = [sql.SQL("coalesce(sum({}), 0)").format(row_hash(some)) for some in (columns, *others)]
    return sql.SQL("SELECT count(*), {} FROM {}").format(sql.SQL(", ").join(sums), source)


def digest(sums: t.Iterable[int]) -> str:
    """Return the checksum that sums make together: 32 hexadecimal digits.

    That is wide enough for the sum of any number of rows. Taken modulo 2^64, 2^k copies of a row would be told from as
    many of another one by 64 - k bits of their hashes alone.
    """
    return f"{sum(sums) % 2**128:032x}"


def add(checksums: t.Iterable[str]) -> str:
    """Return the checksum of the rows of several relations together."""
    return digest(int(checksum, 16) for checksum in checksums)
