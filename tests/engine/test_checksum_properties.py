# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checksums by a real server: equal for the same rows in any order, different for any others."""

from __future__ import annotations

import random
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.checksums import digest, row_hash, sum_query
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import list_relations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.case import new_case
from tests.migration import endpoint
from tests.servers import Servers

#: Types, with values that some way of comparing takes for the same.
TYPES: t.Final[dict[str, list[str]]] = {
    "int": ["0", "1", "-1"],
    # 1 << 32 | 1, whose halves cancel out as those of 0 do; the moments below are such numbers of microseconds
    "bigint": ["0", "1", "4294967297", "-9223372036854775808"],
    "oid": ["0", "4294967295"],
    "numeric": ["0", "0.0", "1", "1.0", "1.00", "10", "NaN", "-1"],
    "float8": ["0", "-0", "1", "NaN", "1e-320", "0.30000000000000004", "0.3"],
    "text": ["", " ", "a", "A", "a ", "NULL", "é", "e\u0301", "\\N"],
    "refcursor": ["", "a", "A"],
    "bytea": ["\\x", "\\x00", "\\x0000", "\\x61"],
    "interval": ["1 mon", "30 days", "720:00:00", "0", "-1 day +24:00:00"],
    "timestamptz": ["2000-01-01 00:00:00+00", "2000-01-01 01:11:34.967297+00", "infinity"],
    "timestamp": ["2000-01-01 00:00:00", "2000-01-01 01:11:34.967297", "-infinity"],
    "time": ["00:00:00", "01:11:34.967297"],
    "date": ["2000-01-01", "5874897-12-31", "-infinity"],
    "pg_lsn": ["0/0", "1/1"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"],
    "char(3)": ["", "a"],
    '"char"': ["", "a"],
    "name": ["", "a"],
    "macaddr": ["00:00:00:00:00:00", "00:00:00:00:00:01"],
    "timetz": ["12:00:00+00", "13:00:00+01"],
    "jsonb": ["1", "1.0", "null", "{}", "[]", '{"a": 1}', '{"a": 1.0}'],
    "json": ["1", " 1", '{"a":1}', '{"a": 1}'],
    "inet": ["10.0.0.1", "10.0.0.1/24", "::1"],
    "boolean": ["t", "f"],
    "int[]": ["{}", "{NULL}", "{0}", "[0:0]={0}", "{{0}}", "{0,NULL}", "{NULL,0}"],
    "numeric[]": ["{1}", "{1.0}"],
    "numrange": ["empty", "[1,2)", "[1.0,2)", "[1,2]", "(,)"],
    "bit varying": ["", "0", "00", "1"],
    "mood": ["sad", "ok"],
    "pair": ["(,)", '("",)', "(1,)", "(,1)", '(1," ")'],
    "mood[]": ["{}", "{sad}", "{ok}", "{NULL}"],
    "feeling": ["sad", "ok"],
    "moods": ["{}", "{sad}", "{ok}"],
    "pairing": ["(,)", '("",)'],
    "measure": ["0", "-0", "1"],
    "place": ["", "a"],
}
ROWS: t.Final = st.lists(st.tuples(*(st.none() | st.sampled_from(values) for values in TYPES.values())), max_size=6)


TYPES_SCRIPT: t.Final = """
    CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a text, b text);
    CREATE DOMAIN feeling AS mood; CREATE DOMAIN moods AS mood[]; CREATE DOMAIN pairing AS pair;
    CREATE DOMAIN measure AS float4; CREATE DOMAIN place AS refcursor;
"""


@pytest.mark.parametrize("major", ["15", "18"])
def test_every_value_has_a_hash_of_its_own(servers: Servers, major: str) -> None:
    script = TYPES_SCRIPT + "".join(f"CREATE TABLE t{n} (c {type_});" for n, type_ in enumerate(TYPES))
    with (
        new_case(servers.source(major), servers.target(), script) as case,
        connect(endpoint("target", case.source, case.name)) as session,
    ):
        for relation in list_relations(session):
            type_, values = list(TYPES.items())[int(relation.name[1:])]
            for value in (*values, None):
                session.execute(sql.SQL("INSERT INTO {} VALUES (%s)").format(relation.identifier), (value,))
            rows = sql.SQL("SELECT {} FROM {}").format(row_hash(relation.hashed), relation.identifier)
            hashes = [hash_ for (hash_,) in session.execute(rows).fetchall()]
            assert len(set(hashes)) == len(values) + 1, type_


@pytest.mark.parametrize("major", ["15", "18"])
def test_every_type_of_the_server_can_be_hashed(servers: Servers, major: str) -> None:
    """Those that few have heard of, too; the server looks their functions up even where there are no rows."""
    columns = (
        "SELECT string_agg(format('c%s %s', oid, format_type(oid, NULL)), ', ') FROM pg_type y"
        " WHERE typtype IN ('b', 'r', 'm') AND typname <> 'unknown'"
        # Rows of the catalog hold pseudo-types.
        " AND NOT EXISTS (SELECT FROM pg_type e WHERE e.oid = y.typelem AND e.typtype IN ('c', 'p'))"
    )
    with (
        new_case(servers.source(major), servers.target()) as case,
        connect(endpoint("target", case.source, case.name)) as session,
    ):
        case.run(f"CREATE TABLE t ({case.ask(columns, side='source')})")
        (relation,) = list_relations(session)
        assert len(relation.hashed) > 100
        assert session.execute(sum_query(relation.hashed, relation.own_rows)).fetchone() == (0, 0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("a", "b"), ("c", "d")], [("a", "d"), ("c", "b")]),
        ([("a", "b")], [("b", "a")]),
        ([("a", "a")], [("b", "b")]),
        ([("a", None)], [(None, "a")]),
        ([("a", "a")], []),
        ([("a", "b"), ("a", "b")], []),
        ([("a", "b")], [("a", "b"), ("a", "b"), ("a", "b")]),
    ],
)
def test_values_are_bound_to_their_row_and_column(
    servers: Servers, before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    with (
        new_case(servers.source(), servers.target(), "CREATE TABLE t (a text, b text)") as case,
        connect(endpoint("target", case.source, case.name)) as session,
    ):
        (relation,) = list_relations(session)
        sums = []
        for rows in (before, after):
            session.execute("TRUNCATE public.t")
            with session.cursor() as cursor:
                cursor.executemany("INSERT INTO public.t VALUES (%s, %s)", rows)
            found = session.execute(sum_query(relation.hashed, relation.own_rows)).fetchone()
            assert found
            sums.append(digest([int(found[1])]))
        assert sums[0] != sums[1]


@pytest.mark.parametrize("major", ["15", "18"])
def test_checksum_is_identity(servers: Servers, major: str) -> None:
    """Two lists of rows have the same checksum exactly if they are the same rows, in whatever order."""
    columns = ", ".join(f"c{number} {type_}" for number, type_ in enumerate(TYPES))
    script = TYPES_SCRIPT + f"CREATE TABLE t ({columns})"
    insert = "INSERT INTO public.t VALUES ({})".format(", ".join(["%s"] * len(TYPES)))
    with (
        new_case(servers.source(major), servers.target(), script) as case,
        connect(endpoint("target", case.source, case.name)) as session,
    ):
        (relation,) = list_relations(session)
        query = sum_query(relation.hashed, relation.own_rows)

        def look(rows: list[tuple[str | None, ...]]) -> tuple[str, list[t.Any]]:
            """Return the checksum, and the rows as the server prints them."""
            session.execute("TRUNCATE public.t")
            with session.cursor() as cursor:
                cursor.executemany(insert, rows)
            row = session.execute(query).fetchone()
            assert row is not None
            count, hashes = row
            assert count == len(rows)
            texts = session.execute('SELECT t::text FROM public.t ORDER BY t::text COLLATE "C"').fetchall()
            return digest([int(hashes)]), texts

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(ROWS, st.randoms(use_true_random=False), st.data())
        def check(rows: list[tuple[str | None, ...]], random_: random.Random, data: st.DataObject) -> None:
            checksum, texts = look(rows)
            assert look(random_.sample(rows, len(rows))) == (checksum, texts)
            changed = list(rows)
            if changed:
                place = data.draw(st.integers(0, len(changed) - 1))
                column = data.draw(st.integers(0, len(TYPES) - 1))
                value = data.draw(st.none() | st.sampled_from(list(TYPES.values())[column]))
                changed[place] = (*changed[place][:column], value, *changed[place][column + 1 :])
            else:
                changed.append((None,) * len(TYPES))
            other_checksum, other_texts = look(changed)
            assert (other_checksum == checksum) == (other_texts == texts)

        check()
