# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thread that waits for a server's answer can be made to wait no longer, whether the server obeys or not."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Session, break_off, connect

from tests.case import execute, new_case
from tests.migration import Migration, endpoint, prepare
from tests.playbooks import wait_until
from tests.servers import PostgresServer, Servers

_LONG: t.Final = "SELECT pg_sleep(600)"
_PATIENCE_SECONDS: t.Final = 60


def _begin(server: PostgresServer, session: Session) -> concurrent.futures.Future[t.Any]:
    """Let a thread wait for the server."""
    waiting = concurrent.futures.ThreadPoolExecutor(1).submit(session.execute, _LONG)
    asleep = "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
    with server.connect() as connection:
        wait_until(lambda: connection.execute(asleep, (session.info.backend_pid,)).fetchall())
    return waiting


SLOW: t.Final = """
    create table t(id int primary key, v text); insert into t select g, 'v' from generate_series(1, 9) g;
    create table flag(raised bool);
    create function slow() returns int language plpgsql stable as
        $$ begin if exists (select from public.flag) then perform pg_sleep(600); end if; return 1; end $$;
    create function fold(v text) returns text language sql immutable as $$ select lower(v) $$;
    create index on t(fold(v));
    create materialized view m as select slow();
"""


@pytest.fixture
def slow(servers: Servers) -> t.Iterator[Migration]:
    """Give two live databases that are equal; whoever evaluates the source's view waits for ten minutes."""
    with new_case(servers.source(), servers.target(), SLOW) as case:
        case.target.create_database(case.name, template="template0")
        execute(case.target, case.name, SLOW)
        case.run("insert into flag values (true)")
        migration = prepare(case.source, case.name, case.target, case.name, Path("unused"))
        migration.tools = choose_tools(int(case.source.major), int(case.target.major), "")
        yield migration
        for server in (case.source, case.target):
            with server.connect() as connection:
                ours = "SELECT FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'pgconvoy%%'"
                wait_until(lambda: not connection.execute(ours, (case.name,)).fetchall())  # noqa: B023


def test_comparison_that_fails_on_one_side(slow: Migration, servers: Servers) -> None:
    """The other side is not waited for, and nobody's session stays."""
    broken = "create or replace function fold(v text) returns text language sql immutable as $$ select nope(v) $$"
    execute(servers.target(), slow.target.dbname, f"set check_function_bodies = off; {broken}")
    with pytest.raises(MigrationError, match="function nope"):
        slow.compare()


def test_comparison_that_is_interrupted(slow: Migration, servers: Servers) -> None:
    """Ctrl-C ends what both sides are doing."""
    asleep = "SELECT FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"

    def interrupt() -> None:
        with servers.source().connect() as connection:
            wait_until(lambda: connection.execute(asleep, (slow.source.dbname,)).fetchall())
        # A signal, as from a terminal: _thread.interrupt_main() would not wake who waits for a lock.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        slow.compare()
    interrupting.join()


def test_server_that_obeys(servers: Servers) -> None:
    """The session is there for more."""
    server = servers.target()
    with connect(endpoint("target", server, "postgres")) as session:
        waiting = _begin(server, session)
        break_off(session)
        with pytest.raises(psycopg.errors.QueryCanceled):
            waiting.result(_PATIENCE_SECONDS)
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_server_that_does_not(servers: Servers) -> None:
    """Nobody waits for what it may say one day."""
    server = servers.target()
    with connect(endpoint("target", server, "postgres")) as session:
        waiting, backend = _begin(server, session), session.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        try:
            break_off(session)
            with pytest.raises(psycopg.OperationalError, match="closed"):
                waiting.result(_PATIENCE_SECONDS)
        finally:
            os.kill(backend, signal.SIGCONT)
        assert session.closed


def test_session_that_does_nothing(servers: Servers) -> None:
    """It stays as it is."""
    with connect(endpoint("target", servers.target(), "postgres")) as session:
        break_off(session)
        assert session.execute("SELECT 1").fetchone() == (1,)
    break_off(session)
