# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was cache of one database and need not travel again from another: what is told is what would have been."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.schema import dump_schema
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.answer_cache import AnswerCache
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.results import Answer, read_answer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from bench.line import Line
from tests.databases import APPLICATION, Database, database
from tests.migration import endpoint
from tests.servers import NEWEST, Servers

#: What stands between values, and for NULL, is part of values; the system's own objects are not what they were.
_HOSTILE: t.Final = r"""
    CREATE TABLE "a'{1}\" ();
    DO $$ BEGIN
        EXECUTE format('COMMENT ON TABLE owner IS %L', E'one\x1ftwo\x1e3\x1ffour');
        EXECUTE format('COMMENT ON TABLE item IS %L', E'\x1d');
        EXECUTE format('CREATE TABLE %I ()', E'b\x1f17\x1e');
    END $$;
    COMMENT ON SCHEMA public IS 'another one';
    CREATE TABLE listing (texts text[] DEFAULT '{"NULL",NULL,""}');
"""


@pytest.mark.parametrize("major", ["15", NEWEST])
def test_same_dump(servers: Servers, tmp_path: Path, major: str) -> None:
    """After another database has been cache, pg_dump writes what it does by itself, of far fewer bytes."""
    server, tools = servers.target(major), choose_tools(int(major), int(major))
    pg_restore = tools.program("pg_restore")

    def dump(source: Database, name: str) -> tuple[bytes, int]:
        with Line(server.port) as line:
            place = dataclasses.replace(endpoint("target", server, source.name), port=line.port)
            with exported_snapshot(place) as snapshot:
                before = line.counts.down
                dump_schema(snapshot, tools, tmp_path / name)
                return script(pg_restore, tmp_path / name), line.counts.down - before

    with (
        database(servers.source(major), "") as other,
        exported_snapshot(endpoint("source", other.server, other.name)) as snapshot,
    ):
        dump_schema(snapshot, tools, tmp_path / "other.dump")
    for number, content in enumerate((APPLICATION, APPLICATION + _HOSTILE, "COMMENT ON SCHEMA public IS NULL")):
        with database(server, content) as source:
            ours, down = dump(source, f"ours-{number}.dump")
            theirs = tmp_path / f"theirs-{number}.dump"
            server.run([tools.program("pg_dump"), *_AS_OURS, f"--file={theirs}", source.name])
            assert ours == script(pg_restore, theirs)
            assert number or down < 60_000


_AS_OURS: t.Final = (
    *("--schema-only", "--no-owner", "--no-privileges", "--no-tablespaces", "--no-subscriptions", "--format=custom"),
)


def script(pg_restore: str, path: Path) -> bytes:
    """Return what a dump says, without pg_restore's own random word."""
    said = subprocess.run([pg_restore, "--file=-", str(path)], capture_output=True, check=True).stdout
    return re.sub(rb"(?m)^\\(un)?restrict .*$", b"", said)


_TEXT: t.Final = st.none() | st.text(st.sampled_from('ab\x1d\x1e\x1f \n\\"{}(),é'), max_size=4)
_ROWS: t.Final = st.lists(st.tuples(st.integers(16380, 16388), _TEXT, _TEXT), max_size=6)
_LIST: t.Final = sql.SQL("SELECT oid, one, two FROM listed ORDER BY one, oid")


@pytest.fixture(scope="module")
def listed(servers: Servers) -> t.Iterator[psycopg.Connection[t.Any]]:
    """Give a session with an empty list of objects."""
    with servers.source().connect() as session:
        session.execute("CREATE TEMP TABLE listed (oid oid, one text, two text)")
        yield session


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=_ROWS, then=_ROWS)
def test_same_rows(listed: psycopg.Connection[t.Any], first: list[t.Any], then: list[t.Any]) -> None:
    """An answer is the very one that the question itself has, or none."""
    cache = AnswerCache()
    question = _LIST.as_bytes()
    cache.note(15, question, ask(listed, question, first)[1])
    for rows in (first, then, [*then, *first]):
        result, own = ask(listed, cache.condense(15, question), rows)[0], ask(listed, question, rows)[1]
        told = cache.expand(15, question, result)
        if told is None:
            assert rows is not first or any(character in str(first) for character in ("x1d", "x1e", "x1f"))
        else:
            assert (told.description, told.names, told.types) == (own.description, own.names, own.types)
            assert sorted(map(repr, told.rows)) == sorted(map(repr, own.rows))
            assert [row[:2] for row in told.rows] == [row[:2] for row in own.rows]


def ask(
    session: psycopg.Connection[t.Any], question: bytes, rows: list[t.Any]
) -> tuple[psycopg.pq.abc.PGresult, Answer]:
    """Return the result of a question about a list of these rows."""
    session.execute("TRUNCATE listed")
    with session.cursor() as cursor:
        cursor.executemany("INSERT INTO listed VALUES (%s, %s, %s)", rows)
        result = cursor.execute(question).pgresult
    assert result
    return result, read_answer(result)


def test_values_do_not_pass_for_others(listed: psycopg.Connection[t.Any]) -> None:
    """Rows of initdb's that look alike when they are put together are not the same."""
    question = _LIST.as_bytes()
    alike: list[list[t.Any]] = [
        [(1, "a", "b"), (2, "c", "d")],
        [(1, "a", "b\x1e2\x1fc\x1fd")],
        [(1, None, "b")],
        [(1, "\x1d", "b")],
    ]
    for first in alike:
        cache = AnswerCache()
        cache.note(15, question, ask(listed, question, first)[1])
        for other in alike:
            told = cache.expand(15, question, ask(listed, cache.condense(15, question), other)[0])
            assert told is None or other == first
