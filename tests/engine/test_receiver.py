# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of several tables enter with one message: all of them or none, and a failure names its table."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.chunks import Chunks
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.receiver import Stream, receive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Session, connect
from psycopg import pq, sql

from bench.line import Line
from tests.databases import database
from tests.migration import endpoint
from tests.servers import Servers

_TABLES: t.Final = ("one", "two", "three")


@dataclasses.dataclass(frozen=True)
class Place:
    """A session of a database with three tables of positive numbers, by way of a line that counts."""

    session: Session
    line: Line

    def receive(self, **chunks: t.Iterable[bytes]) -> list[int]:
        """Load a row into each table, into some of them these chunks instead."""
        streams = [self.stream(name, chunks.get(name, [b"1\n"])) for name in _TABLES]
        return receive(self.session, streams)

    def stream(self, name: str, chunks: t.Iterable[bytes]) -> Stream:
        copy = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier("public", name))
        return Stream(f"table {name}", [copy], _one_row(chunks))

    def counts(self) -> list[int]:
        """Return how many rows the tables hold; nothing may be under way in the session."""
        query = ", ".join(f"(SELECT count(*)::int FROM public.{name})" for name in _TABLES)
        row = self.session.execute(f"SELECT {query}".encode()).fetchone()
        assert row is not None
        return list(row)


def _one_row(chunks: t.Iterable[bytes]) -> Chunks:
    """Say of these chunks that they are one row."""
    yield from chunks
    return 1


@pytest.fixture
def place(servers: Servers) -> t.Iterator[Place]:
    """Give empty tables."""
    server = servers.target()
    tables = "".join(f"CREATE TABLE {name} (v int CHECK (v > 0));" for name in _TABLES)
    with database(server, tables) as target, Line(server.port) as line:
        there = dataclasses.replace(endpoint("target", server, target.name), port=line.port)
        with connect(there) as session:
            yield Place(session, line)


def test_one_wait_a_table(place: Place) -> None:
    """The first message has all COPYs, the last one is COMMIT; what comes in many chunks is waited for once, too."""
    before = place.line.counts.turns
    assert place.receive(two=[b"1", b"", b"\n"]) == [1, 1, 1]
    assert place.line.counts.turns - before == 1 + len(_TABLES) + 1
    assert place.counts() == [1, 1, 1]


def test_nothing_is_kept_of_what_is_not_whole(place: Place) -> None:
    """A row that is missing or one too many, one that is refused, and a stream that breaks: none of it stays."""
    for name, chunks in itertools.product(_TABLES, ([], [b"1\n2\n"])):
        with pytest.raises(MigrationError, match=rf"^table {name}: 1 rows were sent, but the target received [02]$"):
            place.receive(**{name: chunks})
    with pytest.raises(MigrationError, match=r"^Cannot load the rows of table three: ERROR 23514: .*\n"):
        place.receive(three=[b"-1\n"])
    with pytest.raises(MigrationError, match=r"^altered$"):
        place.receive(two=_breaking())
    assert place.counts() == [0, 0, 0]


def test_emptied_and_frozen_with_the_same_message(place: Place) -> None:
    """What is to be executed before a COPY waits for nothing: rows that are frozen need no VACUUM (COPY, FREEZE)."""
    before = place.line.counts.turns
    emptied = sql.SQL("TRUNCATE ONLY public.one")
    copy = sql.SQL("COPY public.one FROM STDIN (FREEZE)")
    assert receive(place.session, [Stream("table one", [emptied, copy], _one_row([b"1\n"]))]) == [1]
    assert place.line.counts.turns - before <= 4
    assert place.counts() == [1, 0, 0]


def _breaking() -> t.Iterator[bytes]:
    yield b"1\n"
    raise MigrationError("altered")


def test_refused_at_the_beginning(place: Place) -> None:
    """Why, the server says while rows are still on their way; and where there is no such table, before any."""
    with pytest.raises(MigrationError, match=r"^Cannot load the rows of table two: ERROR 22P02: "):
        place.receive(two=[b"x\n", *[b"1\n" * 500_000] * 20])
    missing = [place.stream(name, [b"1\n"]) for name in ("one", "four", "two")]
    with pytest.raises(MigrationError, match=r"^Cannot load the rows of table four: ERROR 42P01: "):
        receive(place.session, missing)
    assert place.counts() == [0, 0, 0]


def test_within_a_transaction(place: Place) -> None:
    """Who has begun it ends it."""
    with place.session.transaction(force_rollback=True):
        assert place.receive() == [1, 1, 1]
        assert place.session.info.transaction_status == pq.TransactionStatus.INTRANS
    assert place.counts() == [0, 0, 0]
    with pytest.raises(MigrationError, match="table one"), place.session.transaction():
        place.receive(one=[b"0\n"])
    assert place.counts() == [0, 0, 0]
