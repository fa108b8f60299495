# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several of a server's processes do together, and one does alone where that takes too much shared memory.

In a container, shared memory is a file system of 64 MB unless somebody has said otherwise; what finds no room there
fails with the SQLSTATE of a full disk.
"""

from __future__ import annotations

import typing as t

import psycopg
from psycopg import pq, sql

from .batches import Question, Rows, change, execute_together
from .endpoint import Session, set_search_path

_END: t.Final = b"ROLLBACK TO SAVEPOINT shared; RELEASE SAVEPOINT shared"
_ALONE: t.Final = b"SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL max_parallel_maintenance_workers = 0"


def read(session: Session, query: sql.Composed, search_path: str | None = None) -> Rows:
    """Return the rows of a query; where the memory is too small, one process reads alone until the transaction ends.

    What was locked for it is unlocked again (docs: 13.3 Explicit Locking): the server's table of locks does not hold
    thousands of tables and their indexes.

    :param search_path: under which it is asked, if not under the session's own, which must be in a transaction then
    :raises psycopg.Error: when it fails for another reason, or again
    """
    if session.info.transaction_status == pq.TransactionStatus.IDLE:
        return session.execute(query).fetchall()
    path = [] if search_path is None else [set_search_path(search_path)]
    asked: list[Question] = [b"SAVEPOINT shared", *path, query, _END]
    try:
        results = execute_together(session, *asked)
    except psycopg.errors.DiskFull:
        session.execute(_END + b"; " + _ALONE)
        results = execute_together(session, *asked)
    return results[1 + len(path)]


def make(session: Session, statements: bytes) -> None:
    """Execute statements as `change` does; where the memory is too small, one process does it alone.

    :raises psycopg.Error: when one fails for another reason, or again
    """
    try:
        change(session, statements)
    except psycopg.errors.DiskFull:
        change(session, _ALONE + b";\n" + statements)
