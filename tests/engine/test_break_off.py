# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thread that waits for a server's answer can be made to wait no longer, whether the server obeys or not."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import typing as t

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.endpoint import Session, break_off, connect

from tests.migration import endpoint
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
