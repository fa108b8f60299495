# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published tables of which the server deletes no row, as no subscriber could tell which row it is."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg
from psycopg import sql

from ..catalog.selection import Name
from ..errors import MigrationError, describe
from ..server.batches import Rows, find_refusal
from ..server.endpoint import Session
from ..server.inquiry import Inquiry
from .locks import execute

# An index that is gone leaves its mark in relreplident; pg_dump, too, makes DEFAULT of that.
_PUBLISHED: t.Final = """
SELECT n.nspname, c.relname,
       CASE WHEN c.relreplident = 'i' AND i.oid IS NULL THEN 'd' ELSE c.relreplident::text END, i.relname
FROM unnest({}::text[], {}::text[]) wanted(schema, name)
JOIN pg_namespace n ON n.nspname = wanted.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name AND c.relkind = 'r' AND c.relreplident <> 'f'
LEFT JOIN pg_index x ON x.indrelid = c.oid AND x.indisreplident AND c.relreplident = 'i'
LEFT JOIN pg_class i ON i.oid = x.indexrelid
WHERE EXISTS (SELECT FROM pg_publication WHERE pubdelete)
ORDER BY 1, 2
"""
#: How the server refuses: there is no identity, or a publication's condition asks for more than it tells.
_UNIDENTIFIED: t.Final = (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.InvalidColumnReference)
_IDENTITIES: t.Final[dict[str, sql.SQL]] = {
    "d": sql.SQL("DEFAULT"),
    "n": sql.SQL("NOTHING"),
    "i": sql.SQL("USING INDEX {}"),
}


def ask_published(tables: t.Collection[Name]) -> Inquiry[Rows]:
    """Ask for the tables of which deleted rows may be published, and their replica identity."""
    (rows,) = yield [sql.SQL(_PUBLISHED).format([schema for schema, _ in tables], [name for _, name in tables])]
    return rows


@contextlib.contextmanager
def rows_identified(session: Session, published: Rows) -> t.Iterator[None]:
    """Let whole rows identify themselves to subscribers for as long as the block lasts, where nothing else does.

    Afterwards each table has the replica identity that it had. TRUNCATE and COPY need none.

    :param published: what `ask_published` has told of the tables of which rows are deleted
    :raises MigrationError: when subscribers can be told of no deleted row of a table
    """
    altered = [row for row in published if _find_refusal(session, row[:2])]
    for schema, table, *_ in altered:
        _alter(session, (schema, table), sql.SQL("FULL"))
        if refusal := _find_refusal(session, (schema, table)):
            raise MigrationError(
                f"Cannot delete rows of table {schema}.{table}, as a publication of the live database forbids it: "
                f"{describe(refusal)}\nTake the table out of the publication, or have all of its columns published."
            )
    yield
    for schema, table, identity, index in altered:
        _alter(session, (schema, table), _IDENTITIES[identity].format(sql.Identifier(index or "")))


def _find_refusal(session: Session, table: t.Sequence[str]) -> psycopg.Error | None:
    """Return how the server refuses to delete rows of a published table, which it does before it looks at any."""
    refusal = find_refusal(session, sql.SQL("EXPLAIN DELETE FROM ONLY {}").format(sql.Identifier(*table)))
    return refusal if isinstance(refusal, _UNIDENTIFIED) else None


def _alter(session: Session, table: Name, identity: sql.SQL | sql.Composed) -> None:
    statement = sql.SQL("ALTER TABLE ONLY {} REPLICA IDENTITY {}").format(sql.Identifier(*table), identity)
    execute(session, f"set the replica identity of table {'.'.join(table)}", statement)
