# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that are too long for COPY's text form, which writes two digits for a byte of a bytea.

Nothing that the server makes in memory may be longer than a gigabyte, a row on its way neither (MaxAllocSize in
memutils.h). In the binary form a bytea is as long as it is.
"""

from __future__ import annotations

import typing as t

from psycopg import sql

from ..server.endpoint import Session
from .checksums import PRINTED, HashedColumn
from .relations import Relation
from .selection import Name

#: How COPY writes rows.
Format = t.Literal["text", "binary"]

#: What a row may take, in bytes, with some room for what is not counted.
LIMIT: t.Final = 1_000_000_000
#: A row that long has its values in the TOAST table, in which nothing is compressed to less than a 250th.
_TOAST_BYTES: t.Final = LIMIT // 2 // 250
_PAGE_BYTES: t.Final = 8192

_TEXTS: t.Final = frozenset({"pg_catalog.bpchar", "pg_catalog.text", "pg_catalog.varchar"})
_BYTES: t.Final = "pg_catalog.bytea"


def choose_formats(session: Session, relations: t.Iterable[Relation]) -> dict[Name, Format]:
    """Return in which form the rows of tables are copied: the text, unless a row is too long for that."""
    return {r.full_name: "binary" if _is_wide(session, r) and _is_portable(r) else "text" for r in relations}


def find_too_wide(session: Session, relations: t.Iterable[Relation]) -> list[Relation]:
    """Return the tables of which a row is too long for any form in which it could be copied."""
    return [
        relation
        for relation in relations
        if relation.kind == "table"
        and _is_wide(session, relation)
        and not (_is_portable(relation) and not _is_wide(session, relation, digits=1))
    ]


def _is_wide(session: Session, relation: Relation, digits: int = 2) -> bool:
    """Whether a row is longer than it may be; the lengths of values are told without reading them.

    :param digits: how many bytes each byte of a bytea takes
    """
    if relation.size - relation.pages * _PAGE_BYTES < _TOAST_BYTES:
        return False
    lengths = [
        sql.SQL("{}::bigint * coalesce(pg_catalog.octet_length({}), 0)").format(
            digits if column.type == _BYTES else 1, sql.Identifier(column.name)
        )
        for column in relation.hashed
        if column.type == _BYTES or column.type in _TEXTS
    ]
    if not lengths:
        return False
    query = sql.SQL("SELECT max({}) FROM {}").format(sql.SQL(" + ").join(lengths), relation.own_rows)
    row = session.execute(query).fetchone()
    return bool(row and row[0] and row[0] > LIMIT)


def _is_portable(relation: Relation) -> bool:
    """Whether all columns are of the server's own types, whose binary form is the same on every one."""
    return all(map(_is_sent_alike, relation.hashed))


def _is_sent_alike(column: HashedColumn) -> bool:
    schema, _, name = column.type.partition(".")
    return schema == "pg_catalog" and column.form != "name" and (column.form != "output" or name in PRINTED)
