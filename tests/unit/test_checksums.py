# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How columns enter a checksum, by their type, and how checksums add up; no server is asked."""

from __future__ import annotations

import random
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.checksums import (
    HashedColumn,
    Type,
    add,
    digest,
    hashed_column,
    row_hash,
    sum_query,
)
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql


def base(name: str, *, builtin: bool = True, kind: str = "b", send: bool = True, **other: t.Any) -> Type:
    fields: dict[str, t.Any] = {"is_array": False, "element": 0, "base": 0, "subtype": 0, **other}
    schema = "pg_catalog" if builtin else "public"
    sends = (schema, f"{name}_send") if send else None
    return Type(schema, name, builtin, kind, output=(schema, f"{name}_out"), send=sends, **fields)


def domain(over: int) -> Type:
    return base("domain", builtin=False, kind="d", base=over)


def array(of: int, *, builtin: bool = True) -> Type:
    return base("array", builtin=builtin, is_array=True, element=of)


def range_(subtype: int, *, kind: str = "r", builtin: bool = False) -> Type:
    return base("range", builtin=builtin, kind=kind, subtype=subtype)


INT4, TEXT, NUMERIC, REGTYPE, CITEXT, ENUM, PAIR, XML, POINT, SENDLESS = range(1, 11)
OTHERS = range(101, 200)
TYPES: dict[int, Type] = {
    INT4: base("int4"),
    TEXT: base("text"),
    NUMERIC: base("numeric"),
    REGTYPE: base("regtype"),
    CITEXT: base("citext", builtin=False),
    ENUM: base("mood", builtin=False, kind="e"),
    PAIR: base("pair", builtin=False, kind="c"),
    XML: base("xml"),
    POINT: base("point", element=7),
    SENDLESS: base("gtsvector", send=False),
}


@pytest.mark.parametrize(
    ("types", "form"),
    [
        # the type that is asked for first, then what it is made of
        ([TYPES[INT4]], "hash"),
        ([base("uuid")], "hash"),
        ([base("bytea")], "digest"),
        ([base("bool")], "output"),
        ([TYPES[TEXT]], "text"),
        ([base("varchar")], "text"),
        # the hash of what is stored as a bigint folds it to 32 bits
        ([base("int8")], "output"),
        ([base("timestamp")], "send"),
        ([base("timestamptz")], "send"),
        ([base("time")], "send"),
        ([base("pg_lsn")], "send"),
        # bpchar ignores trailing blanks, numeric and jsonb the scale, interval 1 mon = 30 days, float8 the sign of 0
        ([base("bpchar")], "send"),
        ([TYPES[NUMERIC]], "output"),
        ([base("jsonb")], "output"),
        ([base("json")], "output"),
        ([base("interval")], "send"),
        ([base("float4")], "float"),
        ([base("float8")], "float"),
        ([base("timetz")], "send"),
        ([base("inet")], "send"),
        ([base("bit")], "send"),
        ([TYPES[XML]], "output"),
        ([TYPES[CITEXT]], "send"),
        # a user's type by the name of a builtin one
        ([base("int4", builtin=False)], "send"),
        ([base("text", builtin=False)], "send"),
        # an enum sends its label
        ([TYPES[ENUM]], "send"),
        # names in the place of OIDs
        ([TYPES[REGTYPE]], "name"),
        ([base("regclass")], "name"),
        ([base("regrole")], "output"),
        # the user's own regtype is another thing
        ([base("regtype", builtin=False)], "send"),
        ([TYPES[SENDLESS]], "output"),
        ([TYPES[PAIR]], "output"),
        ([base("record", kind="p")], "output"),
        # a fixed-length type with elements is no array
        ([TYPES[POINT]], "send"),
        ([domain(INT4)], "hash"),
        ([domain(TEXT)], "text"),
        ([domain(NUMERIC)], "output"),
        ([domain(CITEXT)], "send"),
        ([domain(PAIR)], "output"),
        ([domain(REGTYPE)], "name"),
        ([domain(102), domain(INT4)], "hash"),
        ([array(INT4)], "send"),
        ([array(NUMERIC)], "send"),
        ([array(REGTYPE)], "output"),
        # an array holds its element type's OID, which is no user type's everywhere
        ([array(CITEXT, builtin=False)], "output"),
        ([array(ENUM, builtin=False)], "output"),
        ([array(PAIR, builtin=False)], "output"),
        ([array(102, builtin=False), domain(INT4)], "output"),
        ([domain(102), array(INT4)], "send"),
        ([domain(102), array(ENUM)], "output"),
        ([range_(INT4, builtin=True)], "send"),
        ([range_(TEXT)], "send"),
        ([range_(CITEXT)], "send"),
        ([range_(PAIR)], "output"),
        ([range_(REGTYPE)], "output"),
        ([range_(102), domain(INT4)], "send"),
        ([range_(102), array(CITEXT)], "output"),
        ([range_(INT4, kind="m")], "send"),
        ([range_(PAIR, kind="m")], "output"),
        ([array(102), range_(INT4, builtin=True)], "send"),
        ([array(102, builtin=False), range_(INT4)], "output"),
    ],
)
def test_form_of_a_type(types: list[Type], form: str) -> None:
    known = TYPES | dict(zip(OTHERS, types, strict=False))
    column = hashed_column("c", OTHERS[0], known)
    assert (column.name, column.form) == ("c", form)
    # The type as it is declared, not what it is made of.
    assert column.type == f"{types[0].schema}.{types[0].name}"
    assert (column.base is not None) == (types[0].kind == "d")


