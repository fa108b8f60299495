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
from .relations import Relation

#: What a row may take, in bytes, with some room for what is not counted.
LIMIT: t.Final = 1_000_000_000
#: A row that long has its values in the TOAST table, in which nothing is compressed to less than a 250th.
_TOAST_BYTES: t.Final = LIMIT // 2 // 250
_PAGE_BYTES: t.Final = 8192

_TEXTS: t.Final = frozenset({"pg_catalog.bpchar", "pg_catalog.text", "pg_catalog.varchar"})
_BYTES: t.Final = "pg_catalog.bytea"


def find_too_wide(session: Session, relations: t.Iterable[Relation]) -> list[Relation]:
    """Return the tables of which a row is too long for any form in which it could be copied."""
    return [
        relation
        for relation in relations
        if relation.kind == "table"
        and is_wide(session, relation)
        and not (relation.portable and not is_wide(session, relation, digits=1))
    ]


def is_wide(session: Session, relation: Relation, digits: int = 2) -> bool:
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
