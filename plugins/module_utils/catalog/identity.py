# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a database's catalogs say what they once said: all their rows, by value, hashed by the server.

Definitions are what catalogs hold; where these are the same row for row, so are those, whatever reads them. Values are
hashed and not xmin: what was written again as it was is the same, and neither VACUUM FREEZE nor pg_upgrade, after which
transaction numbers mean other ones, can make two states look alike. Object numbers are values like any other.
"""

from __future__ import annotations

import dataclasses
import typing as t

from psycopg import sql

from ..server.answer_cache import CACHE
from ..server.batches import Rows
from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer

#: What a server writes by itself (ANALYZE, VACUUM), and large objects, which are compared as rows are.
_NO_DEFINITIONS: t.Final = ["pg_largeobject", "pg_largeobject_metadata", "pg_statistic", "pg_statistic_ext_data"]
#: What VACUUM and ANALYZE, and TRUNCATE and its like, write of a relation: its size and where it lies
#: (vac_update_relstats in vacuum.c; docs: 53.11 pg_class).
_NO_DEFINITION: t.Final = [
    *("relallfrozen", "relallvisible", "relfilenode", "relfrozenxid", "relminmxid", "relpages", "reltuples"),
]

# The server tells which catalogs there are, so that a newer one's is not forgotten. What its user may not read, no
# comparison of the same user reads either.
_CATALOGS: t.Final = """
SELECT c.relname, ARRAY(
    SELECT a.attname::text FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL ({columns})
      AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
    ORDER BY a.attnum)
FROM pg_catalog.pg_class c
WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND c.relkind = 'r' AND NOT c.relisshared
  AND c.oid < 16384 AND c.relname <> ALL ({catalogs})
ORDER BY 1
"""

#: Schemas of temporary tables stay when the tables are gone.
_ROWS: t.Final = {"pg_namespace": "WHERE nspname !~ '^pg_(toast_)?temp_'"}

# What definitions name that lies in no catalog of the database, or in one that only a superuser reads.
_BESIDE: t.Final = """
SELECT 'server' AS catalog, pg_catalog.concat_ws(' ', pg_catalog.version(), current_user) AS said
UNION ALL SELECT 'role', ROW(oid, rolname)::text FROM pg_catalog.pg_roles
WHERE oid IN (SELECT pg_catalog.unnest(polroles) FROM pg_catalog.pg_policy)
UNION ALL SELECT 'user mapping', ROW(umid, srvid, umuser, usename, umoptions)::text FROM pg_catalog.pg_user_mappings
"""

_IDENTITY: t.Final = """
SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
    pg_catalog.string_agg(said, E'\\n' ORDER BY said COLLATE "C"), 'UTF8')), 'hex')
FROM (
    SELECT pg_catalog.concat_ws(' ', catalog, pg_catalog.count(*),
               pg_catalog.sum(pg_catalog.hashtextextended(said COLLATE "C", 0)),
               pg_catalog.sum(pg_catalog.hashtextextended(said COLLATE "C", 1))) AS said
    FROM ({rows}) rows GROUP BY catalog
) catalogs
"""


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a database's catalogs hold, as a hash, and the question that it answers."""

    hash: str
    question: sql.Composed

    def is_still_of(self, session: Session) -> bool:
        """Return whether the session's database, which it was asked of, has it still."""
        return session.execute(self.question).fetchone() == (self.hash,)


def read_identity(session: Session) -> str:
    """Return the identity of the session's database; see `ask_identity`."""
    return answer(session, ask_identity()).hash


def ask_definers() -> Inquiry[Rows]:
    """Ask for the catalogs whose rows make definitions, and their columns."""
    return (yield from CACHE.ask(sql.SQL(_CATALOGS).format(columns=_NO_DEFINITION, catalogs=_NO_DEFINITIONS)))


def ask_identity(definers: Rows | None = None) -> Inquiry[Identity]:
    """Ask for a hash of all catalog rows of a database: if it is the same twice, so are all definitions.

    If it is not, they may still be: a table that was made anew has another number. The session's settings must be the
    pinned ones.

    :param definers: which catalogs and columns, if that was asked
    """
    catalogs = definers or (yield from ask_definers())
    rows = [
        sql.SQL("SELECT {}, ROW({})::text FROM pg_catalog.{} {}").format(
            f"{name}({','.join(columns)})",
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.Identifier(name),
            sql.SQL(_ROWS.get(name, "")),
        )
        for name, columns in catalogs
        if columns
    ]
    question = sql.SQL(_IDENTITY).format(rows=sql.SQL(" UNION ALL ").join([sql.SQL(_BESIDE), *rows]))
    (((identity,),),) = yield [question]
    return Identity(str(identity), question)
