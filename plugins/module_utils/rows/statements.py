# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The COPY statements of both ends: the same columns, the same form."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ..catalog.formats import Format
from ..catalog.large_objects import LargeObject, piece_queries
from ..catalog.relations import Relation


def copy_out(relation: Relation, encoding: str, format_: Format, rows: sql.Composable | None = None) -> sql.Composed:
    """Return the COPY that writes a table's own rows, in the database's encoding.

    :param rows: the FROM item that yields them, if it is not all of them
    """
    source: sql.Composable
    if rows or relation.condition or relation.kind == "partitioned table":
        # Of an extension's configuration table, a whole WHERE clause of the extension's own is part of it.
        source = sql.SQL("(SELECT {} FROM {})").format(_names(relation), rows or relation.own_rows)
    else:
        source = relation.identifier + _columns(relation)
    return sql.SQL("COPY {} TO STDOUT (FORMAT {}, ENCODING {})").format(source, sql.SQL(format_), encoding)


def copy_in(relation: Relation, encoding: str, format_: Format, *, frozen: bool = False) -> sql.Composed:
    """Return the COPY that reads what ``copy_out`` wrote.

    :param frozen: whether the rows need no VACUUM later; the same transaction must have emptied the table
    """
    return sql.SQL("COPY {}{} FROM STDIN (FORMAT {}, ENCODING {}{})").format(
        relation.load_identifier,
        _columns(relation),
        sql.SQL(format_),
        encoding,
        sql.SQL(", FREEZE" if frozen else ""),
    )


def copy_large_objects_out(objects: t.Sequence[LargeObject]) -> list[sql.Composed]:
    """Return the COPYs that write, one after the other, the pieces of all large objects."""
    copy = sql.SQL("COPY ({}) TO STDOUT (FORMAT text)")
    return [copy.format(query) for query in piece_queries(objects)]


def copy_pieces_in() -> sql.Composed:
    """Return the COPY that reads them."""
    return sql.Composed([sql.SQL("COPY pg_temp.pgconvoy_pieces FROM STDIN (FORMAT text)")])


def _columns(relation: Relation) -> sql.Composable:
    """The column list; a table without columns to copy has none, and COPY then writes an empty line a row."""
    return sql.SQL(" ({})").format(_names(relation)) if relation.columns else sql.SQL("")


def _names(relation: Relation) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, relation.columns))
