# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A source that is in use: what a run reads is held, what it does not read may change, and what is lost is told."""

from __future__ import annotations

import concurrent.futures
import contextlib
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive import writer
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import snapshot as snapshots
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.reading import Reading, read_content
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import list_relations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.requirements import (
    Requirements,
    read_requirements,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import Patterns, select, tables_to_hold
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint, Session, break_off

from tests.case import Case, new_case
from tests.migration import endpoint
from tests.playbooks import wait_until
from tests.servers import Servers

SCRIPT: t.Final = """
    CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 9);
    CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1);
    CREATE TABLE tree (id int) PARTITION BY RANGE (id); CREATE TABLE leaf PARTITION OF tree DEFAULT;
"""
ONLY_T: t.Final = Patterns(include=("t",))


@pytest.fixture
def case(servers: Servers) -> t.Iterator[Case]:
    with new_case(servers.source(), servers.target(), SCRIPT) as new:
        yield new


@pytest.fixture
def source(case: Case) -> Endpoint:
    return endpoint("source", case.source, case.name)


@pytest.fixture
def client(case: Case) -> t.Iterator[psycopg.Connection[t.Any]]:
    """Give an application's session, which waits for no lock."""
    with contextlib.closing(case.source.connect(case.name)) as connection:
        connection.execute("SET lock_timeout = '50ms'; SET application_name = 'nightly'")
        yield connection


def test_what_is_read_is_held(
    source: Endpoint, client: psycopg.Connection[t.Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the snapshot to the end; what is not selected may be rewritten, and rows may be written anywhere."""
    tools = choose_tools(18, 18, "")

    def interfere() -> None:
        for statement in ("TRUNCATE t", "VACUUM FULL t", "DROP TABLE t", "ALTER TABLE t ALTER id TYPE bigint"):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                client.execute(statement.encode())
        client.execute("INSERT INTO t VALUES (10)")
        client.execute("CREATE TEMPORARY TABLE temporary AS SELECT 1")
        for statement in ("TRUNCATE temporary", "TRUNCATE other", "VACUUM FULL other"):
            client.execute(statement.encode())

    def read_late(session: Session) -> Requirements:
        interfere()
        return read_requirements(session)

    monkeypatch.setattr(writer, "read_requirements", read_late)
    manifest = writer.write_archive(source, tools, tmp_path / "archive", 2, patterns=ONLY_T).manifest
    assert [(table.name, table.rows) for table in manifest.tables] == [("t", 9)]
    client.execute("TRUNCATE t")


def test_all_tables_of_a_whole_run_are_held(source: Endpoint, client: psycopg.Connection[t.Any]) -> None:
    with exported_snapshot(source, tables_to_hold(Patterns())):
        for table in ("t", "other", "tree", "leaf"):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                client.execute(f"TRUNCATE {table}".encode())


def test_nothing_happens_between_lock_and_snapshot(source: Endpoint, client: psycopg.Connection[t.Any]) -> None:
    """What is gone when it is to be locked is listed again; the snapshot comes after all locks."""
    listed = []

    def list_tables(session: Session) -> list[tuple[str, str]]:
        names = tables_to_hold(Patterns())(session)
        listed.append(len(names))
        if len(listed) == 1:
            client.execute("DROP TABLE other; INSERT INTO t VALUES (10)")
        return names

    with exported_snapshot(source, list_tables) as snapshot:
        assert listed == [4, 3]
        assert snapshot.session.execute("SELECT count(*) FROM public.t").fetchone() == (10,)


@pytest.mark.parametrize(
    "change",
    [
        "TRUNCATE t",
        "DROP TABLE t",
        "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY)",
        "ALTER TABLE t RENAME TO was; CREATE TABLE t (id int PRIMARY KEY)",
    ],
)
def test_what_can_no_longer_be_seen(source: Endpoint, client: psycopg.Connection[t.Any], change: str) -> None:
    """Without its lock, a table that is gone, empty or another one is told, and no traceback."""
    with exported_snapshot(source) as snapshot:
        client.execute(change.encode())
        assert {relation.size for relation in list_relations(snapshot.session) if relation.name == "tree"} == {0}
        with pytest.raises(MigrationError, match=r"public\.t\b"):
            read_content(Reading(snapshot, 1, ""))


def test_others_are_no_concern(source: Endpoint, client: psycopg.Connection[t.Any]) -> None:
    """Neither what is not selected, nor another session's temporary tables."""
    with exported_snapshot(source) as snapshot:
        client.execute("CREATE TEMPORARY TABLE t AS SELECT 1")
        client.execute("TRUNCATE t; TRUNCATE other")
        content = read_content(Reading(snapshot, 1, "", selection=select(list_relations(snapshot.session), ONLY_T)))
    assert [measured.rows.count for measured in content.relations if measured.rows] == [9]


def test_who_holds_a_table_is_told(
    source: Endpoint, client: psycopg.Connection[t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "LOCK_PATIENCE", "50ms")
    client.execute("BEGIN; LOCK TABLE t")
    said = rf"session {client.info.backend_pid} of postgres \(nightly\) holds ACCESS EXCLUSIVE on public\.t"
    with pytest.raises(MigrationError, match=said), exported_snapshot(source, lambda _: [("public", "t")]):
        pytest.fail("it is locked")


def test_who_holds_a_table_of_a_few_bytes_is_told(
    source: Endpoint, client: psycopg.Connection[t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read by the session that has exported the snapshot."""
    monkeypatch.setattr(snapshots, "LOCK_PATIENCE", "50ms")
    said = rf"session {client.info.backend_pid} of postgres \(nightly\) holds ACCESS EXCLUSIVE on public\.t"
    client.execute("BEGIN; LOCK TABLE t")
    with pytest.raises(MigrationError, match=said), exported_snapshot(source) as snapshot:
        read_content(Reading(snapshot, 2, ""))


def test_tables_that_are_read_together_are_left_together(
    case: Case, source: Endpoint, client: psycopg.Connection[t.Any]
) -> None:
    """When it is broken off, none of them is read by itself, which would wait for the same lock again."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"
    with exported_snapshot(source) as snapshot, concurrent.futures.ThreadPoolExecutor() as beside:
        reading = Reading(snapshot, 2, "", relations=list_relations(snapshot.session))
        client.execute("BEGIN; LOCK TABLE t")
        begun = beside.submit(read_content, reading)
        wait_until(lambda: case.ask(waiting, side="source") == 1)
        break_off(snapshot.session)
        with pytest.raises(MigrationError, match=r"(?s)rows of 3 tables: .*canceling statement due to user request"):
            begun.result(10)


def test_who_waits_for_a_table_is_told(
    case: Case, source: Endpoint, client: psycopg.Connection[t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the holding session keeps the others out, which would wait for each other forever."""
    client.execute("SET lock_timeout = 0")
    with exported_snapshot(source, lambda _: [("public", "t")]) as snapshot:
        monkeypatch.setattr(snapshots, "LOCK_PATIENCE", "50ms")
        client.pgconn.send_query(b"TRUNCATE t")
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"
        wait_until(lambda: case.ask(waiting, side="source") == 1)
        said = rf"session {client.info.backend_pid} of postgres \(nightly\) waits for ACCESS EXCLUSIVE on public\.t"
        with pytest.raises(MigrationError, match=said), snapshot.another_session() as other:
            other.execute("SELECT FROM public.t")
    # It was not ended: now it is done.
    assert client.pgconn.get_result()
    assert case.ask("SELECT count(*) FROM t", side="source") == 0
