# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks that reading would have to wait for, who knows how long."""

from __future__ import annotations

import time
import typing as t

from ...server.batches import Rows
from ...server.endpoint import Session
from ...verdict.findings import Finding

#: ALTER TABLE and its like mostly hold their lock for an instant.
_PATIENCE_SECONDS: t.Final = 2.0
_PAUSE_SECONDS: t.Final = 0.1

# Nothing but ACCESS EXCLUSIVE stands in the way of a reader, held or waited for: who waits is ahead in the queue (docs:
# 13.3.1 Table-Level Locks). A table that its transaction has just made is in no one else's catalog.
LOCKS: t.Final = """
SELECT n.nspname || '.' || c.relname, l.pid, l.granted, coalesce(a.usename, '?'), coalesce(a.application_name, ''),
       coalesce(to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS'), '')
FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY 1, 3 DESC, 2
"""


def check_locks(session: Session, side: str, first: Rows | None = None) -> list[Finding]:
    """Return the relations of the session's database that nobody can read now, nor a moment later.

    :param first: what the session has told just now (LOCKS)
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    rows = session.execute(LOCKS).fetchall() if first is None else first
    while rows and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
        rows = session.execute(LOCKS).fetchall()
    return [
        Finding(
            "error",
            "locked",
            f"{side} relation {relation}",
            f"session {pid} of {user}{f' ({application})' if application else ''} "
            f"{'holds' if granted else 'waits for'} an ACCESS EXCLUSIVE lock on it"
            f"{f', in a transaction that began at {since} UTC' if since else ''}: reading it would wait for that.",
            "Let that session come to its end, or end it, and run again.",
        )
        for relation, pid, granted, user, application, since in rows
    ]
