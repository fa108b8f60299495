# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that holds rows: tables, partitioned tables, materialized views."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from psycopg import sql

from ..server.batches import Rows
from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer, ask, one_line, together
from .checksums import HashedColumn, Type, ask_types, hashed_column, is_sent_alike
from .refresh_order import ask_refresh_order

Kind = t.Literal["table", "partitioned table", "materialized view"]


@dataclasses.dataclass(frozen=True)
class Relation:
    """A relation and what is needed to copy and count its own rows."""

    schema: str
    name: str
    kind: Kind
    #: the columns that COPY writes and reads, in the order of the table: generated ones are computed by the target
    columns: tuple[str, ...] = ()
    #: the stored columns by name, with the form in which each enters the checksum; of a virtual one, all is in its
    #: definition
    hashed: tuple[HashedColumn, ...] = ()
    #: the stored columns that are computed of texts, or by functions of users or extensions: on another server, they
    #: may come out otherwise; none of the primary key, by which rows are known
    generated: tuple[str, ...] = ()
    #: the columns of the primary key, in its order
    key: tuple[str, ...] = ()
    #: heap and TOAST, in bytes: the big ones are copied first
    size: int = 0
    #: pages of the heap alone, by which a large relation is read in pieces
    pages: int = 0
    #: a materialized view without data has no rows to compare
    populated: bool = True
    #: the materialized views that a materialized view reads, directly or not, as (schema, name)
    reads: tuple[tuple[str, str], ...] = ()
    #: the tables that functions read which its checks, columns or indexes call, as (schema, name); told of a dump's
    calls_for: tuple[tuple[str, str], ...] = ()
    #: a partitioned table's rows are those of these tables, (schema, name), that are attached to it at any level
    partitions: tuple[tuple[str, str], ...] = ()
    #: the partitioned table to load the rows through, where a row's partition may differ on the target
    load_through: tuple[str, str] | None = None
    #: the WHERE clause of an extension's configuration table: the rows that are the user's, not the extension's
    condition: str = ""
    #: whether some of its partitions or heirs are foreign tables: to take its statistics is to ask their servers
    is_far: bool = False
    #: whether row security is forced upon its owner as well
    forces_security: bool = False
    #: whether the binary form of all columns is the same on every server
    portable: bool = False

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def full_name(self) -> tuple[str, str]:
        """Schema and name."""
        return self.schema, self.name

    @property
    def stored_in(self) -> t.Collection[tuple[str, str]]:
        """The tables that hold its rows, as (schema, name)."""
        return self.partitions if self.kind == "partitioned table" else (self.full_name,)

    @property
    def given(self) -> tuple[HashedColumn, ...]:
        """The hashed columns that have one value on every server."""
        return tuple(column for column in self.hashed if column.name not in self.generated)

    @property
    def identifier(self) -> sql.Identifier:
        """The qualified name."""
        return sql.Identifier(self.schema, self.name)

    @property
    def load_identifier(self) -> sql.Identifier:
        """The qualified name of the table that COPY loads."""
        return sql.Identifier(*self.load_through) if self.load_through else self.identifier

    @property
    def own_rows(self) -> sql.Composed:
        """The FROM item that yields the relation's own rows."""
        only = sql.SQL("ONLY ") if self.kind == "table" else sql.SQL("")
        return sql.SQL("{}{} {}").format(only, self.identifier, sql.SQL(self.condition))


