# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One state of a database, shared by all that read it."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import itertools
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, describe
from ..server.batches import execute_together, split
from ..server.endpoint import (
    UNTIMED,
    Endpoint,
    OpenSession,
    Session,
    connect,
    connect_unpinned,
    handing_on,
    pin_settings,
    pinning,
    set_search_path,
)
from ..server.session_server import serve_session

BEGIN: t.Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
EXPORT: t.Final = "SELECT pg_catalog.pg_export_snapshot()"
#: How long each lock is waited for: a reader's waits for nobody but who alters, drops, truncates or rewrites the table.
LOCK_PATIENCE: t.Final = "30s"
#: How often what is to be locked is listed again since something of it is gone.
_TRIES: t.Final = 5
_LOCKED_AT_ONCE: t.Final = 500


@dataclasses.dataclass(frozen=True)
class Snapshot(abc.ABC):
    """What ``session`` sees, every other reader sees, too; how that is done is for the two kinds of it to know."""

    endpoint: Endpoint
    session: Session

    @abc.abstractmethod
    def another_session(self, search_path: str = "") -> contextlib.AbstractContextManager[Session]:
        """Give a session for one more reader, under a search_path; what it sets ends with the block."""

    def readers(self, *, fresh: bool = False) -> OpenSession:
        """Return what gives readers, which are at work at once, a session each; ``session`` has no other use meanwhile.

        Under which search_path they read, they say themselves.

        :param fresh: whether each must be in a transaction of its own
        """
        return self.another_session

    @contextlib.contextmanager
    def entrance(self, program: t.Sequence[str]) -> t.Iterator[Endpoint]:
        """Give where pg_dump connects to, to see the same: the session answers as a server, and serves nobody else.

        It needs no password then, no TLS, and no settings of its own.

        :param program: its command line
        """
        with serve_session(self.session, self.endpoint, program) as server:
            yield server


@dataclasses.dataclass(frozen=True)
class ExportedSnapshot(Snapshot):
    """One committed instant: other sessions import it (docs: 9.28.5 Snapshot Synchronization Functions)."""

    name: str
    #: one that is open already for a second reader, in whatever transaction
    second: Session | None = None

    def readers(self, *, fresh: bool = False) -> OpenSession:
        """Do so; the session that is there reads, too: to open one more is five round trips."""
        others = super().readers(fresh=fresh)
        if self.second:
            others = handing_on(self._second_session(self.second), others)
        return others if fresh else handing_on(contextlib.nullcontext(self.session), others)

    @contextlib.contextmanager
    def _second_session(self, session: Session) -> t.Iterator[Session]:
        with _taking_part(self.endpoint, session, self.name, "ROLLBACK"):
            yield session

    @property
    def import_statements(self) -> sql.Composed:
        """The statements by which another session, of whatever program, takes part in the snapshot."""
        return import_statements(self.name)

    @contextlib.contextmanager
    def another_session(self, search_path: str = "") -> t.Iterator[Session]:
        """Open one more session at the same instant.

        :raises MigrationError: when the snapshot is gone; or when a lock cannot be had: who waits for ACCESS EXCLUSIVE
            on a table that the exporting session holds, is ahead of all others
        """
        with _importing(self.endpoint, self.name, search_path) as session:
            yield session


@contextlib.contextmanager
def imported_snapshot(endpoint: Endpoint, name: str) -> t.Iterator[ExportedSnapshot]:
    """Take part in a snapshot that another process has exported, and holds for as long as it lives.

    :raises MigrationError: when it is gone
    """
    with _importing(endpoint, name) as session:
        yield ExportedSnapshot(endpoint, session, name)


def import_statements(name: str) -> sql.Composed:
    """Return the statements by which a session takes part in a snapshot of that name."""
    return sql.SQL(BEGIN + "; SET TRANSACTION SNAPSHOT {}; SET LOCAL lock_timeout = {}").format(name, LOCK_PATIENCE)


#: Where the server's source raises that a snapshot's transaction has ended or is just ending; the SQLSTATE differs
#: between versions (ImportSnapshot, ProcArrayInstallImportedXmin).
GONE_SOURCES: t.Final = ("snapmgr.c", "procarray.c")


@contextlib.contextmanager
def _importing(endpoint: Endpoint, name: str, search_path: str = "") -> t.Iterator[Session]:
    with connect_unpinned(endpoint) as session, _taking_part(endpoint, session, name, UNTIMED, search_path):
        yield session


@contextlib.contextmanager
def _taking_part(
    endpoint: Endpoint, session: Session, name: str, first: t.LiteralString, search_path: str = ""
) -> t.Iterator[None]:
    """Let a session take part in a snapshot; all of it is said with one message, since a far line is slow.

    :param first: what comes before
    """
    begin = [sql.SQL(first), import_statements(name), _pin_transaction(endpoint), set_search_path(search_path)]
    with pinning(endpoint, session):
        try:
            session.execute(sql.SQL("; ").join(begin))
        except psycopg.Error as error:
            if error.diag.source_file not in GONE_SOURCES:
                raise
            raise MigrationError(tell_gone(endpoint)) from None
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise _not_readable(endpoint) from None


