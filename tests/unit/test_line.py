# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line that measurements go through counts right, and tells what was said at each turn."""

from __future__ import annotations

import socket
import time

import psycopg
import pytest

from bench.frontend import SHOWN, Frontend, summarize
from bench.line import Line
from tests.servers import PostgresServer, Servers


def connect(server: PostgresServer, line: Line) -> psycopg.Connection[tuple[object, ...]]:
    """Connect to the server by way of the line."""
    return psycopg.connect(
        host=server.host,
        port=line.port,
        dbname="postgres",
        user=server.user,
        password=server.password,
        sslmode="disable",
        autocommit=True,
    )


def test_turns(servers: Servers) -> None:
    """Three to get in (SCRAM), one a statement, two a COPY, one for all that goes in one pipeline, one to part."""
    with Line(servers.source().port, traced=True) as line, connect(servers.source(), line) as session:
        session.execute("CREATE TEMPORARY TABLE thing (n int)")
        with session.cursor().copy("COPY thing FROM STDIN") as copy:
            copy.write(b"1\n" * 1_000_000)
        with session.pipeline():
            session.execute("INSERT INTO thing VALUES (2)")
            session.execute("INSERT INTO thing VALUES (3)")
    assert (line.counts.connections, line.counts.turns) == (1, 8)
    assert line.counts.up > 2_000_000
    said = [summarize(turn.messages) for turn in line.turns]
    assert said[:4] == [
        f"Startup user={servers.source().user} database=postgres",
        "Authentication",
        "Authentication",
        "Query CREATE TEMPORARY TABLE thing (n int)",
    ]
    assert said[4] == "Query COPY thing FROM STDIN"
    assert said[5].startswith("CopyData x")
    assert said[6].count("Parse INSERT INTO thing VALUES") == 2
    assert said[7:] == ["Terminate"]


def test_delay(servers: Servers) -> None:
    """Each turn takes the way there and back."""
    with Line(servers.source().port, one_way=0.02) as line, connect(servers.source(), line) as session:
        before, began = line.counts, time.monotonic()
        for _ in range(5):
            session.execute("SELECT 1")
        assert time.monotonic() - began >= 5 * 0.04
        assert (line.counts - before).turns == 5


def test_rate(servers: Servers) -> None:
    """A megabyte takes a tenth of a second where ten of them take one."""
    with Line(servers.source().port, rate=10e6) as line, connect(servers.source(), line) as session:
        began = time.monotonic()
        session.execute("SELECT repeat('x', 1000000)")
        assert time.monotonic() - began >= 0.1


def test_broken_connections(servers: Servers) -> None:
    """Each side sees that the other has gone, and the line goes on."""
    with Line(servers.source().port) as line:
        with connect(servers.source(), line) as session, pytest.raises(psycopg.OperationalError):
            session.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        connect(servers.source(), line).close()
    assert line.counts.connections == 2


def test_nobody_there() -> None:
    """Where no server listens, a client is told so by the end of its connection."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with Line(closed.getsockname()[1]) as line, socket.create_connection(("127.0.0.1", line.port)) as client:
            assert client.recv(1) == b""


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_messages_in_any_pieces(size: int) -> None:
    """Messages are told when they are whole, however they are cut; no row and no password is told."""
    said = (
        b"\0\0\0\x08\x04\xd2\x16\x2f"
        + message(b"", b"\0\x03\0\0user\0ana\0database\0app\0application_name\0psql\0\0")
        + message(b"p", b"secret\0")
        + message(b"Q", b"SELECT\n  " + b"1, " * 100 + b"2\0")
        + message(b"P", b"s1\0SELECT $1\0\0\0")
        + message(b"B", b"\0s1\0")
        + message(b"d", b"a row\n") * 3
        + message(b"c", b"")
        + message(b"X", b"")
    )
    frontend = Frontend()
    told = [word for start in range(0, len(said), size) for word in frontend.feed(said[start : start + size])]
    statement = told.pop(3)
    assert statement.startswith("Query SELECT 1, 1, ")
    assert len(statement) == SHOWN + len("Query ")
    assert summarize(told) == (
        "SSLRequest, Startup user=ana database=app application_name=psql, Authentication, Parse s1: SELECT $1, Bind, "
        "CopyData x3, CopyDone, Terminate"
    )


def message(kind: bytes, body: bytes) -> bytes:
    """Return a message of the protocol; the first one of a connection has no kind."""
    return kind + (len(body) + 4).to_bytes(4, "big") + body
