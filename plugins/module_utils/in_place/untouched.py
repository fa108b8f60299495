# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the transaction has written to tables that it was to leave alone, through an event trigger or a function."""

from __future__ import annotations

import contextlib
import typing as t

from ..catalog.selection import Name, Selection
from ..errors import MigrationError
from ..server.batches import ask_all
from ..server.endpoint import Session

# The server's own account of this transaction (docs: 27.2.2 Viewing Statistics, pg_stat_xact_all_tables). Of tables
# that clients go on using, counts and checksums before and after would tell what the clients do. What makes a table a
# new file, TRUNCATE say, holds a lock until the transaction ends.
_WRITTEN: t.Final = """
SELECT n.nspname, c.relname,
       pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid)
       + pg_stat_get_xact_tuples_deleted(c.oid),
       c.relfilenode,
       EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation = c.oid
               AND l.mode = 'AccessExclusiveLock')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


def list_untouched(session: Session) -> set[Name]:
    """Return the tables to which the transaction has done nothing but read; none if the server keeps no account."""
    (counted,), rows = ask_all(session, "SHOW track_counts", _WRITTEN)
    if counted != ("on",):
        return set()
    return {(schema, name) for schema, name, written, _, locked in rows if not written and not locked}


@contextlib.contextmanager
def others_untouched(session: Session, selection: Selection) -> t.Iterator[None]:
    """Make sure that the block writes to no table but the selected ones.

    :raises MigrationError: naming the tables that were written, or when the server keeps no account
    """
    if session.execute("SHOW track_counts").fetchone() != ("on",):
        raise MigrationError(
            "The target's server does not count what a transaction writes (track_counts is off), so that it cannot be "
            "shown that the other tables stay as they are. Switch track_counts on for target_user or its database."
        )
    before = _read_written(session)
    yield
    written = []
    for name, (rows, file, locked) in _read_written(session).items():
        rows_before, file_before, _ = before.get(name, (0, file, False))
        if name not in selection and (rows != rows_before or (locked and file != file_before)):
            written.append(".".join(name))
    if written:
        raise MigrationError(
            f"Tables that are not selected were written to: {', '.join(sorted(written))}. An event trigger, or a "
            "function that a selected table calls, has done it; nothing of it is kept. Disable it, or select these "
            "tables, too."
        )


def _read_written(session: Session) -> dict[Name, tuple[int, int, bool]]:
    return {(schema, name): tuple(state) for schema, name, *state in session.execute(_WRITTEN).fetchall()}
