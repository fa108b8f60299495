# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One transaction on the live database, and readers that see what it has not committed."""

from __future__ import annotations

import dataclasses
import select
import socket
import socketserver
import threading
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.schema import Entry, dump_schema, read_schema
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.queries import Query, ask
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.reading import Reading, read_content
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import Snapshot, exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.transaction import begin
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import tools_in
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Session, connect

from tests import corpus
from tests.case import new_case
from tests.databases import Database, untouched
from tests.migration import endpoint
from tests.servers import PostgresServer, Servers

MADE = "create table made(id int primary key, note text); insert into made values (1, 'one'), (2, 'zwei')"
#: A constraint trigger that ends its own session at the commit.
DYING = """
    create table public.dying(id int);
    create function public.die() returns trigger language plpgsql as
    'begin perform pg_terminate_backend(pg_backend_pid()); return null; end';
    create constraint trigger die after insert on public.dying deferrable initially deferred
    for each row execute function public.die();
    insert into public.dying values (1);
"""


def words(snapshot: Snapshot, server: PostgresServer, folder: Path) -> list[Entry]:
    """Return the schema as pg_dump sees it, through whatever way in the snapshot has."""
    tools, path = tools_in(str(server.bindir)), folder / "schema.dump"
    path.unlink(missing_ok=True)
    dump_schema(snapshot, tools, path)
    return read_schema(tools, path)


def settings(session: Session) -> list[tuple[object, ...]]:
    return session.execute("SELECT name, setting FROM pg_settings ORDER BY 1").fetchall()


def test_pg_dump_sees_what_is_not_committed(servers: Servers, tmp_path: Path) -> None:
    with (
        new_case(servers.source(), servers.target()) as case,
        begin(endpoint("target", case.source, case.name)) as transaction,
    ):
        transaction.session.execute("create table public.made(id int primary key)")
        # For a function, pg_dump prepares a statement.
        transaction.session.execute("create function public.f() returns int language sql as 'select 1'")
        pinned = settings(transaction.session)
        for _ in range(2):
            entries = words(transaction, case.source, tmp_path)
            assert [str(e) for e in entries] == [
                "function public.f()",
                "table public.made",
                "constraint public.made made_pkey",
            ]
        # Nothing that pg_dump sets or prepares stays.
        assert settings(transaction.session) == pinned
        assert transaction.session.execute("select name from pg_prepared_statements").fetchall() == []


@pytest.mark.parametrize("major", ["15", "18"])
def test_the_door_says_what_the_server_says(servers: Servers, tmp_path: Path, major: str) -> None:
    """Byte by byte, for every kind of object and hostile names."""
    server = servers.source(major)
    name = corpus.shared(server, "torture", hostile="1") if major == "15" else corpus.shared(server, "sigmasight_gen")
    live = endpoint("target", server, name)
    with exported_snapshot(live) as snapshot:
        wanted = words(snapshot, server, tmp_path)
    with begin(live) as transaction:
        assert words(transaction, server, tmp_path) == wanted


def test_the_verdicts_readers_share_the_session(servers: Servers) -> None:
    with new_case(servers.source(), servers.target()) as case:
        live = endpoint("target", case.source, case.name)
        with begin(live) as transaction:
            with transaction.open_session() as session:
                session.execute("set search_path = public")
                session.execute(MADE)
                session.execute("select lo_from_bytea(70001, 'large')")
            found = read_content(Reading(transaction, 1, "pg_catalog"))
            assert ask(transaction, [Query("q", "select note from made", "same")], "public") == {"q": "one\nzwei"}
            # A question with a search_path of its own does not leave it behind.
            assert transaction.session.execute("show search_path").fetchone() == ("",)
        with exported_snapshot(live) as snapshot:
            assert read_content(Reading(snapshot, 2, "pg_catalog")) == found
        assert [m.rows.count for m in found.relations if m.rows] == [2]


def test_readers_cannot_write(servers: Servers) -> None:
    with new_case(servers.source(), servers.target(), "create sequence s") as case:
        with begin(endpoint("target", case.source, case.name)) as transaction:
            question = Query("q", "select nextval('public.s')", "same")
            with pytest.raises(MigrationError, match="in a read-only transaction"):
                ask(transaction, [question], "public")
            # The question alone is undone.
            transaction.session.execute("create table public.made(id int)")
        assert case.ask("select count(*) from made", side="source") == 0


def test_pg_dump_that_cannot_go_on(servers: Servers, tmp_path: Path) -> None:
    """What the server says of a failure comes out of pg_dump as it would without a door."""
    with new_case(servers.source(), servers.target(), "create table t(id int)") as case:
        case.make_roles()
        live = endpoint("target", case.source, case.name, case.source_user)
        with begin(live) as transaction, pytest.raises(MigrationError, match="permission denied for table t"):
            words(transaction, case.source, tmp_path)


def test_an_error_undoes_everything(servers: Servers) -> None:
    with new_case(servers.source(), servers.target(), "create table old(id int)") as case:

        def fail_late() -> None:
            with begin(endpoint("target", case.source, case.name)) as transaction:
                transaction.session.execute("drop table public.old")
                transaction.session.execute("select 1 / 0")

        with untouched(Database(case.source, case.name)), pytest.raises(psycopg.errors.DivisionByZero):
            fail_late()


def test_another_session_sees_nothing_before_the_commit(servers: Servers) -> None:
    with new_case(servers.source(), servers.target()) as case:
        live = endpoint("target", case.source, case.name)
        with begin(live) as transaction, connect(live) as other:
            transaction.session.execute("create table public.made(id int)")
            assert other.execute("select to_regclass('public.made')").fetchone() == (None,)
        assert case.ask("select count(*) from made", side="source") == 0


def test_a_server_that_dies_at_the_commit(servers: Servers) -> None:
    with new_case(servers.source(), servers.target(), "create table old(id int)") as case:

        def fail_at_the_commit() -> None:
            with begin(endpoint("target", case.source, case.name)) as transaction:
                transaction.session.execute(DYING)
                transaction.session.execute("drop table public.old")

        with (
            untouched(Database(case.source, case.name)),
            pytest.raises(MigrationError, match=r"(?s)the live database is as it was.*terminating connection"),
        ):
            fail_at_the_commit()


def test_a_connection_that_breaks_behind_the_commit(servers: Servers) -> None:
    """What happened is told by the server, not by the broken connection."""
    server = servers.source()
    with (
        new_case(server, servers.target()) as case,
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), forgetful_relay(server.port)) as relay,
    ):
        threading.Thread(target=relay.serve_forever, args=(0.02,), daemon=True).start()
        live = dataclasses.replace(endpoint("target", server, case.name), port=relay.server_address[1])
        with begin(live) as transaction:
            transaction.session.execute("create table public.made(id int)")
        relay.shutdown()
        assert case.ask("select count(*) from made", side="source") == 0


def forgetful_relay(port: int) -> type[socketserver.BaseRequestHandler]:
    """Return a relay to a server that breaks the connection instead of handing on the answer to a COMMIT."""

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as server:
                other = {self.request: server, server: self.request}
                while True:
                    for end in select.select(list(other), [], [])[0]:
                        said = end.recv(1 << 16)
                        if not said or (end is server and b"COMMIT\0" in said):
                            return
                        other[end].sendall(said)

    return Relay
