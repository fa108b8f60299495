# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows enter the target: kept only when the streams ended well and the counts agree.

The COPYs of several tables travel with one message: each begins when the one before has ended, and nobody has to ask
for it. psycopg's own COPY is one statement alone, so this speaks to libpq (docs: 34.10 Functions Associated with the
COPY Command).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import typing as t

import psycopg
from psycopg import generators, pq, sql

from ..errors import MigrationError, describe
from ..schedule.progress import moved
from ..server.batches import ending_transaction
from ..server.endpoint import Session
from .chunks import Chunks, pour


@dataclasses.dataclass(frozen=True)
class Stream:
    """What a COPY is to read."""

    #: the object, for messages
    what: str
    #: the COPY, and before it what is to be executed in the same transaction
    statements: t.Sequence[sql.Composable]
    chunks: Chunks


def receive(session: Session, streams: t.Sequence[Stream]) -> list[int]:
    """Load streams, one after the other; return of each how many rows the target received: as many as were sent.

    :param session: if it is in a transaction, that has failed when this fails; else all of this is one of its own
    :raises MigrationError: naming the object of which the server refuses a row, the stream breaks or a row is missing
    """
    own = session.info.transaction_status == pq.TransactionStatus.IDLE
    with ending_transaction(session) if own else contextlib.nullcontext():
        begin = [b"BEGIN"] if own else []
        statements = [statement.as_bytes(session) for stream in streams for statement in stream.statements]
        session.pgconn.send_query(b";\n".join([*begin, *statements]))
        try:
            with _told_with(streams[0]):
                session.wait(generators.send(session.pgconn))
                for _ in begin:
                    _next(session)
            received = [_load(session, stream) for stream in streams]
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                _hear_out(session)
            raise
        _hear_out(session)
    return received


@contextlib.contextmanager
def _told_with(stream: Stream) -> t.Iterator[None]:
    """Have what the server says, or that it is gone, told with the stream's object."""
    try:
        yield
    except psycopg.Error as error:
        raise MigrationError(f"Cannot load the rows of {stream.what}: {describe(error)}") from None


def _load(session: Session, stream: Stream) -> int:
    connection = session.pgconn
    with _told_with(stream):
        for _ in stream.statements:
            _next(session)
        sent = pour(stream.chunks, functools.partial(_put, session))
        while connection.put_copy_end() == 0:
            session.wait(generators.send(connection))
        session.wait(generators.send(connection))
        received = _next(session).command_tuples
    if received != sent:
        raise MigrationError(f"{stream.what}: {sent} rows were sent, but the target received {received}")
    return received


def _put(session: Session, chunk: bytes) -> None:
    moved(len(chunk))
    try:
        session.wait(generators.copy_to(session.pgconn, chunk))
    except psycopg.OperationalError:
        # The COPY may have failed already: then the server has said why.
        _next(session)
        raise


def _next(session: Session) -> pq.abc.PGresult:
    """Return the next result: how a statement has ended, or that a COPY may begin."""
    result: pq.abc.PGresult | None = session.wait(generators.fetch(session.pgconn))
    assert result is not None
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COPY_IN):
        raise psycopg.errors.error_from_result(result, encoding=session.info.encoding)
    return result


def _hear_out(session: Session) -> None:
    """Hear the message to its end; a COPY that is still under way fails."""
    while not session.closed and (result := session.wait(generators.fetch(session.pgconn))):
        if result.status == pq.ExecStatus.COPY_IN:
            session.pgconn.put_copy_end(b"not all of it was sent")
            session.wait(generators.send(session.pgconn))