# Unqualified names are pg_catalog's: the session's search_path is empty. One that was dropped since has no size. The
# schema is looked up (OFFSET 0): where nobody has analyzed the catalogs, all would be gone through for each relation.
#
# Load through the root of a tree that is hash-partitioned by a polymorphic operator class (anyenum, anyarray, record,
# anyrange): such a hash may be made of OIDs, which differ on the target (pg_dump does so for enums: commit 12a53c7). So
# are those of regclass and the like, which have the class of oid (26).
#
# What depends on a locale or on text search has an argument with a collation, or a regconfig (3734), for JSON, too; or
# is hidden in a function that is not the server's own.
_LIST: t.Final = """
WITH RECURSIVE configuration AS (
    SELECT unnest(extconfig) AS relation, unnest(extcondition) AS condition
    FROM pg_extension
), far AS (
    SELECT i.inhparent AS relation FROM pg_inherits i JOIN pg_class f ON f.oid = i.inhrelid AND f.relkind = 'f'
    UNION SELECT i.inhparent FROM far JOIN pg_inherits i ON i.inhrelid = far.relation
)
SELECT n.nspname, c.relname,
       CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' ELSE 'materialized view' END,
       columns.names, columns.types, columns.generated, columns.stored, columns.own,
       ARRAY(SELECT a.attname::text FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])
             WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY array_position(i.indkey::int2[], a.attnum)),
       coalesce(pg_table_size(c.oid), 0), coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int,
       c.relispopulated,
       ARRAY(SELECT ARRAY[pn.nspname::text, l.relname::text] FROM pg_partition_tree(c.oid) p
             JOIN pg_class l ON l.oid = p.relid AND l.relkind = 'r'
             JOIN pg_namespace pn ON pn.oid = l.relnamespace WHERE c.relkind = 'p' ORDER BY 1),
       (SELECT ARRAY[rn.nspname::text, r.relname::text]
        FROM pg_partition_ancestors(c.oid) WITH ORDINALITY a(relid, height)
        JOIN pg_partitioned_table p ON p.partrelid = a.relid AND p.partstrat = 'h'
        JOIN pg_class r ON r.oid = a.relid
        JOIN pg_namespace rn ON rn.oid = r.relnamespace
        WHERE a.relid <> c.oid AND EXISTS (
            SELECT FROM unnest(p.partclass::oid[]) k
            JOIN pg_opclass o ON o.oid = k
            JOIN pg_type t ON t.oid = o.opcintype AND (t.typtype = 'p' OR t.oid = 26))
        ORDER BY a.height DESC LIMIT 1),
       coalesce(configuration.condition, ''), c.oid IN (SELECT relation FROM far),
       c.relrowsecurity AND c.relforcerowsecurity
{more}
FROM pg_class c
CROSS JOIN LATERAL (SELECT nspname FROM pg_namespace WHERE oid = c.relnamespace OFFSET 0) n
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(attname::text ORDER BY attnum), '{}'),
           coalesce(array_agg(atttypid::bigint ORDER BY attnum), '{}'),
           coalesce(array_agg(attgenerated <> '' ORDER BY attnum), '{}'),
           coalesce(array_agg(attgenerated <> 'v' ORDER BY attnum), '{}'),
           coalesce(array_agg(attname::text) FILTER (WHERE attgenerated = 's' AND EXISTS (
               SELECT FROM pg_attrdef x
               WHERE adrelid = attrelid AND adnum = attnum
                 AND (adbin::text ~ ':(inputcollid [1-9]|consttype 3734 )' OR EXISTS (
                     SELECT FROM pg_depend d
                     WHERE d.classid = 'pg_attrdef'::regclass AND d.objid = x.oid AND d.refobjid >= 16384
                       AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass))))), '{}')
    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
) columns(names, types, generated, stored, own)
LEFT JOIN configuration ON configuration.relation = c.oid
LEFT JOIN (pg_depend d JOIN pg_extension e ON e.oid = d.refobjid)
     ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass
     AND d.deptype = 'e'
WHERE c.relpersistence <> 't' AND {which}
ORDER BY n.nspname, c.relname
"""

#: Whose rows are the user's. A materialized view of an extension holds what its query yields, of the user's rows, too.
_USERS: t.Final = """
c.relkind IN ('r', 'p', 'm')
AND (configuration.relation IS NOT NULL OR (
     n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND (e.oid IS NULL OR c.relkind = 'm')))
"""

_EXTENSIONS: t.Final = "c.relkind = 'r' AND e.oid IS NOT NULL"

