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
    sums_query,
)
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql


def base(name: str, *, builtin: bool = True, kind: str = "b", send: bool = True, **other: t.Any) -> Type:
    fields: dict[str, t.Any] = {"is_array": False, "element": 0, "base": 0, "subtype": 0, **other}
    schema = "pg_catalog" if builtin else "public"
    sends = (schema, f"{name}_send") if send else None
    return Type(schema=schema, name=name, builtin=builtin, kind=kind, send=sends, **fields)


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
        ([TYPES[INT4]], "plain"),
        ([base("uuid")], "plain"),
        ([base("timestamptz")], "plain"),
        ([base("bytea")], "plain"),
        ([base("bool")], "plain"),
        ([TYPES[TEXT]], "collated"),
        ([base("varchar")], "collated"),
        # bpchar ignores trailing blanks, numeric and jsonb the scale, interval 1 mon = 30 days, float8 the sign of 0
        ([base("bpchar")], "send"),
        ([TYPES[NUMERIC]], "send"),
        ([base("jsonb")], "send"),
        ([base("json")], "send"),
        ([base("interval")], "send"),
        ([base("float4")], "send"),
        ([base("float8")], "send"),
        ([base("timetz")], "send"),
        ([base("inet")], "send"),
        ([base("bit")], "send"),
        ([TYPES[XML]], "send"),
        ([TYPES[CITEXT]], "send"),
        # a user's type by the name of a builtin one
        ([base("int4", builtin=False)], "send"),
        ([base("text", builtin=False)], "send"),
        # an enum sends its label
        ([TYPES[ENUM]], "send"),
        # names in the place of OIDs
        ([TYPES[REGTYPE]], "text"),
        ([base("regclass")], "text"),
        ([base("regrole")], "text"),
        # the user's own regtype is another thing
        ([base("regtype", builtin=False)], "send"),
        ([TYPES[SENDLESS]], "text"),
        ([TYPES[PAIR]], "text"),
        ([base("record", kind="p")], "text"),
        # a fixed-length type with elements is no array
        ([TYPES[POINT]], "send"),
        ([domain(INT4)], "plain"),
        ([domain(TEXT)], "collated"),
        ([domain(NUMERIC)], "send"),
        ([domain(CITEXT)], "send"),
        ([domain(PAIR)], "text"),
        ([domain(REGTYPE)], "text"),
        ([domain(102), domain(INT4)], "plain"),
        ([array(INT4)], "send"),
        ([array(NUMERIC)], "send"),
        ([array(REGTYPE)], "text"),
        # an array holds its element type's OID, which is no user type's everywhere
        ([array(CITEXT, builtin=False)], "text"),
        ([array(ENUM, builtin=False)], "text"),
        ([array(PAIR, builtin=False)], "text"),
        ([array(102, builtin=False), domain(INT4)], "text"),
        ([domain(102), array(INT4)], "send"),
        ([domain(102), array(ENUM)], "text"),
        ([range_(INT4, builtin=True)], "send"),
        ([range_(TEXT)], "send"),
        ([range_(CITEXT)], "send"),
        ([range_(PAIR)], "text"),
        ([range_(REGTYPE)], "text"),
        ([range_(102), domain(INT4)], "send"),
        ([range_(102), array(CITEXT)], "text"),
        ([range_(INT4, kind="m")], "send"),
        ([range_(PAIR, kind="m")], "text"),
        ([array(102), range_(INT4, builtin=True)], "send"),
        ([array(102, builtin=False), range_(INT4)], "text"),
    ],
)
def test_form_of_a_type(types: list[Type], form: str) -> None:
    known = TYPES | dict(zip(OTHERS, types, strict=False))
    column = hashed_column("c", OTHERS[0], known)
    assert (column.name, column.form) == ("c", form)
    # The type as it is declared, not what it is made of.
    assert column.type == f"{types[0].schema}.{types[0].name}"
    assert (column.send is not None) == (form == "send")


@pytest.mark.parametrize(
    ("column", "expression"),
    [
        (HashedColumn("a b", "x.y", "plain"), '"a b"'),
        (HashedColumn('q"', "x.y", "collated"), '"q""" COLLATE "C"'),
        (HashedColumn("c", "x.y", "text"), '"c"::text COLLATE "C"'),
        (HashedColumn("c", "x.y", "send", ("my ext", "c_send")), '"my ext"."c_send"("c")'),
    ],
)
def test_expression(column: HashedColumn, expression: str) -> None:
    assert column.expression.as_string(None) == expression


def test_query_of_a_table_without_columns() -> None:
    assert "ROW()" in sums_query([], sql.SQL("ONLY t")).as_string(None)


SUMS = st.tuples(st.integers(-(2**80), 2**80), st.integers(-(2**80), 2**80))
CHECKSUMS = st.lists(SUMS, max_size=6)


def test_of_nothing() -> None:
    assert digest([]) == add([]) == digest([(0, 0)]) == "0" * 32


@given(CHECKSUMS, st.randoms(use_true_random=False))
def test_order_is_no_matter(sums: list[tuple[int, int]], random_: random.Random) -> None:
    shuffled = random_.sample(sums, len(sums))
    assert digest(shuffled) == digest(sums)
    assert add(digest([one]) for one in shuffled) == digest(sums)


@given(CHECKSUMS, st.integers(0, 6))
def test_parts_add_up(sums: list[tuple[int, int]], place: int) -> None:
    """The checksum of a tree of partitions is that of its rows, however they are spread."""
    parts = [digest(sums[:place]), digest(sums[place:])]
    assert add(parts) == add(reversed(parts)) == digest(sums)
    assert len(digest(sums)) == 32


@given(CHECKSUMS, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_both_sums_count(sums: list[tuple[int, int]], plain: int, mixed: int) -> None:
    """One more row changes the checksum in either half, unless its hash is 0 there."""
    before, after = digest(sums), digest([*sums, (plain, mixed)])
    assert (before[:16] == after[:16]) == (plain == 0)
    assert (before[16:] == after[16:]) == (mixed == 0)
