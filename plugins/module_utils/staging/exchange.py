# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renames of databases that other sessions may use, in one transaction of the maintenance database."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, Outcome, describe
from ..server.endpoint import Endpoint, Session
from .databases import maintenance_session

#: RenameDatabase itself waits up to 5 s for the sessions of a database to end (CountOtherDBBackends in procarray.c).
_ATTEMPTS: t.Final = 3

#: A database's name, and the one that it gets.
Rename = tuple[str, str]


def _rename(old: str, new: str) -> sql.Composed:
    """Return the statement that renames a database."""
    return sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))


def places_after(databases: t.Mapping[str, int], renames: t.Iterable[Rename]) -> dict[str, int]:
    """Return what each name will stand for."""
    places = dict(databases)
    for old, new in renames:
        places[new] = places.pop(old)
    return {name: places[name] for _, name in renames if name in places}


def check_places(session: Session, places: t.Mapping[str, int]) -> None:
    """Make sure that each name stands for the database that it should.

    :raises MigrationError: naming those that do not
    """
    rows = session.execute(
        "SELECT datname, oid FROM pg_catalog.pg_database WHERE datname = ANY(%s)", (list(places),)
    ).fetchall()
    found: dict[str, int] = dict(rows)
    wrong = [f'"{name}" is not database {oid}' for name, oid in places.items() if found.get(name) != oid]
    if wrong:
        raise MigrationError(f"Somebody else renames databases on this server at the same time: {'; '.join(wrong)}.")


def exchange(
    target: Endpoint,
    session: Session,
    databases: t.Mapping[str, int],
    renames: t.Sequence[Rename],
    properties: t.Sequence[sql.Composed],
    disconnect_clients: bool,
    committed: t.Callable[[], None] = lambda: None,
) -> bool:
    """Do it all in one transaction, or nothing; where it is in doubt which, ask the server.

    Return whether the run was broken off when it had happened already.

    :param databases: the OIDs of all that may be renamed, by name
    :param properties: what else belongs to the transaction, before the renames
    :param committed: called as soon as it has happened, without a moment between in which an interruption is lost
    :raises MigrationError: when it did not happen
    :raises KeyboardInterrupt: likewise
    """
    places, backend = places_after(databases, renames), session.info.backend_pid
    used = [old for old, _ in renames if old in databases]
    # Whatever the server is set to: a switch that we tell of is not undone by a crash (docs: 28.4 Asynchronous Commit).
    durably = sql.Composed([sql.SQL("SET LOCAL synchronous_commit = on")])
    statements = [durably, *properties, *(_rename(old, new) for old, new in renames)]
    attempt = 0
    while True:
        attempt += 1
        try:
            with session.transaction():
                for statement in statements:
                    session.execute(statement)
                # What was looked up before may have been replaced since. By now it is locked.
                check_places(session, places)
            committed()
        except psycopg.errors.ObjectInUse as error:
            # The server has waited for the clients. Those that come back faster than that are ended again.
            if disconnect_clients and attempt < _ATTEMPTS:
                _disconnect(session, used)
                continue
            raise MigrationError(
                f"The switch did not happen, and the live database is as it was: {describe(error)}\n"
                f"{_clients(session, used)}\n"
                "Stop these clients and run again, or set switch_disconnects_clients to have their sessions ended."
            ) from None
        except (MigrationError, psycopg.Error) as error:
            if session.broken and _has_happened(target, backend, places):
                committed()
                return False
            told = describe(error) if isinstance(error, psycopg.Error) else str(error)
            raise MigrationError(f"The switch did not happen, and the live database is as it was: {told}") from None
        except KeyboardInterrupt:
            if _has_happened(target, backend, places):
                committed()
                # It may still wait for the answer, and could not be left otherwise.
                session.close()
                return True
            raise
        return False


def _has_happened(target: Endpoint, backend: int, places: t.Mapping[str, int]) -> bool:
    """Return whether a transaction of which nobody has heard the end was committed.

    :param backend: the server process that ran it; it is ended, if it is still there
    :raises MigrationError: when the server cannot be asked
    """
    try:
        with maintenance_session(target) as session:
            session.execute(
                "SELECT pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity"
                " WHERE pid = %s AND usename = current_user AND starts_with(application_name, 'pgconvoy')",
                (backend,),
            )
            with contextlib.suppress(MigrationError):
                check_places(session, places)
                return True
    except (MigrationError, psycopg.Error) as error:
        raise MigrationError(
            "The connection broke during the switch, and the server cannot be asked whether it has happened. It is one "
            f"transaction: either nothing has changed, or all of it. {error}",
            Outcome(uncertain=True),
        ) from None
    return False


# Of other users' sessions a plain role does not see what kind they are.
_SESSIONS: t.Final = """
FROM pg_catalog.pg_stat_activity
WHERE datname = ANY(%s) AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
"""

# Docs: 9.28.2 Server Signaling Functions.
_MAY_END: t.Final = """
AND (pg_catalog.pg_has_role(usesysid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')
     AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE oid = usesysid))
"""


def _disconnect(session: Session, names: list[str]) -> None:
    """End the sessions that may be ended; the others are told of when the databases are still in use."""
    session.execute("SELECT pg_catalog.pg_terminate_backend(pid) " + _SESSIONS + _MAY_END, (names,))


def _clients(session: Session, names: list[str]) -> str:
    """Return who uses the databases, a line each."""
    rows = session.execute(
        "SELECT datname, pid, usename, application_name, coalesce(client_addr::text, 'local') "
        + _SESSIONS
        + " ORDER BY datname, pid",
        (names,),
    ).fetchall()
    return "\n".join(
        f'  session {pid} of {user} from {address} ({application or "no application name"}) in "{database}"'
        for database, pid, user, application, address in rows
    )
