# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many rows each table of a database has, for whoever must decide whether to replace it."""

from __future__ import annotations

import typing as t

import psycopg
from psycopg import sql

from ..archive.manifest import Manifest
from ..catalog.relations import list_relations
from ..catalog.selection import Name, Selection
from ..errors import summarize
from ..server.batches import split
from ..server.endpoint import Session

#: How long a server may count; whoever is to be asked waits for it.
_PATIENCE: t.Final = "60s"

#: How many tables a statement counts: it takes a lock for each, and is nested as deep.
_AT_ONCE: t.Final = 500

Counts = t.Mapping[Name, int]


def count_rows(session: Session, selection: Selection | None) -> Counts | str:
    """Return the number of rows of each table, or why they were not counted.

    :param selection: the tables that are counted; all if None
    """
    try:
        with session.transaction(force_rollback=True):
            session.execute(sql.SQL("SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = {}").format(_PATIENCE))
            tables = [r for r in list_relations(session) if r.kind == "table" and _is_in(r.full_name, selection)]
            one = sql.SQL("SELECT {}, {}, count(*) FROM {}")
            rows = [
                row
                for some in split([one.format(table.schema, table.name, table.own_rows) for table in tables], _AT_ONCE)
                for row in session.execute(sql.SQL(" UNION ALL ").join(some)).fetchall()
            ]
    except psycopg.Error as error:
        return summarize(error)
    return {(schema, name): count for schema, name, count in rows}


def archived_counts(manifest: Manifest, selection: Selection | None) -> Counts:
    """Return those that an archive tells."""
    return {
        measured.relation.full_name: measured.rows.count
        for measured in manifest.content.relations
        if measured.relation.kind == "table" and measured.rows and _is_in(measured.relation.full_name, selection)
    }


def _is_in(name: Name, selection: Selection | None) -> bool:
    return selection is None or name in selection
