# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of a database that stays what the database holds: readers go on, writers wait until it is let go.

The lock is taken in the read-only transaction that exports the snapshot, before it is taken (docs: LOCK, Description).
So whoever can import the snapshot knows that no row has been committed since. Large objects are not kept: who reads one
locks them as a writer does (inv_api.c).
"""

from __future__ import annotations

import contextlib
import time
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, describe
from ..server.endpoint import Endpoint, Session, connect, pin_settings
from .holders import HOLDER, JOINED
from .selection import Name
from .snapshot import ExportedSnapshot

_BEGIN: t.Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
#: How long all locks together are waited for, try by try: who waits keeps new writers out, too. A server looks for
#: deadlocks after a second, and might break off a writer: the first tries are given up before. The last are not, since
#: it is then that an autovacuum is broken off that stands in the way.
_TRIES: t.Final = ("900ms",) * 5 + ("3s",) * 2
#: Meanwhile the writers that have waited behind a try come to their end.
_PAUSE_SECONDS: t.Final = 0.5

#: How long the server hears nothing from who has frozen it until it lets go by itself: of a machine that has vanished,
#: or sleeps, it would learn much later.
_SILENCE: t.Final = "30s"

_UNAVAILABLE: t.Final = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
)


@contextlib.contextmanager
def frozen(endpoint: Endpoint, list_tables: t.Callable[[Session], t.Iterable[Name]]) -> t.Iterator[ExportedSnapshot]:
    """Keep all writers out of tables, and share a snapshot of what they hold, for as long as the block lasts.

    :param list_tables: which tables, by schema and name
    :raises MigrationError: when they cannot be locked, naming who holds a lock
    """
    with connect(endpoint) as session:
        _lock(session, endpoint, list_tables)
        try:
            session.execute(pin_settings(endpoint))
            session.execute(sql.SQL("SET idle_in_transaction_session_timeout = {}").format(_SILENCE))
            row = session.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
            assert row is not None
            yield ExportedSnapshot(endpoint, session, row[0])
        finally:
            # Where the connection has broken, the locks are gone as well.
            with contextlib.suppress(psycopg.Error):
                session.rollback()


def _lock(session: Session, endpoint: Endpoint, list_tables: t.Callable[[Session], t.Iterable[Name]]) -> None:
    for number, patience in enumerate(_TRIES):
        if number:
            time.sleep(_PAUSE_SECONDS)
        tables = sorted(list_tables(session))
        names = sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(*name)) for name in tables)
        try:
            # SET and LOCK take no snapshot.
            session.execute(sql.SQL(_BEGIN + "; SET LOCAL statement_timeout = {}").format(patience))
            if tables:
                session.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(names))
            session.execute("SET LOCAL statement_timeout = 0")
            # A table that was made in between is not locked.
            if sorted(list_tables(session)) == tables:
                return
        except _UNAVAILABLE:
            pass
        except psycopg.Error as error:
            raise MigrationError(f"The {endpoint} cannot be frozen: {describe(error)}") from None
        session.execute("ROLLBACK")
    raise MigrationError(
        f"The {endpoint} cannot be frozen: its tables could not be locked in {len(_TRIES)} tries. The application goes "
        f"on with it as before. These hold locks there:{_tell_holders(session) or ' nobody any more'}\n"
        "Let them come to their end, or end them, and run again."
    )


# What SHARE waits for (docs: 13.3.1 Table-Level Locks).
_HOLDERS: t.Final = f"""
SELECT {HOLDER}, l.mode, n.nspname || '.' || c.relname
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace {JOINED}
WHERE l.locktype = 'relation' AND l.granted AND n.nspname !~ '^pg_' AND l.mode IN ('RowExclusiveLock',
      'ShareUpdateExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
ORDER BY 3, 1, 2
"""


def _tell_holders(session: Session) -> str:
    """Return who holds locks, a line each."""
    return "".join(f"\n  {holder} holds {mode} on {table}" for holder, mode, table in session.execute(_HOLDERS))
