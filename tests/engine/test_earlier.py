# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A table that has not been written to since it was read is not read again, and every other one is."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.writer import write_description
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import checksums, earlier, pieces, reading
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.content import Content
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.earlier import Earlier, Instant, ask_instant
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import (
    ExportedSnapshot,
    exported_snapshot,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.inquiry import answer

from tests.databases import Database, database
from tests.migration import endpoint
from tests.playbooks import wait_until
from tests.servers import Servers

_PATH: t.Final = "pg_catalog"
_SCRIPT: t.Final = """
    CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (LIKE t INCLUDING ALL);
    INSERT INTO t SELECT g, repeat('x', 500) || g % 3 FROM generate_series(1, 100) g;
    INSERT INTO other SELECT id, v || 'other' FROM t;
"""


@dataclasses.dataclass
class Source:
    """A database with two tables of some pages, and what it held at first."""

    database: Database
    first: Earlier
    #: the tables whose rows are read, each time
    reads: list[str]

    def look_again(self, before: Earlier | None = None) -> list[str]:
        """Make sure that what is read is what is there; return which tables had to be read for it."""
        with self.snapshot() as here:
            there = read(here)
            self.reads.clear()
            assert read(here, before or self.first) == there
        return sorted(set(self.reads))

    def snapshot(self) -> contextlib.AbstractContextManager[ExportedSnapshot]:
        return exported_snapshot(endpoint("source", self.database.server, self.database.name))


def read(here: ExportedSnapshot, before: Earlier | None = None) -> Content:
    return reading.read_content(reading.Reading(here, 2, _PATH, earlier=before))


@pytest.fixture(params=[0, 1 << 40], ids=["pieces", "tables"])
def reads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give a list of the tables that are read: by several sessions, in pieces of a page, or as a whole."""
    monkeypatch.setattr(pieces, "_PIECE_PAGES", 1)
    monkeypatch.setattr(earlier, "_LARGE_PAGES", 1)
    monkeypatch.setattr(reading, "_FEW_BYTES", request.param)
    names: list[str] = []

    def sum_query(columns: t.Any, rows: t.Any) -> t.Any:
        names.append("other" if '"other"' in rows.as_string() else "t")
        return checksums.sum_query(columns, rows)

    monkeypatch.setattr(pieces, "sum_query", sum_query)
    return names


@pytest.fixture
def source(servers: Servers, reads: list[str]) -> t.Iterator[Source]:
    with source_on(servers, reads) as made:
        yield made


@contextlib.contextmanager
def source_on(servers: Servers, reads: list[str]) -> t.Iterator[Source]:
    with database(servers.source(), _SCRIPT) as made:
        with exported_snapshot(endpoint("source", made.server, made.name)) as here:
            first = Earlier(answer(here.session, ask_instant()), read(here), _PATH)
        yield Source(made, first, reads)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT",
        "VACUUM FREEZE t",
        "ANALYZE t",
        "BEGIN; UPDATE t SET v = ''; ROLLBACK",
        "BEGIN; SELECT FROM t FOR UPDATE; COMMIT",
        "CREATE TABLE another (id int); INSERT INTO another VALUES (1); DROP TABLE another",
    ],
)
def test_tables_that_are_the_same_are_not_read(source: Source, statement: str) -> None:
    source.database.execute(statement)
    assert source.look_again() == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t VALUES (0)",
        "DELETE FROM t WHERE id = 100",
        "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (0)",
        "UPDATE t SET v = '' WHERE id = 50",
        "UPDATE t SET v = '' WHERE id = 50 || VACUUM FREEZE t",
        "UPDATE t SET v = '' WHERE id = 50 || VACUUM FULL t",
        "BEGIN; SAVEPOINT a; UPDATE t SET v = '' WHERE id = 50; RELEASE a; COMMIT",
        "BEGIN; TRUNCATE t; INSERT INTO t SELECT * FROM other; COMMIT",
        "TRUNCATE t",
        "VACUUM FULL t",
        "MERGE INTO t USING other ON t.id = other.id AND t.id = 7 WHEN MATCHED THEN UPDATE SET v = other.v",
    ],
)
def test_a_table_that_is_another_is_read(source: Source, statement: str) -> None:
    for part in statement.split("||"):
        source.database.execute(part)
    assert source.look_again() == ["t"]


def test_who_was_writing_at_the_instant(source: Source) -> None:
    """What a transaction has written that had not ended then, was not seen, however low its number."""
    server, name = source.database.server, source.database.name
    with server.connect(name) as early, server.connect(name) as late:
        for number, session in enumerate((early, late)):
            session.execute(f"BEGIN; UPDATE t SET v = 'unseen' WHERE id = {number + 1}".encode())
        late.execute("COMMIT")
        with source.snapshot() as here:
            then = Earlier(answer(here.session, ask_instant()), read(here), _PATH)
        assert source.look_again(then) == ["t"], "written by one that was later than who is still at work: read"
        early.execute("COMMIT")
        assert source.look_again(then) == ["t"]


def test_a_crash(reads: list[str], tmp_path: Path) -> None:
    """Numbers of transactions that it has undone are given out again."""
    servers = Servers(tmp_path)
    try:
        with source_on(servers, reads) as source:
            server, name = source.database.server, source.database.name
            with contextlib.closing(server.connect(name)) as victim, contextlib.closing(server.connect(name)) as other:
                # Of the tables themselves, it shall undo nothing.
                victim.execute("CHECKPOINT")
                os.kill(victim.info.backend_pid, signal.SIGKILL)
                wait_until(lambda: not is_answered(lambda: other.execute("SELECT")))
            wait_until(lambda: is_answered(server.connect))
            assert source.look_again() == ["other", "t"]
    finally:
        servers.stop()


def is_answered(ask: t.Callable[[], object]) -> bool:
    try:
        ask()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("distance", [2**31, 2**32])
def test_too_many_transactions_ago(source: Source, distance: int) -> None:
    """Their numbers would be taken for later ones, or for the same."""
    unseen_from, since = source.first.instant
    before = dataclasses.replace(source.first, instant=Instant(unseen_from - distance, since))
    assert source.look_again(before) == ["other", "t"]


def test_another_path(source: Source) -> None:
    """By it, values that name objects are printed."""
    assert source.look_again(dataclasses.replace(source.first, search_path="public")) == ["other", "t"]


@pytest.mark.parametrize(
    "statements",
    [
        "ALTER TABLE t RENAME TO x; ALTER TABLE other RENAME TO t; ALTER TABLE x RENAME TO other",
        "ALTER SCHEMA public RENAME TO was; ALTER SCHEMA spare RENAME TO public",
        "ALTER TABLE t SET SCHEMA was; ALTER TABLE other SET SCHEMA was; ALTER TABLE spare.t SET SCHEMA public;"
        "ALTER TABLE spare.other SET SCHEMA public",
    ],
)
def test_another_table_of_the_same_name(source: Source, statements: str) -> None:
    """With as many rows, that are older."""
    source.database.execute(
        "CREATE SCHEMA spare; CREATE TABLE spare.t AS TABLE other; CREATE TABLE spare.other AS TABLE t"
    )
    with source.snapshot() as here:
        then = Earlier(answer(here.session, ask_instant()), read(here), _PATH)
    source.database.execute(("CREATE SCHEMA was;" if "RENAME TO was" not in statements else "") + statements)
    assert source.look_again(then) == ["other", "t"]


def test_other_functions(source: Source, tmp_path: Path) -> None:
    """What a description before was of other catalogs, nothing is taken from."""
    tools = choose_tools(int(source.database.server.major), int(source.database.server.major), "")

    def describe(name: str, before: t.Any = None) -> t.Any:
        with source.snapshot() as here:
            return write_description(here, tools, tmp_path / name, 2, earlier=before and before.manifest.earlier)

    first = describe("first")
    source.database.execute("CREATE TYPE colour AS ENUM ('red'); CREATE TABLE c AS SELECT 'red'::colour FROM t")
    second = describe("second", first)
    source.database.execute("ALTER TYPE colour RENAME VALUE 'red' TO 'blue'")
    third = describe("third", second)
    assert third.manifest.content == describe("fourth").manifest.content != second.manifest.content


def test_another_database_of_the_same_name(source: Source) -> None:
    """Made of it as a template, while it was another one."""
    made = source.database
    other = f"{made.name}_other"
    try:
        with made.server.connect() as session:
            session.execute(f"CREATE DATABASE {other} TEMPLATE {made.name}".encode())
            made.execute("UPDATE t SET v = 'seen' WHERE id = 1")
            with source.snapshot() as here:
                then = Earlier(answer(here.session, ask_instant()), read(here), _PATH)
            session.execute(f"DROP DATABASE {made.name} WITH (FORCE)".encode())
            session.execute(f"ALTER DATABASE {other} RENAME TO {made.name}".encode())
        assert source.look_again(then) == ["other", "t"]
    finally:
        made.server.drop_database(other)


def test_a_table_whose_rows_do_not_tell(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's refusal is none to read it."""
    monkeypatch.setattr(earlier, "_WRITTEN", "SELECT {since}, pg_catalog.lo_get(0) FROM {rows}")
    with pytest.raises(psycopg.errors.UndefinedObject):
        source.look_again()
    monkeypatch.setattr(earlier, "_UNTOLD", psycopg.errors.UndefinedObject)
    assert source.look_again() == ["other", "t"]


def test_another_way_of_storing_rows(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it tells of transactions may mean anything, unless it is the server's own under another name."""
    source.database.execute("CREATE ACCESS METHOD own TYPE TABLE HANDLER heap_tableam_handler")
    source.database.execute("CREATE TABLE u (LIKE t) USING own; INSERT INTO u SELECT * FROM t")
    with source.snapshot() as here:
        then = Earlier(answer(here.session, ask_instant()), read(here), _PATH)
    assert source.look_again(then) == []
    monkeypatch.setattr(earlier, "_IS_ITSELF", earlier._IS_ITSELF.replace("heap_tableam_handler", "bthandler"))
    assert source.look_again(then) == ["other", "t"]