C = ("x", "f")


@pytest.mark.parametrize(
    ("column", "expression"),
    [
        (HashedColumn("a b", "x.y", "hash", C), 'COALESCE("x"."f"("a b", 7), 0)'),
        (HashedColumn("d", "x.y", "hash", C, ("z", "t")), 'COALESCE("x"."f"(CAST("d" AS "z"."t"), 7), 0)'),
        (
            HashedColumn('q"', "x.y", "text", C),
            'COALESCE(pg_catalog.hashtextextended("q""" COLLATE pg_catalog."C", 7), 0)',
        ),
        (
            HashedColumn("c", "x.y", "output", C),
            'COALESCE(pg_catalog.hashtextextended(pg_catalog.textin("x"."f"("c")) COLLATE pg_catalog."C", 7), 0)',
        ),
    ],
)
def test_expression(column: HashedColumn, expression: str) -> None:
    assert column.hash(7).as_string(None) == expression


@pytest.mark.parametrize("types", [[base("refcursor")], [domain(102), base("refcursor")]])
def test_type_with_the_functions_of_text(types: list[Type]) -> None:
    column = hashed_column("c", OTHERS[0], TYPES | dict(zip(OTHERS, types, strict=False)))
    assert (column.form, column.base) == ("text", ("pg_catalog", "text"))


def test_query_of_a_table_without_columns() -> None:
    assert "hashint4extended(0, 0)" in sum_query([], sql.SQL("ONLY t")).as_string(None)


def test_wide_table_is_hashed_in_a_shallow_tree() -> None:
    """A chain of 1,600 calls would exhaust the server's stack; each column has its own seed."""
    columns = [HashedColumn(f"c{number}", "x.y", "hash", C) for number in range(1600)]
    expression = row_hash(columns).as_string(None)
    depth = deepest = 0
    for character in expression:
        depth += {"(": 1, ")": -1}.get(character, 0)
        deepest = max(deepest, depth)
    assert deepest <= 16
    assert all(f'("c{number}", {number + 1})' in expression for number in range(1600))


SUMS = st.lists(st.integers(-(2**80), 2**80), max_size=6)


def test_of_nothing() -> None:
    assert digest([]) == add([]) == digest([0]) == "0" * 32


@given(SUMS, st.randoms(use_true_random=False))
def test_order_is_no_matter(sums: list[int], random_: random.Random) -> None:
    shuffled = random_.sample(sums, len(sums))
    assert digest(shuffled) == digest(sums)
    assert add(digest([one]) for one in shuffled) == digest(sums)


@given(SUMS, st.integers(0, 6))
def test_parts_add_up(sums: list[int], place: int) -> None:
    """The checksum of a tree of partitions is that of its rows, however they are spread."""
    parts = [digest(sums[:place]), digest(sums[place:])]
    assert add(parts) == add(reversed(parts)) == digest(sums)
    assert len(digest(sums)) == 32


@given(SUMS, st.integers(0, 2**64 - 1))
def test_a_row_more_is_seen(sums: list[int], row: int) -> None:
    assert (digest(sums) == digest([*sums, row])) == (row == 0)


def test_many_copies_of_a_row() -> None:
    """Hashes that agree in their low bits alone, each taken 2^k times: sums that wrap at 2^64 would be equal."""
    for k in range(2, 40):
        assert digest([2**k * 5]) != digest([2**k * (5 + 2 ** (64 - k))])
        assert digest([2**k * -(2**62)]) != digest([0])
