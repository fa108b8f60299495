# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on disks, for connections and for locks: told when there is too little, nothing said when there is enough."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.requirements import read_requirements
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import Server
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.in_place import ask_replacement_locks
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.room import (
    ask_connections,
    check_archive_room,
    check_connections,
    check_lock_room,
    check_target_room,
    read_locks_needed,
    read_rows_size,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.inquiry import answer
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.findings import Finding

from tests.case import execute, new_case
from tests.migration import endpoint
from tests.servers import PostgresServer, Servers

MEBIBYTE: t.Final = 1 << 20


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.severity, finding.code) for finding in findings]


@pytest.fixture
def small_disk(tmp_path: Path) -> t.Iterator[Path]:
    """Give a disk of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S607 - the same in every distribution


def test_disk_of_the_archive(small_disk: Path) -> None:
    """What COPY writes may be smaller than the table: only far too little is an error."""
    below = small_disk / "not" / "there" / "yet"
    assert told(check_archive_room(below, MEBIBYTE // 2)) == []
    assert told(check_archive_room(below, 2 * MEBIBYTE)) == [("warning", "archive-room")]
    (finding,) = check_archive_room(below, 20 * MEBIBYTE)
    assert (finding.severity, finding.code) == ("error", "archive-room")
    assert "20,971,520 bytes" in finding.message
    assert "1,048,576 are free" in finding.message


def test_place_of_the_archive(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert told(check_archive_room(tmp_path, 1)) == []
    assert told(check_archive_room(tmp_path / "file" / "archives", 1)) == [("error", "archive-root")]


def test_size_of_the_rows(servers: Servers) -> None:
    """Heap and TOAST and large objects, no indexes."""
    script = "create table t(a int primary key, b text); create table u(a int)"
    with new_case(servers.source(), servers.target(), script) as case:
        at = endpoint("source", case.source, case.name)
        with connect(at) as session:
            before = read_rows_size(session)
            case.run(
                "alter table t alter b set storage external; insert into t select g, repeat('x', 10000)"
                " from generate_series(1, 100) g; insert into u select generate_series(1, 100000);"
                " select lo_from_bytea(0, decode(repeat('00ff', 100000), 'hex'))"
            )
            rows = read_rows_size(session) - before
            case.run("create index on u(a)")
            assert read_rows_size(session) - before == rows
        assert 4_500_000 < rows < 6_000_000


def test_room_that_is_told(servers: Servers) -> None:
    """Of a managed server's volume: what is there, the copy and the log must fit into it, wherever the server is."""
    with new_case(servers.source(), servers.target(), "create table t(a int)") as case:
        remote = dataclasses.replace(endpoint("target", case.target, "postgres"), host="db.example.org")
        with connect(endpoint("target", case.target, "postgres")) as session:
            row = session.execute(
                "select sum(pg_database_size(oid))::bigint + pg_size_bytes(current_setting('max_wal_size'))"
                " from pg_database"
            ).fetchone()
            assert row
            # Autovacuum may write meanwhile.
            enough, too_little = row[0] + 20 * MEBIBYTE, row[0] - 20 * MEBIBYTE
            assert check_target_room(session, remote, MEBIBYTE, enough) == []
            (finding,) = check_target_room(session, remote, MEBIBYTE, too_little)
            assert (finding.severity, finding.code) == ("error", "target-room")
            assert f"where target_room is {too_little:,}." in finding.message
            (finding,) = check_target_room(session, remote, 40 * MEBIBYTE, enough)
            assert "the copy about 41,943,040 more" in finding.message


def test_disk_of_the_target(servers: Servers) -> None:
    """Its data directory tells, where it is this machine's and may be seen."""
    with new_case(servers.source(), servers.target(), "create table t(a int)") as case:
        at = endpoint("target", case.target, "postgres")
        with connect(at) as session:
            assert told(check_target_room(session, at, MEBIBYTE)) == []
            assert told(check_target_room(session, at, 1 << 60)) == [("error", "target-room")]
            remote = dataclasses.replace(at, host="db.example.org")
            (finding,) = check_target_room(session, remote, MEBIBYTE)
            assert (finding.severity, finding.code) == ("notice", "target-room-unknown")
            assert "about 1,048,576 bytes" in finding.message
        case.make_roles()
        plain = endpoint("target", case.target, "postgres", case.target_user)
        with connect(plain) as session:
            assert told(check_target_room(session, plain, 1 << 60)) == [("notice", "target-room-unknown")]


