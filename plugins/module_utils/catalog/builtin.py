# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's own objects that somebody has altered in a database: pg_dump says nothing of them but their grants.

initdb writes the catalogs before it makes the first database, and a copy of a database keeps each row's transaction. So
the rows that are younger than one of the databases were written by somebody.
"""

from __future__ import annotations

import typing as t

from psycopg import sql

from ..server.endpoint import Session
from .facets import IDENTITY, Catalog, Fields, read_catalogs

# Up to here, numbers are the same on all servers of a major (FirstUnpinnedObjectId in transam.h).
# Unqualified names are pg_catalog's: the session's search_path is empty.
_WRITTEN: t.Final = """
SELECT DISTINCT {classid}, {objid} FROM {catalog} r
WHERE {objid} < 12000 AND r.xmin::text::bigint >= (SELECT min(xmin::text::bigint) FROM pg_database)
"""

_FACETS: t.Final = """
WITH object AS MATERIALIZED (
    SELECT a.classid, a.objid, {identity} AS words
    FROM unnest({classes}::oid[], {objects}::oid[]) a(classid, objid)
    CROSS JOIN LATERAL pg_identify_object(a.classid, a.objid, 0) i WHERE i.identity IS NOT NULL
)
SELECT * FROM ({facets}) facets(words, facet, fields)
"""


def find_altered(source: Session, target: Session) -> list[str]:
    """Return PostgreSQL's own objects that are not on the source what they are on the target, a server of its major."""
    catalogs = read_catalogs(source)
    written = source.execute(sql.SQL(" UNION ").join(_written(catalog) for catalog in catalogs)).fetchall()
    if not written:
        return []
    ours, theirs = (_read(session, catalogs, written) for session in (source, target))
    # A large object may have any number, and of the schema public, pg_dump says all that may be altered.
    altered = (words for words in ours if ours[words] != theirs.get(words))
    return sorted(words for words in altered if words != "schema public" and not words.startswith("large object "))


def _written(catalog: Catalog) -> sql.Composed:
    classid, objid = catalog.address
    name = sql.Identifier("pg_catalog", catalog.name)
    return sql.SQL(_WRITTEN.replace("{classid}", f"{classid}::oid").replace("{objid}", objid)).format(catalog=name)


def _read(
    session: Session, catalogs: t.Iterable[Catalog], addresses: t.Iterable[tuple[int, int]]
) -> dict[str, dict[str, Fields]]:
    query = sql.SQL(_FACETS).format(
        identity=sql.SQL(IDENTITY),
        classes=[classid for classid, _ in addresses],
        objects=[objid for _, objid in addresses],
        facets=sql.SQL(" UNION ALL ".join(catalog.facets for catalog in catalogs)),
    )
    found: dict[str, dict[str, Fields]] = {}
    for words, facet, fields in session.execute(query).fetchall():
        found.setdefault(words, {})[facet] = fields
    return found
