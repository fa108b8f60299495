# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What extensions' members are: pg_dump says CREATE EXTENSION alone, and nothing of what was altered since.

A member is described by its rows in the catalogs, in words that two servers have in common: what refers to another
object names it, and what only one server knows (numbers, owners, files, statistics) is left out. The server itself
tells what its catalogs hold and refer to (docs: 9.28 System Catalog Information Functions,
pg_get_catalog_foreign_keys), so that a catalog of a newer one is not forgotten.
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from psycopg import sql

from ..endpoint import Session
from .requirements import Extension

#: A row of a catalog: columns and their values, of texts a hash: they may be anybody's secret.
Fields = dict[str, str | None]


@dataclasses.dataclass(frozen=True)
class Member:
    """An object that belongs to an extension, or is part of one that does, such as an index of its table.

    ``facets`` are its rows in the catalogs, by catalog and, where there are several, a name: ``pg_attribute id``.
    """

    extension: str
    #: kind and name as pg_identify_object says them
    kind: str
    name: str
    #: the identity of the member that it is part of, if it is
    part_of: str
    facets: dict[str, Fields]

    @property
    def identity(self) -> str:
        """Kind and name, as differences and findings say them."""
        return f"{self.kind} {self.name}"


@dataclasses.dataclass(frozen=True)
class Members:
    """All members of all extensions, by identity, and the major version of the server that tells them."""

    major: int
    extensions: tuple[Extension, ...]
    members: tuple[Member, ...]


# What a catalog's row holds of its own server alone: files, statistics, hints, and numbers of columns.
_LOCAL: t.Final = frozenset(
    {
        *("relfilenode", "relpages", "reltuples", "relallvisible", "relallfrozen", "relfrozenxid", "relminmxid"),
        *("relrewrite", "relhasindex", "relhasrules", "relhastriggers", "relhassubclass", "relnatts", "reltablespace"),
        *("reltoastrelid", "attnum", "attcacheoff", "atthasmissing", "attmissingval", "indcheckxmin", "collversion"),
        *("confdelsetcols", "enumsortorder", "inhseqno", "relispopulated"),
    }
)

#: Catalogs that describe no object, or describe it by numbers of its own server.
_OTHER_CATALOGS: t.Final = frozenset(
    {
        *("pg_depend", "pg_extension", "pg_init_privs", "pg_largeobject", "pg_largeobject_metadata", "pg_statistic"),
        *("pg_statistic_ext_data", "pg_subscription_rel", "pg_user_mapping"),
    }
)

#: What a catalog's rows of one object are told apart by.
_NAMES: t.Final = {
    "pg_attribute": "r.attname::text",
    "pg_enum": "r.enumlabel::text",
    "pg_inherits": "r.inhparent::regclass::text",
    "pg_ts_config_map": "r.maptokentype || '.' || r.mapseqno",
    "pg_description": "coalesce((SELECT a.attname FROM pg_attribute a WHERE r.classoid = 'pg_class'::regclass"
    " AND a.attrelid = r.objoid AND a.attnum = r.objsubid AND r.objsubid <> 0), '')",
    "pg_seclabel": "r.provider || ' ' || r.objsubid",
}

#: What is told by a function, since the row holds it as a tree or by numbers of columns.
_WORDED: t.Final = {
    "pg_attrdef": "pg_get_expr(r.adbin, r.adrelid)",
    "pg_class": "pg_get_expr(r.relpartbound, r.oid)",
    "pg_constraint": "pg_get_constraintdef(r.oid)",
    "pg_index": "pg_get_indexdef(r.indexrelid)",
    "pg_partitioned_table": "pg_get_partkeydef(r.partrelid)",
    "pg_policy": "ROW(pg_get_expr(r.polqual, r.polrelid), pg_get_expr(r.polwithcheck, r.polrelid))",
    "pg_proc": "ROW(pg_get_function_arguments(r.oid), pg_get_function_sqlbody(r.oid))",
    "pg_publication_rel": "pg_get_expr(r.prqual, r.prrelid)",
    "pg_rewrite": "pg_get_ruledef(r.oid)",
    "pg_statistic_ext": "pg_get_statisticsobjdef(r.oid)",
    "pg_trigger": "pg_get_triggerdef(r.oid)",
}
#: The field of these: servers of several majors may say the same in other words.
WORDED: t.Final = "definition"

