# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the target has the rows that selected tables refer to, where these are in tables that are not selected."""

from __future__ import annotations

import itertools
import typing as t

from psycopg import sql

from ..catalog.foreign_keys import Joined
from ..endpoint import Session

#: How many different values of a key are asked for at once.
_BATCH: t.Final = 10_000
#: How many that are missing are named.
_NAMED: t.Final = 5


def find_missing_parents(source: Session, target: Session, key: Joined) -> list[str]:
    """Return the first of the source's rows that refer to a row which the target does not have, by their names.

    The values travel as text, which the pinned settings make the same everywhere.

    :param key: the key as the target has it
    """
    columns = [sql.Identifier("c", column) for column in key.referring.columns]
    values = sql.SQL("SELECT DISTINCT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(column) for column in columns),
        key.referring.as_source("c"),
        sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(column) for column in columns),
    )
    absent = _absent(target, key)
    missing: list[tuple[str, ...]] = []
    with source.transaction(), source.cursor("pgconvoy_keys") as cursor:
        cursor.itersize = _BATCH
        rows = iter(cursor.execute(values))
        while len(missing) < _NAMED and (batch := list(itertools.islice(rows, _BATCH))):
            missing += target.execute(absent, [list(part) for part in zip(*batch, strict=True)]).fetchall()
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


def _absent(target: Session, key: Joined) -> sql.Composed:
    """Return the query for those of many values, an array a column, that no row has."""
    side = key.referring
    found = target.execute(_TYPES, (list(side.columns), side.schema, side.name)).fetchone()
    assert found
    names = [sql.Identifier(f"value_{place}") for place in range(len(side.columns))]
    types = [sql.SQL(name) for name in found[0]]
    typed = [sql.SQL("{}::{} AS {}").format(name, kind, name) for name, kind in zip(names, types, strict=True)]
    return sql.SQL(
        "SELECT {values} FROM (SELECT {typed} FROM unnest({arrays}) raw({names}) OFFSET 0) c({names})"
        " WHERE NOT EXISTS (SELECT FROM {parent} WHERE {same})"
    ).format(
        values=sql.SQL(", ").join(sql.SQL("c.{}::text").format(name) for name in names),
        typed=sql.SQL(", ").join(typed),
        arrays=sql.SQL(", ").join(sql.SQL("{}::text[]").format(sql.Placeholder()) for _ in names),
        names=sql.SQL(", ").join(names),
        parent=key.referenced.as_source("p"),
        same=key.matches([sql.SQL("c.") + name for name in names]),
    )
