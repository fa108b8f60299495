# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database beside the live one that holds no rows and goes again: what the target's server makes of a schema."""

from __future__ import annotations

import contextlib
import typing as t

from psycopg import sql

from ..catalog.database import Locale
from ..errors import ConnectionLostError, MigrationError
from ..server.endpoint import Endpoint, Session, connect
from .databases import create_database, drop_database, maintenance_session
from .locks import lock_name_patiently, unlock_name
from .names import Generations


class NoScratchError(MigrationError):
    """The target's server cannot be asked, since no database can be made there."""


@contextlib.contextmanager
def open_scratch(
    target: Endpoint, locale: Locale, *, has_public: bool, server: Session | None = None
) -> t.Iterator[tuple[Endpoint, Session]]:
    """Give an empty database of the locale, and a session in it; it is dropped when the block ends, however that comes.

    Who comes while another one has it waits for its turn.

    :param has_public: whether it has the schema public
    :param server: a maintenance session, if one is open already
    :raises NoScratchError: when the target's user may not create databases, or the server cannot
    :raises ConnectionLostError: when what the block has the session do fails since that has been ended
    :raises MigrationError: when the server refuses to create this one, with its message
    """
    scratch = target.at(Generations(target.dbname).scratch)
    with contextlib.ExitStack() as stack:
        maintenance = server or _enter(stack, target)
        stack.callback(unlock_name, maintenance, scratch.dbname)
        is_there = _lock(maintenance, target.user, scratch.dbname)
        # Before it is there: an interruption may come while it is being made.
        stack.callback(_drop, maintenance, scratch.dbname)
        if is_there:
            drop_database(maintenance, scratch.dbname)
        create_database(maintenance, scratch.dbname, locale)
        session = stack.enter_context(connect(scratch))
        if not has_public:
            session.execute("DROP SCHEMA public")
        try:
            yield scratch, session
        except MigrationError as error:
            if session.broken:
                raise ConnectionLostError(str(error)) from None
            raise


def _drop(maintenance: Session, name: str) -> None:
    """Drop the database; where the connection has broken, the next run does."""
    try:
        drop_database(maintenance, name)
    except MigrationError:
        if not maintenance.broken:
            raise


def _enter(stack: contextlib.ExitStack, target: Endpoint) -> Session:
    try:
        return stack.enter_context(maintenance_session(target))
    except MigrationError as error:
        raise NoScratchError(f"{target.user} may enter no other database to create one from. {error}") from None


_CAN_CREATE: t.Final = """
SELECT pg_catalog.pg_is_in_recovery(), rolcreatedb OR rolsuper,
       EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = {})
FROM pg_catalog.pg_roles WHERE rolname = current_user
"""


def _lock(maintenance: Session, user: str, name: str) -> bool:
    """Take the database for this session alone; return whether one is there that a killed run has left."""
    ((in_recovery, may_create, is_there),) = lock_name_patiently(maintenance, name, sql.SQL(_CAN_CREATE).format(name))
    if in_recovery:
        raise NoScratchError("On a replica no database can be created. Name the primary server.")
    if not may_create:
        remedy = f'Let an administrator run ALTER ROLE "{user}" CREATEDB.'
        raise NoScratchError(f"{user} may not create databases. {remedy}")
    return bool(is_there)