#: More of a catalog's rows, as name and expression; ``enum_place`` since sort orders depend on how a type has grown.
_MORE: t.Final = {
    "pg_class": {"toast_options": "(SELECT t.reloptions::text FROM pg_class t WHERE t.oid = r.reltoastrelid)"},
    "pg_enum": {
        "place": "(SELECT count(*) FROM pg_enum o WHERE o.enumtypid = r.enumtypid"
        " AND o.enumsortorder < r.enumsortorder)"
    },
}

#: Which rows count.
_FILTERS: t.Final = {
    "pg_attribute": "r.attnum > 0 AND NOT r.attisdropped",
    "pg_trigger": "NOT r.tgisinternal",
}

# What servers say otherwise although it is the same: until 17, no target for statistics was -1; a server of 15.20 keeps
# a mark of its own among a column's options.
_SAID_OTHERWISE: t.Final = {
    "attstattarget": "nullif(r.attstattarget, -1)",
    "attoptions": "nullif(ARRAY(SELECT o FROM unnest(r.attoptions) o WHERE o !~ '^pg_attver='), '{}')",
}

#: An object in words that all majors have in common: until 16, one built-in type was named with its schema.
_NAME: t.Final = "replace(i.identity, 'pg_catalog.', '')"
_IDENTITY: t.Final = f"i.type || ' ' || {_NAME}"

# Unqualified names are pg_catalog's: the session's search_path is empty.
_CATALOGS: t.Final = """
SELECT c.relname,
       ARRAY(SELECT ARRAY[a.attname::text, a.atttypid::regtype::text,
                          coalesce(f.pktable::regclass::text, ''), coalesce(f.is_array::text, '')]
             FROM pg_attribute a
             LEFT JOIN pg_get_catalog_foreign_keys() f
                  ON f.fktable = c.oid AND a.attname = f.fkcols[cardinality(f.fkcols)]
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
FROM pg_class c
WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND NOT c.relisshared ORDER BY 1
"""

# Besides members themselves, what is part of them: it may have been added since. What pg_dump says by itself although
# it hangs on a member (a partition, statistics, an operator class of its family) is none of that.
_MEMBERS: t.Final = """
WITH RECURSIVE belonging(extension, classid, objid, whole_class, whole_object) AS (
    SELECT e.extname, d.classid, d.objid, NULL::oid, NULL::oid
    FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
    UNION
    SELECT b.extension, d.classid, d.objid, coalesce(whole_class, b.classid), coalesce(whole_object, b.objid)
    FROM belonging b JOIN pg_depend d ON d.refclassid = b.classid AND d.refobjid = b.objid
    WHERE d.deptype = 'i' OR (d.deptype IN ('a', 'P', 'S') AND (
        d.classid IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_trigger'::regclass,
                      'pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_amop'::regclass, 'pg_amproc'::regclass)
        OR (d.classid = 'pg_class'::regclass
            AND EXISTS (SELECT FROM pg_class c WHERE c.oid = d.objid AND c.relkind IN ('i', 'I')))))
), member AS MATERIALIZED (
    SELECT DISTINCT ON (b.classid, b.objid) b.extension, b.classid, b.objid, i.type AS kind, {name} AS name,
           coalesce((SELECT {identity} FROM pg_identify_object(b.whole_class, b.whole_object, 0) i), '') AS part_of
    FROM belonging b CROSS JOIN LATERAL pg_identify_object(b.classid, b.objid, 0) i
    WHERE i.schema IS DISTINCT FROM 'pg_toast' AND i.identity IS NOT NULL
    ORDER BY b.classid, b.objid, b.whole_object, b.whole_class
)
SELECT * FROM ({facets}) facets(extension, kind, name, part_of, facet, fields) ORDER BY 1, 2, 3, 5
"""

