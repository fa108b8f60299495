# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's own objects that somebody has altered in a database: pg_dump says nothing of them but their grants.

initdb writes the catalogs before it makes the first database, and a copy of a database keeps each row's transaction. So
the rows that are younger than one of the databases were written by somebody. What is granted is written there, too:
between majors, which have other functions and views, rows of catalogs that have grants tell nothing.
"""

from __future__ import annotations

import typing as t

from psycopg import sql

from ..server.endpoint import Session
from .facets import IDENTITY, Catalog, Fields, read_catalogs

# What initdb makes has a number below 16384 (FirstNormalObjectId in transam.h).
# Unqualified names are pg_catalog's: the session's search_path is empty.
_WRITTEN: t.Final = """
SELECT DISTINCT {classid}, {objid} FROM {catalog} r
WHERE {objid} < 16384 AND r.xmin::text::bigint >= (SELECT min(xmin::text::bigint) FROM pg_database)
"""

# Tables of the server's own that are no catalogs hold rows that initdb has written. Not everybody may read all of them.
_TABLES: t.Final = """
SELECT relname FROM pg_class
WHERE relnamespace = to_regnamespace('information_schema') AND relkind = 'r' AND oid < 16384
AND has_table_privilege(oid, 'SELECT')
"""
_ROWS: t.Final = """
SELECT {words} WHERE EXISTS (
    SELECT FROM {table} WHERE xmin::text::bigint >= (SELECT min(xmin::text::bigint) FROM pg_database))
"""

# initdb may give other numbers on other machines: objects are looked for by their names.
_EVERYTHING: t.Final = "SELECT DISTINCT {classid}, {objid} FROM {catalog} r WHERE {objid} < 16384"

_FACETS: t.Final = """
WITH object AS MATERIALIZED (
    SELECT a.classid, a.objid, {identity} AS words
    FROM ({addresses}) a(classid, objid)
    CROSS JOIN LATERAL pg_identify_object(a.classid, a.objid, 0) i WHERE i.identity IS NOT NULL
)
SELECT * FROM ({facets}) facets(words, facet, fields) WHERE {words}::text[] IS NULL OR words = ANY ({words}::text[])
"""


def find_altered(source: Session, target: Session) -> list[str]:
    """Return PostgreSQL's own objects that are not on the source what they are on the target.

    Collations that initdb has found on the source's machine alone are not among them.
    """
    same_major = source.info.server_version // 10000 == target.info.server_version // 10000
    catalogs = _telling(read_catalogs(source), same_major)
    ours, rows = _read(source, catalogs, _WRITTEN), _find_rows(source)
    if not ours:
        return rows
    there = catalogs if same_major else _telling(read_catalogs(target), same_major)
    theirs = _read(target, there, _EVERYTHING, [*ours])
    both = {catalog.name for catalog in catalogs} & {catalog.name for catalog in there}
    # A large object may have any number, and of the schema public, pg_dump says all that may be altered.
    altered = (words for words in ours.keys() & theirs.keys() if _differ(ours[words], theirs[words], both))
    return sorted(
        [*rows, *(words for words in altered if words != "schema public" and not words.startswith("large object "))]
    )


def _telling(catalogs: list[Catalog], same_major: bool) -> list[Catalog]:
    """Return the catalogs whose younger rows tell that something was altered."""
    return [c for c in catalogs if same_major or all(column.type != "aclitem[]" for column in c.columns)]


def _differ(ours: dict[str, Fields], theirs: dict[str, Fields], catalogs: t.Container[str]) -> bool:
    """Whether an object's rows differ, in the catalogs and by the columns that both sides have."""
    facets = {facet for facet in ours.keys() | theirs.keys() if facet.split()[0] in catalogs}
    if any(facet not in ours or facet not in theirs for facet in facets):
        return True
    return any(
        ours[facet][column] != theirs[facet][column]
        for facet in facets
        for column in ours[facet].keys() & theirs[facet].keys()
    )


def _find_rows(source: Session) -> list[str]:
    """Return the tables in which somebody has written rows."""
    queries = [
        sql.SQL(_ROWS).format(
            words=f"table information_schema.{name}", table=sql.Identifier("information_schema", name)
        )
        for (name,) in source.execute(_TABLES).fetchall()
    ]
    return [words for (words,) in source.execute(sql.SQL(" UNION ALL ").join(queries)).fetchall()] if queries else []


def _read(
    session: Session, catalogs: t.Sequence[Catalog], which: t.LiteralString, words: list[str] | None = None
) -> dict[str, dict[str, Fields]]:
    query = sql.SQL(_FACETS).format(
        identity=sql.SQL(IDENTITY),
        addresses=sql.SQL(" UNION ").join(_addresses(catalog, which) for catalog in catalogs),
        facets=sql.SQL(" UNION ALL ".join(catalog.facets for catalog in catalogs)),
        words=words,
    )
    found: dict[str, dict[str, Fields]] = {}
    for name, facet, fields in session.execute(query).fetchall():
        found.setdefault(name, {})[facet] = fields
    return found


def _addresses(catalog: Catalog, which: t.LiteralString) -> sql.Composed:
    classid, objid = catalog.address
    name = sql.Identifier("pg_catalog", catalog.name)
    return sql.SQL(which.replace("{classid}", f"{classid}::oid").replace("{objid}", objid)).format(catalog=name)
