# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch: staging becomes live, live becomes previous, in one transaction of the maintenance database."""

from __future__ import annotations

import itertools
import typing as t

import psycopg
from psycopg import sql

from ..catalog.database import DatabaseProperties
from ..endpoint import Session
from ..errors import MigrationError, describe
from .databases import check_staging, database_exists, drop_database
from .names import Generations
from .properties import carry_over

#: RenameDatabase itself waits up to 5 s for the sessions of a database to end (CountOtherDBBackends in procarray.c).
_ATTEMPTS: t.Final = 3


def switch(
    session: Session, generations: Generations, source: DatabaseProperties, run_id: str, disconnect_clients: bool
) -> None:
    """Make the staging database the live one and the live one the previous one; drop the one before that.

    :param session: a maintenance session of the target's server
    :param disconnect_clients: whether the sessions of clients that use the live database may be ended
    :raises MigrationError: when it cannot be done; the live database is then what it was
    """
    check_staging(session, generations, run_id)
    drop_database(session, generations.discarded)
    properties = carry_over(session, generations.staging, generations.live, source)
    moves = _moves(session, [generations.staging, generations.live, generations.previous, generations.discarded])
    _apply(session, generations, [*properties, *moves], disconnect_clients)
    drop_database(session, generations.discarded)


def roll_back(session: Session, generations: Generations, disconnect_clients: bool) -> None:
    """Make the previous database live again; the live one becomes the previous one, so that it can be undone too.

    :raises MigrationError: when there is no previous database, or the server refuses
    """
    if not database_exists(session, generations.previous):
        raise MigrationError(
            f'There is no previous database "{generations.previous}" to go back to: no switch has replaced '
            f'"{generations.live}" yet, or it was dropped.'
        )
    drop_database(session, generations.discarded)
    renames = [rename(generations.previous, generations.discarded)]
    if database_exists(session, generations.live):
        renames.append(rename(generations.live, generations.previous))
    renames.append(rename(generations.discarded, generations.live))
    _apply(session, generations, renames, disconnect_clients)


def rename(old: str, new: str) -> sql.Composed:
    """Return the statement that renames a database."""
    return sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))


def _moves(session: Session, names: t.Sequence[str]) -> list[sql.Composed]:
    """Return the renames that move each existing database to the next name, the last pair first."""
    pairs = reversed(list(itertools.pairwise(names)))
    return [rename(old, new) for old, new in pairs if database_exists(session, old)]


def _apply(
    session: Session, generations: Generations, statements: t.Sequence[sql.Composed], disconnect_clients: bool
) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        if disconnect_clients:
            _disconnect(session, generations)
        try:
            with session.transaction():
                for statement in statements:
                    session.execute(statement)
        except psycopg.errors.ObjectInUse as error:
            # Clients that come back faster than the rename takes its lock: end them again.
            if disconnect_clients and attempt < _ATTEMPTS:
                continue
            raise MigrationError(
                f"The switch did not happen, and the live database is as it was: {describe(error)}\n"
                f"{_clients(session, generations)}\n"
                "Stop these clients and run again, or set switch_disconnects_clients to have their sessions ended."
            ) from None
        except psycopg.Error as error:
            raise MigrationError(
                f"The switch did not happen, and the live database is as it was: {describe(error)}"
            ) from None
        return


_SESSIONS: t.Final = "FROM pg_catalog.pg_stat_activity WHERE datname = ANY(%s) AND backend_type = 'client backend'"


def _disconnect(session: Session, generations: Generations) -> None:
    session.execute(
        "SELECT pg_catalog.pg_terminate_backend(pid) " + _SESSIONS, ([generations.live, generations.previous],)
    )


def _clients(session: Session, generations: Generations) -> str:
    """Return who uses the databases, a line each."""
    rows = session.execute(
        "SELECT datname, pid, usename, application_name, coalesce(client_addr::text, 'local') "
        + _SESSIONS
        + " ORDER BY datname, pid",
        ([generations.live, generations.previous],),
    ).fetchall()
    return "\n".join(
        f'  session {pid} of {user} from {address} ({application or "no application name"}) in "{database}"'
        for database, pid, user, application, address in rows
    )