_EXTENSIONS: t.Final = """
SELECT e.extname, e.extversion, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY 1
"""


def read_members(session: Session) -> Members:
    """Return what all extensions' members are: three statements however many there are."""
    catalogs = session.execute(_CATALOGS).fetchall()
    facets = [_facet(name, [_Column(*column) for column in columns]) for name, columns in catalogs]
    query = sql.SQL(_MEMBERS).format(
        name=sql.SQL(_NAME), identity=sql.SQL(_IDENTITY), facets=sql.SQL(" UNION ALL ".join(filter(None, facets)))
    )
    found: dict[tuple[str, str, str, str], dict[str, Fields]] = collections.defaultdict(dict)
    for extension, kind, name, part_of, facet, fields in session.execute(query).fetchall():
        found[extension, kind, name, part_of][facet] = fields
    return Members(
        major=session.info.server_version // 10000,
        extensions=tuple(Extension(*row) for row in session.execute(_EXTENSIONS).fetchall()),
        members=tuple(Member(*described, facets) for described, facets in found.items()),
    )


class _Column(t.NamedTuple):
    """A column of a catalog, its type, and the catalog that it refers to, with one number or with several."""

    name: str
    type: str
    refers_to: str
    is_array: str


def _facet(catalog: str, columns: t.Sequence[_Column]) -> str:
    """Return the query for a catalog's rows of members; nothing for one that has none."""
    if catalog in _OTHER_CATALOGS:
        return ""
    names = [column.name for column in columns]
    owner = next((column for column in columns if column.refers_to and not column.is_array.startswith("t")), None)
    if "classoid" in names:
        condition = "r.classoid = m.classid AND r.objoid = m.objid"
    elif "oid" in names and catalog != "pg_enum":
        condition = f"m.classid = '{catalog}'::regclass AND r.oid = m.objid"
    elif owner:
        condition = f"m.classid = '{owner.refers_to}'::regclass AND r.{owner.name} = m.objid"
    else:
        return ""
    fields = {column.name: said for column in columns if (said := _say(column))}
    fields |= _MORE.get(catalog, {})
    if catalog in _WORDED:
        fields[WORDED] = _hash(f"({_WORDED[catalog]})::text")
    pairs = ", ".join(f"ARRAY['{name}', ({said})::text]" for name, said in fields.items())
    name = f"trim('{catalog} ' || {_NAMES[catalog]})" if catalog in _NAMES else f"'{catalog}'"
    return (
        f"SELECT m.extension, m.kind, m.name, m.part_of, {name}, jsonb_object(ARRAY[{pairs}])"
        f" FROM member m JOIN pg_catalog.{catalog} r ON {condition} WHERE {_FILTERS.get(catalog, 'true')}"
    )


def _say(column: _Column) -> str:
    """Return the expression of a column's value, or nothing where only one server knows it."""
    value = f"r.{column.name}"
    if column.name in _LOCAL or column.name in ("oid", "classoid", "objoid", "objsubid"):
        return ""
    if column.type in ("aclitem[]", "pg_node_tree") or column.refers_to in ("pg_authid", "pg_attribute"):
        return ""
    if column.refers_to:
        each = value if column.is_array.startswith("t") else f"ARRAY[{value}]"
        return (
            f"SELECT string_agg(coalesce({_IDENTITY}, ''), ', ' ORDER BY place)"
            f" FROM unnest({each}::oid[]) WITH ORDINALITY o(oid, place)"
            f" LEFT JOIN LATERAL pg_identify_object('{column.refers_to}'::regclass, o.oid, 0) i ON o.oid <> 0"
        )
    value = _SAID_OTHERWISE.get(column.name, value)
    return _hash(f"{value}::text") if column.type in ("text", "text[]", "bytea") else value


def _hash(text: str) -> str:
    return f'hashtextextended({text} COLLATE "C", 0)'
