# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on the live database's tables: soon or not at all, since clients wait behind whoever waits for one."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg
from psycopg import sql

from ..archive.manifest import Manifest
from ..catalog.holders import HOLDER, JOINED
from ..catalog.selection import Name, Selection
from ..errors import MigrationError, describe
from ..server.endpoint import Session

#: With the first, others wait who write, with the second also who reads (docs: 13.3.1 Table-Level Locks).
LockMode = t.Literal["SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"]
#: What the server says of a lock that cannot be had: not in time, or never, since its holder waits for us.
UNAVAILABLE: t.Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
#: How long each lock is waited for.
PATIENCE: t.Final = "5s"


@contextlib.contextmanager
def impatient(session: Session, patience: str = "") -> t.Iterator[None]:
    """Wait for each lock a few seconds at most; the session must be in a transaction.

    :param patience: how long exactly, as the server spells it; if empty, ``PATIENCE``
    :raises MigrationError: when a lock cannot be had, naming those who hold some
    """
    with telling_holders(session, patience):
        session.execute(sql.SQL("; ").join(impatiently(patience)))
        yield
        session.execute(PATIENT_AGAIN)


#: At the end of what is undone where a lock cannot be had.
PATIENT_AGAIN: t.Final = "SET LOCAL lock_timeout = 0; RELEASE SAVEPOINT impatient"


def impatiently(patience: str = "") -> list[sql.Composable]:
    """Return the statements at its beginning."""
    return [sql.SQL("SAVEPOINT impatient"), sql.SQL("SET LOCAL lock_timeout = {}").format(patience or PATIENCE)]


@contextlib.contextmanager
def telling_holders(session: Session, patience: str = "") -> t.Iterator[None]:
    """Undo what the block does where a lock cannot be had, once it has begun `impatiently`.

    :raises MigrationError: then, naming those who hold some
    """
    try:
        yield
    except BaseException as error:
        # Where Ctrl-C came instead of an answer, the session may be in the middle of one.
        with contextlib.suppress(psycopg.Error):
            session.execute("ROLLBACK TO SAVEPOINT impatient; RELEASE SAVEPOINT impatient")
        if not isinstance(error, UNAVAILABLE):
            raise
        raise MigrationError(
            "The live database is as it was: a table that must be locked is in use, and its lock could not be had in "
            f"{patience or PATIENCE}. Tables are in use by:\n{_holders(session)}\nStop these clients, and run again."
        ) from None


def execute(session: Session, what: str, statement: sql.Composed) -> None:
    """Execute a statement that may have to wait for a lock.

    :param what: what it does, for the message
    :raises MigrationError: when the server refuses
    :raises psycopg.errors.LockNotAvailable: when a lock cannot be had: ``impatient`` tells who holds it
    """
    try:
        session.execute(statement)
    except UNAVAILABLE:
        raise
    except psycopg.Error as error:
        raise MigrationError(f"Cannot {what}: {describe(error)}") from None


#: Whether the user may lock a table: who may change all of its rows may, and from 17 on who maintains it (docs: LOCK,
#: Notes). An owner has these rights, unless it has taken them from itself.
MAY_LOCK: t.Final = """has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE' ||
    CASE WHEN current_setting('server_version_num')::int >= 170000 THEN ', MAINTAIN' ELSE '' END)"""
# Others are locked as they are altered.
_LOCKABLE: t.Final = f"""
SELECT n.nspname, c.relname
FROM unnest(%s::text[], %s::text[]) wanted(schema, name)
JOIN pg_namespace n ON n.nspname = wanted.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
WHERE has_schema_privilege(n.oid, 'USAGE')
  AND {MAY_LOCK}
ORDER BY 1, 2
"""


def lock_described(session: Session, manifest: Manifest, selection: Selection | None, mode: LockMode) -> None:
    """Keep others out of the tables that a manifest describes, or the selected ones, until the transaction ends.

    Who may neither alter nor write to a table may not lock it.

    :raises MigrationError: when a lock cannot be had, naming those who hold some
    """
    relations = [measured.relation for measured in manifest.content.relations]
    tables = [
        relation.full_name
        for relation in relations
        if relation.kind != "materialized view" and (selection is None or relation.full_name in selection)
    ]
    names = [schema for schema, _ in tables], [name for _, name in tables]
    lock(session, [([(schema, name) for schema, name in session.execute(_LOCKABLE, names).fetchall()], mode)])


def lock(session: Session, locks: t.Iterable[tuple[t.Collection[Name], str]]) -> None:
    """Lock tables, each group in a mode of its own, until the transaction ends.

    :raises MigrationError: when a lock cannot be had, naming those who hold some
    """
    if statements := locking(locks):
        with telling_holders(session):
            session.execute(sql.SQL("; ").join(statements))


def locking(locks: t.Iterable[tuple[t.Collection[Name], str]]) -> list[sql.Composable]:
    """Return the statements that do so, if there are any; they are to be executed by one who is `telling_holders`."""
    statements = [
        sql.SQL("LOCK TABLE {} IN {} MODE").format(
            sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(*name)) for name in tables), sql.SQL(mode)
        )
        for tables, mode in locks
        if tables
    ]
    return [*impatiently(), *statements, *map(sql.SQL, PATIENT_AGAIN.split("; "))] if statements else []


_HOLDERS: t.Final = f"""
SELECT DISTINCT {HOLDER} FROM pg_catalog.pg_locks l {JOINED}
WHERE l.locktype = 'relation' AND l.granted AND l.relation >= 16384
  AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
ORDER BY 1
"""


def _holders(session: Session) -> str:
    """Return who has locked the user's tables, a line each."""
    return "\n".join(f"  {holder}" for (holder,) in session.execute(_HOLDERS))
