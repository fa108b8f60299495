# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An object's rows in the catalogs, in words that two servers have in common.

What refers to another object names it, and what only one server knows (numbers, owners, files, statistics) is left out.
The server itself tells what its catalogs hold and refer to (docs: 9.28 System Catalog Information Functions,
pg_get_catalog_foreign_keys), so that a catalog of a newer one is not forgotten.
"""

from __future__ import annotations

import typing as t

from psycopg import sql

from ..server.answer_cache import CACHE
from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer

#: A row of a catalog: columns and their values, of texts a hash: they may be anybody's secret.
Fields: t.TypeAlias = "dict[str, str | None]"

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
    "pg_ts_config_map": "r.maptokentype::text || '.' || r.mapseqno::text",
    "pg_description": "coalesce((SELECT a.attname FROM pg_attribute a WHERE r.classoid = 'pg_class'::regclass"
    " AND a.attrelid = r.objoid AND a.attnum = r.objsubid AND r.objsubid <> 0), '')",
    "pg_seclabel": "r.provider || ' ' || r.objsubid::text",
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
NAME: t.Final = "replace(i.identity, 'pg_catalog.', '')"
IDENTITY: t.Final = f"i.type || ' ' || {NAME}"

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


class Column(t.NamedTuple):
    """A column of a catalog, its type, and the catalog that it refers to, with one number or with several."""

    name: str
    type: str
    refers_to: str
    is_array: str

    @property
    def refers_to_one(self) -> bool:
        """Whether it holds the number of one object."""
        return bool(self.refers_to) and not self.is_array.startswith("t")


class Catalog(t.NamedTuple):
    """A catalog whose rows describe objects."""

    name: str
    columns: tuple[Column, ...]

    @property
    def address(self) -> tuple[str, str]:
        """The expressions of an object's catalog and number for a row ``r``: its own, or that of which it is part."""
        names = [column.name for column in self.columns]
        if "classoid" in names:
            return "r.classoid", "r.objoid"
        if "oid" in names and self.name != "pg_enum":
            return f"'{self.name}'::regclass", "r.oid"
        owner = next(column for column in self.columns if column.refers_to_one)
        return f"'{owner.refers_to}'::regclass", f"r.{owner.name}::oid"

    @property
    def facets(self) -> str:
        """The query for the rows of the objects of a relation ``object(classid, objid, words)``: words, facet, fields.

        A facet is the catalog's name and, where an object has several rows, what tells them apart.
        """
        fields = {column.name: said for column in self.columns if (said := _say(column))}
        fields |= _MORE.get(self.name, {})
        if self.name in _WORDED:
            fields[WORDED] = _hash(f"({_WORDED[self.name]})::text")
        pairs = ", ".join(f"ARRAY['{name}', ({said})::text]" for name, said in fields.items())
        facet = f"trim('{self.name} ' || {_NAMES[self.name]})" if self.name in _NAMES else f"'{self.name}'"
        classid, objid = self.address
        return (
            f"SELECT o.words, {facet}, jsonb_object(ARRAY[{pairs}])"
            f" FROM object o JOIN pg_catalog.{self.name} r ON o.classid = {classid} AND o.objid = {objid}"
            f" WHERE {_FILTERS.get(self.name, 'true')}"
        )


def read_catalogs(session: Session) -> list[Catalog]:
    """Return the catalogs of the session's server that describe objects."""
    return answer(session, ask_catalogs())


def ask_catalogs() -> Inquiry[list[Catalog]]:
    """Ask for the catalogs of a server that describe objects."""
    rows = yield from CACHE.ask(sql.SQL(_CATALOGS))
    catalogs = [Catalog(name, tuple(Column(*column) for column in columns)) for name, columns in rows]
    return [
        catalog
        for catalog in catalogs
        if catalog.name not in _OTHER_CATALOGS
        and any(column.refers_to_one or column.name in ("oid", "classoid") for column in catalog.columns)
    ]


def _say(column: Column) -> str:
    """Return the expression of a column's value, or nothing where only one server knows it."""
    value = f"r.{column.name}"
    if column.name in _LOCAL or column.name in ("oid", "classoid", "objoid", "objsubid"):
        return ""
    if column.type in ("aclitem[]", "pg_node_tree") or column.refers_to in ("pg_authid", "pg_attribute"):
        return ""
    if column.refers_to:
        each = f"ARRAY[{value}]" if column.refers_to_one else value
        return (
            f"SELECT string_agg(coalesce({IDENTITY}, ''), ', ' ORDER BY place)"
            f" FROM unnest({each}::oid[]) WITH ORDINALITY u(oid, place)"
            f" LEFT JOIN LATERAL pg_identify_object('{column.refers_to}'::regclass, u.oid, 0) i ON u.oid <> 0"
        )
    value = _SAID_OTHERWISE.get(column.name, value)
    return _hash(f"{value}::text") if column.type in ("text", "text[]", "bytea") else value


def _hash(text: str) -> str:
    return f'hashtextextended({text} COLLATE "C", 0)'