#: For extensions' tables: whose, whether all of it may be read, and whether it is configuration.
_MEMBERSHIP: t.Final = """,
e.extname, configuration.relation IS NOT NULL,
has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    AND NOT row_security_active(c.oid)
"""


def list_relations(session: Session) -> list[Relation]:
    """Return every relation of the user's that holds rows, by name.

    Not listed: temporary tables, foreign tables (their rows are elsewhere), and extensions' tables that the extension
    has not declared as configuration to be dumped (docs: 36.17.3 Extension Configuration Tables).
    """
    return answer(session, ask_relations())


def ask_relations() -> Inquiry[list[Relation]]:
    """Ask for every relation of the user's that holds rows; see `list_relations`."""
    # Types after relations: what is made in between has its type there.
    (rows,), types, reads = yield from together(ask(_list(_USERS)), ask_types(), ask_refresh_order())
    return [relation for relation, _ in _make(rows, types, reads)]


class ExtensionTable(t.NamedTuple):
    """A table that belongs to an extension, and whether it is configuration and all of it may be read."""

    relation: Relation
    extension: str
    configured: bool
    readable: bool


def ask_extension_tables() -> Inquiry[list[ExtensionTable]]:
    """Ask for every table that belongs to an extension, by name."""
    (rows,) = yield [_list(_EXTENSIONS, _MEMBERSHIP)]
    if not rows:
        return []
    types, reads = yield from together(ask_types(), ask_refresh_order())
    return [ExtensionTable(relation, *rest) for relation, rest in _make(rows, types, reads)]


def _list(which: t.LiteralString, more: t.LiteralString = "") -> t.LiteralString:
    return one_line(_LIST.replace("{which}", which).replace("{more}", more))


def _make(
    rows: Rows, types: t.Mapping[int, Type], reads: t.Mapping[tuple[str, str], tuple[tuple[str, str], ...]]
) -> list[tuple[Relation, list[t.Any]]]:
    """Return what was listed as relations, each with what was asked besides."""
    relations = []
    # Thousands of tables have columns of the same names and types.
    hashed = functools.cache(lambda name, oid: hashed_column(name, oid, types))
    sent_alike = {oid: is_sent_alike(type_, types) for oid, type_ in types.items()}
    for schema, name, kind, names, type_oids, generated, stored, own, *rest in rows:
        key, size, pages, populated, partitions, through, condition, is_far, forces_security, *others = rest
        columns = list(zip(names, type_oids, generated, strict=True))
        relation = Relation(
            schema=schema,
            name=name,
            kind=kind,
            columns=tuple(column for column, _, computed in columns if not computed),
            hashed=tuple(
                hashed(column, type_)
                for (column, type_, _), is_stored in sorted(zip(columns, stored, strict=True))
                if is_stored
            ),
            generated=tuple(sorted({*own}.difference(key))),
            key=tuple(key),
            size=size,
            pages=pages,
            populated=populated,
            reads=reads.get((schema, name), ()),
            partitions=tuple((leaf_schema, leaf) for leaf_schema, leaf in partitions),
            load_through=tuple(through) if through else None,
            condition=condition,
            is_far=is_far,
            forces_security=forces_security,
            portable=all(sent_alike[type_] for _, type_, _ in columns),
        )
        relations.append((relation, others))
    return relations


def in_the_same_forms(relations: t.Iterable[Relation], like: t.Iterable[Relation]) -> list[Relation]:
    """Return the relations, hashed as those of the other side are, where the columns are the same.

    An extension may give its types a send function on one server and not yet on the other. Generated columns may be
    left out there.
    """
    wanted = {relation.full_name: relation.hashed for relation in like}
    same = []
    for relation in relations:
        hashed = wanted.get(relation.full_name, ())
        names = {column.name for column in hashed}
        compared = [(c.name, c.type) for c in relation.hashed if c.name in names or c in relation.given]
        alike = [(c.name, c.type) for c in hashed] == compared
        same.append(dataclasses.replace(relation, hashed=hashed) if alike else relation)
    return same
