# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Advisory locks that stand for databases by their names, there or not. Each function takes a maintenance session."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t

import psycopg
from psycopg import sql

from ..server.batches import Question, Rows, execute_together
from ..server.endpoint import Session

#: One half of the key, for all our locks on names; any number will do that others do not use.
CLASS: t.Final = 1346913111


def key_of(dbname: str) -> int:
    """Return the other half."""
    return int.from_bytes(hashlib.sha256(dbname.encode()).digest()[:4]) >> 1


def lock_name(session: Session, dbname: str) -> None:
    """Wait for the lock and take it, until the session ends."""
    session.execute(lock_statement(dbname))


def lock_name_patiently(session: Session, dbname: str, question: Question) -> Rows:
    """Do so, however long others have it; return the answer to a question that travels with it."""
    *_, rows = execute_together(session, "SET LOCAL lock_timeout = 0", lock_statement(dbname), question)
    return rows


def unlock_name(session: Session, dbname: str) -> None:
    """Give the lock back; where the connection has broken, it is gone with that."""
    with contextlib.suppress(psycopg.Error):
        session.execute(sql.SQL("SELECT pg_catalog.pg_advisory_unlock({}, {})").format(CLASS, key_of(dbname)))


def lock_statement(dbname: str) -> sql.Composed:
    """Return the statement that waits for the lock and takes it."""
    return sql.SQL("SELECT pg_catalog.pg_advisory_lock({}, {})").format(CLASS, key_of(dbname))


def try_lock_name(session: Session, dbname: str) -> bool:
    """Take the lock, until the session ends, unless somebody has it; return whether it was taken."""
    row = session.execute("SELECT pg_catalog.pg_try_advisory_lock(%s, %s)", (CLASS, key_of(dbname))).fetchone()
    return bool(row and row[0])