def tell_gone(endpoint: Endpoint) -> str:
    """Return what to say of a snapshot that can no longer be imported."""
    return (
        f"The snapshot of the {endpoint} is gone: the session that held it has ended, and what there was at that "
        "instant can no longer be read. See whether its server was restarted or the connection broke, and run again."
    )


def _pin_transaction(endpoint: Endpoint) -> sql.Composed:
    """Return the statements that pin what is pinned once more, within a transaction, whatever lies between.

    A lock is waited for no longer than the transaction's statements have said.
    """
    return sql.SQL("{}; SET LOCAL lock_timeout = {}").format(pin_settings(endpoint), LOCK_PATIENCE)


@contextlib.contextmanager
def exported_snapshot(
    endpoint: Endpoint, list_tables: t.Callable[[Session], t.Iterable[tuple[str, str]]] | None = None
) -> t.Iterator[ExportedSnapshot]:
    """Hold a read-only transaction whose snapshot others can import, for as long as the block lasts.

    :param list_tables: which tables, by schema and name, nobody can truncate, rewrite or drop meanwhile. They are
        locked before the snapshot is taken, so that nothing happens in between (docs: LOCK, Description)
    :raises MigrationError: when a lock cannot be had, naming who holds it
    """
    with (
        contextlib.closing(connect(endpoint) if list_tables else connect_unpinned(endpoint)) as session,
        # The transaction ends with the session; only locks are given back while that is waited for.
        export_snapshot(endpoint, session, list_tables, stays=not list_tables) as snapshot,
    ):
        yield snapshot


@contextlib.contextmanager
def export_snapshot(
    endpoint: Endpoint,
    session: Session,
    list_tables: t.Callable[[Session], t.Iterable[tuple[str, str]]] | None = None,
    second: Session | None = None,
    *,
    stays: bool = False,
) -> t.Iterator[ExportedSnapshot]:
    """Do so by a session that is open already, and in no transaction; its settings are pinned in that.

    :param second: one for a second reader, in whatever transaction
    :param stays: whether the session is left in the transaction, unless the block fails
    :raises MigrationError: when a lock cannot be had, naming who holds it; or when a timeout has ended the session
    """
    begin = [] if list_tables else [UNTIMED, BEGIN]
    if list_tables:
        _begin_locked(session, endpoint, list_tables)
    with pinning(endpoint, session):
        *_, ((name,),) = execute_together(session, *begin, _pin_transaction(endpoint), EXPORT)
    ended_well = False
    try:
        yield ExportedSnapshot(endpoint, session, name, second)
        ended_well = True
    except psycopg.errors.LockNotAvailable:
        raise _not_readable(endpoint) from None
    finally:
        if not (stays and ended_well):
            # Where the connection has broken, the transaction has ended as well.
            with contextlib.suppress(psycopg.Error):
                session.rollback()


def _begin_locked(
    session: Session, endpoint: Endpoint, list_tables: t.Callable[[Session], t.Iterable[tuple[str, str]]]
) -> None:
    for tries in itertools.count(1):
        tables = sorted(list_tables(session))
        # SET and LOCK take no snapshot.
        session.execute(sql.SQL(BEGIN + "; SET lock_timeout = {}").format(LOCK_PATIENCE))
        try:
            for batch in split(tables, _LOCKED_AT_ONCE):
                names = sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(*name)) for name in batch)
                session.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
        except psycopg.errors.LockNotAvailable:
            raise _not_readable(endpoint) from None
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            session.execute("ROLLBACK")
            if tries == _TRIES:
                raise MigrationError(f"Tables of the {endpoint} are dropped all the time: {describe(error)}") from None
        else:
            return


# Nothing but ACCESS EXCLUSIVE stands in the way of a reader, held or waited for: who waits is ahead in the queue (docs:
# 13.3.1 Table-Level Locks).
_LOCKERS: t.Final = """
SELECT n.nspname || '.' || c.relname, l.pid, CASE WHEN l.granted THEN 'holds' ELSE 'waits for' END,
       coalesce(a.usename, '?'), coalesce(nullif(a.application_name, ''), 'no application name')
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND n.nspname !~ '^pg_'
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
ORDER BY 1, 3, 2
"""


def tell_lockers(endpoint: Endpoint) -> str:
    """Return who keeps readers out of tables of a database, a line each; nothing if nobody does any more."""
    with connect(endpoint) as session:
        return "".join(
            f"\n  session {pid} of {user} ({application}) {has} ACCESS EXCLUSIVE on {relation}"
            for relation, pid, has, user, application in session.execute(_LOCKERS)
        )


def _not_readable(endpoint: Endpoint) -> MigrationError:
    return MigrationError(
        f"A table of the {endpoint} cannot be read: its lock could not be had in {LOCK_PATIENCE}. These keep readers "
        f"out:{tell_lockers(endpoint) or ' nobody any more'}\nLet them come to their end, or end them, and run again."
    )
