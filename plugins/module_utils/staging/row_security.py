# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Row security that is forced upon the tables' owner, who loads and reads them."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg
from psycopg import sql

from ..catalog.relations import Relation
from ..catalog.selection import Name
from ..catalog.snapshot import Snapshot
from ..catalog.transaction import Transaction
from ..errors import MigrationError
from ..server.endpoint import OpenSession, Session, connect
from ..server.inquiry import Inquiry, answer

_FORCED: t.Final = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relforcerowsecurity AND row_security_active(c.oid)
ORDER BY 1, 2
"""
_UNBIND: t.Final = sql.SQL("ALTER TABLE ONLY {} NO FORCE ROW LEVEL SECURITY")
_BIND: t.Final = sql.SQL("ALTER TABLE ONLY {} FORCE ROW LEVEL SECURITY")
#: How long each lock on a live table is waited for: meanwhile clients wait behind it.
_PATIENCE: t.Final = "500ms"
#: The most that is read of a live database while clients of its tables wait (64 MiB): it takes about a second.
_MOST_BYTES: t.Final = 1 << 26


def ask_forced() -> Inquiry[list[Name]]:
    """Ask for the tables that force row security upon their owner, who is the session's user."""
    (rows,) = yield [_FORCED]
    return [(str(schema), str(name)) for schema, name in rows]


@contextlib.contextmanager
def owner_unbound(
    session: Session,
    tables: t.Collection[Name],
    forced: t.Collection[Name] | None = None,
    open_writer: OpenSession | None = None,
) -> t.Iterator[None]:
    """Let the owner load and read all rows of the tables for as long as the block lasts.

    :param forced: what `ask_forced` has told, if it was asked
    :param open_writer: gives a session to alter tables by, where the first one cannot
    """
    forced = _find_forced(session, tables) if forced is None else [name for name in forced if name in set(tables)]
    if not forced:
        yield
        return
    with open_writer() if open_writer else contextlib.nullcontext(session) as writer:
        for name in forced:
            writer.execute(_UNBIND.format(sql.Identifier(*name)))
        yield
        for name in forced:
            writer.execute(_BIND.format(sql.Identifier(*name)))


@contextlib.contextmanager
def read_unbound(there: Snapshot, like: t.Collection[Relation]) -> t.Iterator[Snapshot]:
    """Give what the owner reads all rows by, where row security is forced upon tables; else the snapshot itself.

    That is a transaction which is undone: clients of these tables wait until the block ends. It reads what is committed
    by then.

    :param like: the source's relations; of those that do not force it, the server is not asked
    :raises MigrationError: when a lock cannot be had soon, or clients would have to wait long
    """
    names = [relation.full_name for relation in like if relation.forces_security]
    forced = _find_forced(there.session, names) if names and not isinstance(there, Transaction) else []
    if not forced:
        yield there
        return
    only = f"Row security is forced upon the owner of {', '.join(map('.'.join, forced))}, who can read all rows only "
    if sum(relation.size for relation in like) > _MOST_BYTES:
        raise MigrationError(
            f"{only}while nobody else uses these tables, and to read all that there is takes too long for that. "
            "A target_user with BYPASSRLS reads them beside its clients."
        )
    with connect(there.endpoint) as session, session.transaction(force_rollback=True):
        session.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (_PATIENCE,))
        try:
            for name in forced:
                session.execute(_UNBIND.format(sql.Identifier(*name)))
        except psycopg.errors.LockNotAvailable:
            raise MigrationError(f"{only}while nobody else uses these tables, and somebody does.") from None
        except psycopg.errors.InsufficientPrivilege:
            # Who is not the owner is told by the reading.
            yield there
            return
        yield Transaction(there.endpoint, session)


def _find_forced(session: Session, tables: t.Collection[Name]) -> list[Name]:
    names = set(tables)
    return [name for name in answer(session, ask_forced()) if name in names]
