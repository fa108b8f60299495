# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that do not wait for each other: many travel with one message to the server."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

import psycopg
from psycopg import pq, sql

from ..errors import MigrationError, describe
from .endpoint import Session, set_search_path

#: How many change something in one transaction: each holds locks until it ends (docs: max_locks_per_transaction).
_BATCH_CHANGES: t.Final = 200
#: How many questions are asked at once; each is answered by a result of its own.
_BATCH_QUERIES: t.Final = 1000

Item = t.TypeVar("Item")
#: A query without parameters; whatever it is made of is composed into it.
Question: t.TypeAlias = "t.LiteralString | bytes | sql.Composable"
Rows = list[tuple[t.Any, ...]]


@dataclasses.dataclass(frozen=True)
class Statement:
    """A statement, and what it does, for the message; bytes are in the encoding of the session that is to run it."""

    what: str
    text: bytes | sql.Composed

    def encode(self, session: Session) -> bytes:
        """Return it as it is sent."""
        return self.text if isinstance(self.text, bytes) else self.text.as_bytes(session)


def split(items: t.Sequence[Item], size: int) -> t.Iterator[t.Sequence[Item]]:
    """Yield the items in order, ``size`` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


@contextlib.contextmanager
def ending_transaction(session: Session) -> t.Iterator[None]:
    """End the transaction that the block begins itself, in the message that needs it: commit, or undo it all.

    :raises psycopg.Error: when it cannot be committed
    """
    try:
        yield
    except BaseException:
        with contextlib.suppress(psycopg.Error):
            session.execute("ROLLBACK")
        raise
    session.execute("COMMIT")


def change(session: Session, statements: bytes) -> None:
    """Execute statements with one message, all or none.

    They are one transaction (docs: 55.2.2.1 Multiple Statements in a Simple Query) or, within one, they come after a
    savepoint that is gone again.

    :raises psycopg.Error: when one fails
    """
    if session.info.transaction_status == pq.TransactionStatus.IDLE:
        session.execute(statements)
        return
    try:
        session.execute(b"SAVEPOINT change;\n" + statements + b"\n;RELEASE SAVEPOINT change")
    except BaseException:
        # Ctrl-C may have come before the savepoint was there.
        with contextlib.suppress(psycopg.Error):
            session.execute(b"ROLLBACK TO SAVEPOINT change; RELEASE SAVEPOINT change")
        raise


def execute_all(session: Session, statements: t.Sequence[Statement]) -> None:
    """Execute statements in order, many with one message to the server.

    :raises MigrationError: naming the one that failed, with the server's message
    :raises psycopg.errors.LockNotAvailable: when a lock cannot be had in the time that the session allows
    """
    for batch in split(statements, _BATCH_CHANGES):
        try:
            change(session, b";\n".join(statement.encode(session) for statement in batch))
        except psycopg.errors.LockNotAvailable:
            raise
        except psycopg.Error as error:
            if session.closed:
                others = f" or one of the {len(batch) - 1} after it" if len(batch) > 1 else ""
                raise MigrationError(f"Cannot {batch[0].what}{others}: {describe(error)}") from None
            # The batch was rolled back. Which statement it was, the server does not say: send them singly to learn it.
            for statement in batch:
                _execute_one(session, statement)


def _execute_one(session: Session, statement: Statement) -> None:
    try:
        change(session, statement.encode(session))
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.Error as error:
        raise MigrationError(f"Cannot {statement.what}: {describe(error)}") from None


def ask_all(
    session: Session, *questions: Question, search_path: str | None = None, first: t.Sequence[Question] = ()
) -> list[Rows]:
    """Return the answers to questions that do not wait for each other, in order; what they set is undone.

    Many go with one message, and their locks with them: however many tables are asked, the server's table of locks
    holds those of one batch (a rollback to a savepoint releases what was locked since; docs: 13.3 Explicit Locking).

    :param search_path: under which they are asked, if not under the session's own
    :param first: what is executed before, within the session's transaction, and not undone
    :raises psycopg.Error: when a question fails
    """
    path = [] if search_path is None else [set_search_path(search_path)]
    answers: list[Rows] = []
    for batch in split(questions, _BATCH_QUERIES):
        answers += _undone(session, [*path, *batch], first)[len(path) :]
        first = ()
    return answers


def execute_together(session: Session, *statements: Question) -> list[Rows]:
    """Execute statements in order, with one message to the server, and return the rows of each.

    :raises psycopg.Error: when one fails; those after it are not executed
    """
    with session.cursor() as cursor:
        cursor.execute(b";\n".join(encode(session, statement) for statement in statements))
        results = [_fetch(cursor)]
        while cursor.nextset():
            results.append(_fetch(cursor))
    return results


def _fetch(cursor: psycopg.Cursor[tuple[t.Any, ...]]) -> Rows:
    # Rows may have no columns.
    return cursor.fetchall() if cursor.pgresult and cursor.pgresult.status == pq.ExecStatus.TUPLES_OK else []


def find_refusal(session: Session, *statements: Question) -> psycopg.Error | None:
    """Execute statements in order, with one message to the server, and undo them; return why one of them failed."""
    try:
        _undone(session, statements)
    except psycopg.Error as error:
        return error
    return None


def _undone(session: Session, questions: t.Sequence[Question], first: t.Sequence[Question] = ()) -> list[Rows]:
    """Ask in a transaction of its own or, within one, after a savepoint, to which the message itself goes back."""
    within = session.info.transaction_status == pq.TransactionStatus.INTRANS
    begin, end = (b"SAVEPOINT asked", b"ROLLBACK TO asked; RELEASE asked") if within else (b"BEGIN", b"ROLLBACK")
    try:
        answers = execute_together(session, *first, begin, *questions, end)[len(first) + 1 :]
    except BaseException:
        # Where Ctrl-C came instead of an answer, the session may be in the middle of one.
        with contextlib.suppress(psycopg.Error):
            session.execute(end)
        raise
    return answers[: len(questions)]


def encode(session: Session, question: Question) -> bytes:
    """Return it as it is sent."""
    if isinstance(question, bytes):
        return question
    return (sql.SQL(question) if isinstance(question, str) else question).as_bytes(session)
