# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An account of everything in a database: what is carried, what its extension makes again, and what nobody knows.

Every row of a catalog that has OIDs is an object. Which catalogs there are, the server tells: one that only a newer
server has is not forgotten. What a user has made has a number from 16384 on (FirstNormalObjectId in transam.h).
"""

from __future__ import annotations

import dataclasses
import typing as t

from psycopg import sql

from ..server.endpoint import Session

#: A catalog's OID and an object's, as pg_dump's entries tell them.
Address = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Uncarried:
    """An object that no dump holds; ``schema`` is where it is, if it is in one."""

    kind: str
    identity: str
    schema: str

    def __str__(self) -> str:
        return f"{self.kind} {self.identity}"


#: Catalogs whose objects are known otherwise: an enum's labels have no address and are part of it; large objects are
#: read by themselves, mappings below, and privileges by default are among those that are told as not carried.
_KNOWN: t.Final = frozenset({"pg_default_acl", "pg_enum", "pg_largeobject_metadata", "pg_user_mapping"})

# Unqualified names are pg_catalog's: the session's search_path is empty.
_CATALOGS: t.Final = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'oid' AND a.attnum > 0
WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND NOT c.relisshared ORDER BY 1
"""

# What is made with something else has no entry of its own (docs: 53.18 pg_depend): rows' types, arrays, TOAST tables,
# constraints' indexes, keys' triggers, views' rules; and operators that only another one names, as its commutator or
# negator, of which no dependency tells. Of what depends automatically, only that which pg_dump says within something
# else: checks, defaults, members of operator families.
_UNCARRIED: t.Final = """
WITH RECURSIVE object(classid, objid) AS MATERIALIZED (
    {objects}
    UNION ALL SELECT 'pg_user_mapping'::regclass, umid FROM pg_user_mappings
), part(classid, objid, refclassid, refobjid) AS MATERIALIZED (
    SELECT d.classid, d.objid, d.refclassid, d.refobjid FROM pg_depend d
    WHERE d.deptype IN ('i', 'P', 'S') OR (d.deptype = 'a' AND (
        d.classid IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass)
        OR (d.classid IN ('pg_amop'::regclass, 'pg_amproc'::regclass) AND d.refclassid = 'pg_opfamily'::regclass)
        OR EXISTS (SELECT FROM pg_class c JOIN pg_class t ON t.oid = d.refobjid AND t.relkind = 't'
                   WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind = 'i')))
    UNION ALL SELECT 'pg_user_mapping'::regclass, umid, 'pg_foreign_server'::regclass, srvid FROM pg_user_mappings
    UNION ALL SELECT 'pg_operator'::regclass, s.oid, 'pg_operator'::regclass, o.oid
              FROM pg_operator o JOIN pg_operator s ON s.oprcode = 0 AND s.oid IN (o.oprcom, o.oprnegate)
), temporary(oid) AS (
    SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_'
), entry(classid, objid) AS MATERIALIZED (
    SELECT a.classid::oid, a.objid::oid FROM unnest({classes}::bigint[], {addresses}::bigint[]) a(classid, objid)
), known(classid, objid) AS (
    SELECT classid, objid FROM entry
    UNION SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspname = 'public'
    UNION SELECT 'pg_namespace'::regclass, oid FROM temporary
    UNION SELECT d.classid, d.objid FROM pg_depend d JOIN temporary y ON d.refobjid = y.oid
          WHERE d.refclassid = 'pg_namespace'::regclass
    -- Told as invalid: pg_dump leaves them out.
    UNION SELECT 'pg_class'::regclass, indexrelid FROM pg_index WHERE NOT indisvalid
    -- What pg_import_system_collations has made; one that is used is looked for on the target.
    UNION SELECT 'pg_collation'::regclass, oid FROM pg_collation WHERE collnamespace = 'pg_catalog'::regnamespace
    UNION SELECT p.classid, p.objid FROM known k JOIN part p ON p.refclassid = k.classid AND p.refobjid = k.objid
), belonging(classid, objid) AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
    UNION SELECT d.classid, d.objid
    FROM belonging b JOIN pg_depend d ON d.refclassid = b.classid AND d.refobjid = b.objid
    WHERE d.deptype IN ('i', 'P', 'S') OR (d.deptype = 'a' AND (
        d.classid IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_trigger'::regclass,
                      'pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_amop'::regclass, 'pg_amproc'::regclass)
        OR EXISTS (SELECT FROM pg_class c
                   WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('i', 'I'))))
), uncarried AS MATERIALIZED (
    SELECT classid, objid FROM object EXCEPT SELECT classid, objid FROM known
    EXCEPT SELECT classid, objid FROM belonging
)
SELECT i.type, coalesce(i.identity, pg_describe_object(u.classid, u.objid, 0)), coalesce(i.schema, '')
FROM uncarried u CROSS JOIN LATERAL pg_identify_object(u.classid, u.objid, 0) i
-- What is part of such an object need not be named, too.
WHERE NOT EXISTS (
    SELECT FROM pg_depend d JOIN uncarried o ON o.classid = d.refclassid AND o.objid = d.refobjid
    WHERE d.classid = u.classid AND d.objid = u.objid AND d.deptype IN ('i', 'P', 'S', 'a'))
UNION ALL
-- What is said of an object that has no entry, pg_dump says of constraints' indexes, of composite types' columns and of
-- constraints, but for those that are inherited; and of columns, but for the system's.
SELECT said.what || ' on ' || i.type, i.identity, ''
FROM (
    SELECT 'comment', classoid, objoid, objsubid FROM pg_description WHERE objsubid <= 0
    UNION ALL SELECT 'security label', classoid, objoid, objsubid FROM pg_seclabel WHERE objsubid <= 0
) said(what, classid, objid, place)
CROSS JOIN LATERAL pg_identify_object(said.classid, said.objid, said.place) i
WHERE said.objid >= 16384 AND (said.place < 0 OR (
      said.classid <> 'pg_class'::regclass AND (said.classid, said.objid) IN (SELECT classid, objid FROM part)
      AND (said.classid, said.objid) IN (SELECT classid, objid FROM known)
      AND (said.classid, said.objid) NOT IN (SELECT classid, objid FROM entry)))
  AND (said.classid, said.objid) NOT IN (SELECT classid, objid FROM belonging)
  AND NOT EXISTS (SELECT FROM pg_constraint c
                  WHERE said.classid = 'pg_constraint'::regclass AND c.oid = said.objid AND c.conislocal)
  AND i.identity IS NOT NULL AND i.identity !~ 'pg_temp'
UNION ALL
SELECT 'security label on database', quote_ident(datname), ''
FROM pg_shseclabel s JOIN pg_database d ON d.oid = s.objoid
WHERE s.classoid = 'pg_database'::regclass AND datname = current_database()
ORDER BY 1, 2
"""


def find_uncarried(session: Session, carried: t.Collection[Address]) -> list[Uncarried]:
    """Return what neither a dump holds nor an extension makes, two statements however much there is.

    That is objects, and comments and labels on objects that have no entry of their own: types of rows, say, and the
    database.

    Not among them is what other findings tell: invalid indexes, temporary objects, subscriptions.

    :param carried: the addresses of a dump's entries, of the same state of the database
    """
    catalogs = [name for (name,) in session.execute(_CATALOGS).fetchall() if name not in _KNOWN]
    objects = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}::regclass, oid FROM {} WHERE oid >= 16384").format(name, sql.Identifier("pg_catalog", name))
        for name in catalogs
    )
    classes, addresses = [classid for classid, _ in carried], [objid for _, objid in carried]
    query = sql.SQL(_UNCARRIED).format(objects=objects, classes=classes, addresses=addresses)
    rows = session.execute(query).fetchall()
    return [Uncarried(*row) for row in rows]