def test_data_directory_of_another_server(servers: Servers, tmp_path: Path) -> None:
    """A path that another machine's server names may be here as well, and be another server's."""
    at = endpoint("target", servers.target(), "postgres")
    impostor = tmp_path / "data" / "global"
    impostor.mkdir(parents=True)
    (impostor / "pg_control").write_bytes(bytes(8))
    with connect(at) as session:
        settings = "CREATE TEMPORARY VIEW pg_settings AS SELECT 'data_directory' AS name, {} AS setting"
        session.execute(settings.format(f"'{impostor.parent}'").encode())
        session.execute("SET search_path = pg_temp, pg_catalog")
        assert told(check_target_room(session, at, 1 << 60)) == [("notice", "target-room-unknown")]


@pytest.mark.parametrize("limit", ["role", "database"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_connections_that_are_allowed(servers: Servers, side: t.Literal["source", "target"], limit: str) -> None:
    with new_case(servers.source(), servers.target(), "create table t(a int)") as case:
        case.make_roles()
        server = case.source if side == "source" else case.target
        if side == "target":
            server.create_database(case.name, owner=f"{case.name}_role")
        at = endpoint(side, server, case.name, (f"{case.name}_role", "secret"))
        alter = f"alter {limit} {case.name}{'_role' if limit == 'role' else ''}"
        with connect(at) as session:
            assert told(check_connections(session, at, jobs=2)) == []
            execute(server, "postgres", f"{alter} connection limit 5")
            assert told(check_connections(session, at, jobs=2)) == []
            (finding,) = check_connections(session, at, jobs=3)
            assert (finding.severity, finding.code) == ("error", "connections")
            assert finding.object.startswith(f"{side}: connection limit of {limit} ")
            assert "allows 5 connections, 0 are in use, and a run with 3 jobs needs 6" in finding.message
            with contextlib.closing(server.connect(case.name, f"{case.name}_role", "secret")) as other:
                assert told(check_connections(session, at, jobs=2)) == [("error", "connections")]
                # One of ours is among those that are needed.
                assert told(answer(session, ask_connections(at, 2, other.info.backend_pid))) == []


@pytest.fixture(scope="module")
def narrow(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[PostgresServer]:
    """Give a server with the least of everything."""
    model = servers.source()
    server = Server(tmp_path_factory.mktemp("narrow"), model.bindir)
    server.create()
    with (server.folder / "data" / "postgresql.conf").open("a", encoding="ascii") as settings:
        settings.write("max_connections = 10\nmax_worker_processes = 0\nmax_wal_senders = 0\n")
        settings.write("autovacuum_worker_slots = 1\nmax_locks_per_transaction = 10\nreserved_connections = 2\n")
    server.start()
    assert server.port
    try:
        yield dataclasses.replace(model, server=server, port=server.port, password=server.password)
    finally:
        server.stop()


def test_connections_that_the_server_has(narrow: PostgresServer) -> None:
    """Some are kept for superusers, some for those who have the role for it."""
    at = endpoint("source", narrow, "postgres")
    with connect(at) as session:
        assert told(check_connections(session, at, jobs=6)) == []
        assert told(check_connections(session, at, jobs=8)) == [("error", "connections")]
    execute(narrow, "postgres", "create role plain login password 'secret'")
    plain = endpoint("source", narrow, "postgres", ("plain", "secret"))
    with connect(plain) as session:
        assert told(check_connections(session, plain, jobs=2)) == []
        (finding,) = check_connections(session, plain, jobs=3)
        assert "it allows 5 connections" in finding.message


def test_lock_table(narrow: PostgresServer, servers: Servers) -> None:
    """pg_dump locks all tables of a schema in one transaction."""
    script = (
        "do $$ begin for i in 1..30 loop execute format('create table t%s(a int primary key)', i); end loop; end $$"
    )
    with (
        new_case(servers.source(), servers.target(), script) as case,
        connect(endpoint("source", case.source, case.name)) as session,
    ):
        needed = read_locks_needed(session)
        assert needed == 60
        assert told(check_lock_room(session, "source", needed)) == []
    with connect(endpoint("source", narrow, "postgres")) as session:
        assert told(check_lock_room(session, "source", 60)) == []
        assert told(check_lock_room(session, "source", 200)) == [("warning", "lock-table")]


def test_locks_of_a_replacement(narrow: PostgresServer) -> None:
    """All that is dropped in one transaction is locked, and so is all that is made in it."""
    with connect(endpoint("target", narrow, "postgres")) as session:
        nothing = read_requirements(session)
        assert told(answer(session, ask_replacement_locks(nothing))) == []
        much = dataclasses.replace(nothing, relations=1000)
        assert told(answer(session, ask_replacement_locks(much))) == [("error", "locks")]
        session.execute("create schema crowd")
        for number in range(100):
            session.execute(f"create table crowd.t{number}(a int)".encode())
        assert told(answer(session, ask_replacement_locks(nothing))) == [("error", "locks")]
        for number in range(100):
            session.execute(f"drop table crowd.t{number}".encode())
        session.execute("drop schema crowd")
