# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a database is filled already, noted in it by the very transactions that fill it.

So a run that was killed has left exactly what it noted, and the next one goes on from there. The notes are a table in a
schema of their own. It is called as the run: whoever takes over renames it, and what the earlier run may still have
under way cannot be committed any more. Before owners, grants and event triggers come, it is dropped.
"""

from __future__ import annotations

import json
import typing as t

from psycopg import sql

from ..archive.manifest import ArchivedRows, Manifest
from ..archive.schema import Entry
from ..server.batches import execute_together
from ..server.endpoint import Session

_SCHEMA: t.Final = "__pgconvoy_notes"

#: The table must not outlive what is noted in it: a server that crashes comes back without the rows of unlogged tables.
_CREATE: t.Final = """
CREATE SCHEMA {schema};
DO $notes$ BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_class WHERE relpersistence = 'u') THEN
        CREATE UNLOGGED TABLE {table} (part pg_catalog.text, rows pg_catalog.int8);
    ELSE
        CREATE TABLE {table} (part pg_catalog.text, rows pg_catalog.int8);
    END IF;
END $notes$;
INSERT INTO {table} VALUES ({origin}, 0);
"""

LARGE_OBJECTS: t.Final = "large objects"


class Notes:
    """The notes of a run."""

    def __init__(self, run_id: str) -> None:
        """Know where they are."""
        self._name = sql.Identifier(run_id)
        self._table = sql.Identifier(_SCHEMA, run_id)
        self._forgotten = False

    def begin(self, origin: str) -> Entry:
        """Return what makes them, after all that must be there before the rows.

        :param origin: what the database is filled from, and how
        """
        create = sql.SQL(_CREATE).format(schema=sql.Identifier(_SCHEMA), table=self._table, origin=_origin(origin))
        return Entry("SCHEMA", "of notes", create.as_bytes())

    def note(self, part: str, rows: int = 0) -> sql.Composed:
        """Return the statement that notes a part, for the transaction that does it."""
        return sql.SQL("INSERT INTO {} VALUES ({}, {})").format(self._table, part, rows)

    def note_entry(self, entry: Entry) -> bytes:
        """Return what comes before an entry's statements; nothing, when there are no notes any more."""
        return b"" if self._forgotten else self.note(entry_part(entry)).as_bytes() + b";\n"

    def read(self, session: Session) -> dict[str, int]:
        """Return the parts that are done, tables with their rows."""
        rows = session.execute(sql.SQL("SELECT part, rows FROM {}").format(self._table)).fetchall()
        return dict(rows)

    def forget(self) -> bytes:
        """Return the statement that drops them."""
        self._forgotten = True
        return sql.SQL("DROP SCHEMA {} CASCADE;").format(sql.Identifier(_SCHEMA)).as_bytes()

    def take_over(self, session: Session, earlier: Notes, origin: str, manifest: Manifest) -> bool:
        """Make an earlier run's notes this one's; return whether they tell of the same, and nothing that cannot be.

        :raises psycopg.Error: when there are none
        """
        rename = sql.SQL("ALTER TABLE {} RENAME TO {}").format(earlier._table, self._name)
        _, rows = execute_together(session, rename, sql.SQL("SELECT part, rows FROM {}").format(self._table))
        return is_of(dict(rows), origin, manifest)


def is_of(done: t.Mapping[str, int], origin: str, manifest: Manifest) -> bool:
    """Tell whether a run's notes are of a filling from that origin, and say nothing that cannot be."""
    sent = {rows_part(table): table.rows for table in manifest.tables}
    return done.get(_origin(origin)) == 0 and counted(done).items() <= sent.items()


def counted(done: t.Mapping[str, int]) -> dict[str, int]:
    """Return what is noted of tables, with their rows."""
    return {part: rows for part, rows in done.items() if part.startswith("rows ")}


def rows_part(table: ArchivedRows) -> str:
    """Return what a table's rows are noted as."""
    return f"rows {json.dumps([table.schema, table.name])}"


def entry_part(entry: Entry) -> str:
    """Return what an object of the schema's archive is noted as."""
    return f"entry {entry.number}"


def _origin(origin: str) -> str:
    return f"origin {origin}"
