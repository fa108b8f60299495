# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the target has the rows that selected tables refer to, where these are in tables that are not selected."""

from __future__ import annotations

import itertools
import typing as t

from psycopg import sql

from ..catalog.foreign_keys import Joined
from ..server.endpoint import Session, use_search_path

#: How many different values of a key are asked for at once.
_BATCH: t.Final = 10_000
#: How many that are missing are named.
_NAMED: t.Final = 5


def find_missing_parents(source: Session, target: Session, key: Joined, search_path: str) -> list[str]:
    """Return the first of the source's rows that refer to a row which the target does not have, by their names.

    The values travel as text, which the pinned settings make the same everywhere.

    :param key: the key as the target has it
    :param search_path: the one that serves the source
    """
    columns = [sql.Identifier("c", column) for column in key.referring.columns]
    values = sql.SQL("SELECT DISTINCT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(column) for column in columns),
        key.referring.as_source("c"),
        sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(column) for column in columns),
    )
    types = _types(target, key)
    missing: list[tuple[str, ...]] = []
    with (
        source.transaction(force_rollback=True),
        target.transaction(force_rollback=True),
        source.cursor("pgconvoy_keys") as cursor,
    ):
        for session in (source, target):
            use_search_path(session, search_path)
        cursor.itersize = _BATCH
        rows = iter(cursor.execute(values))
        while len(missing) < _NAMED and (batch := list(itertools.islice(rows, _BATCH))):
            missing += target.execute(_absent(key, types, batch)).fetchall()
        return _name_referring(source, key, missing[:_NAMED])


def _name_referring(source: Session, key: Joined, values: list[tuple[str, ...]]) -> list[str]:
    """Return the names of some rows that refer by these values."""
    if not values:
        return []
    columns = sql.SQL(", ").join(
        sql.SQL("{}::text").format(sql.Identifier("c", name)) for name in key.referring.columns
    )
    query = sql.SQL("SELECT DISTINCT {} FROM {} WHERE ({}) IN (VALUES {}) ORDER BY 1 LIMIT {}").format(
        key.row_name,
        key.referring.as_source("c"),
        columns,
        sql.SQL(", ").join(sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, row))) for row in values),
        _NAMED,
    )
    return [name for (name,) in source.execute(query).fetchall()]


_TYPES: t.Final = """
SELECT ARRAY(SELECT format_type(a.atttypid, a.atttypmod) FROM unnest(%s::text[]) WITH ORDINALITY named(name, place)
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = named.name ORDER BY named.place)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s
"""


def _types(target: Session, key: Joined) -> list[sql.SQL]:
    """Return the types of the referring columns as the target knows them."""
    side = key.referring
    found = target.execute(_TYPES, (list(side.columns), side.schema, side.name)).fetchone()
    assert found
    return [sql.SQL(name) for name in found[0]]


def _absent(key: Joined, types: t.Sequence[sql.SQL], rows: t.Collection[t.Sequence[str]]) -> sql.Composed:
    """Return the query for those of many rows' values, given as text, that no row of the referenced table has."""
    names = [sql.Identifier(f"value_{place}") for place in range(len(types))]
    typed = [sql.SQL("{}::{} AS {}").format(name, kind, name) for name, kind in zip(names, types, strict=True)]
    return sql.SQL(
        "SELECT {values} FROM (SELECT {typed} FROM unnest({arrays}) raw({names}) OFFSET 0) c({names})"
        " WHERE NOT ({found})"
    ).format(
        values=sql.SQL(", ").join(sql.SQL("c.{}::text").format(name) for name in names),
        typed=sql.SQL(", ").join(typed),
        arrays=sql.SQL(", ").join(sql.SQL("{}::text[]").format(list(column)) for column in zip(*rows, strict=True)),
        names=sql.SQL(", ").join(names),
        found=key.found([sql.SQL("c.") + name for name in names]),
    )
