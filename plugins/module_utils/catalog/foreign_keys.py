# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign keys, with all that a check of their rows is made of."""

from __future__ import annotations

import dataclasses
import typing as t

from psycopg import sql

from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer


@dataclasses.dataclass(frozen=True)
class ForeignKey:
    """A foreign key; ``validated`` is false for one that was added NOT VALID.

    ``enforced`` is false where triggers that do its work are disabled: ALTER TABLE ... DISABLE TRIGGER ALL.
    """

    name: str
    table: str
    references: str
    definition: str
    validated: bool
    enforced: bool = True

    def __str__(self) -> str:
        return f"fk constraint {self.table} {self.name}"


@dataclasses.dataclass(frozen=True)
class Link:
    """A foreign key and the tables that it links, by schema and name."""

    key: ForeignKey
    referring: tuple[str, str]
    referenced: tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Side:
    """A table at one end of a key, and the key's columns there."""

    schema: str
    name: str
    has_children: bool
    columns: tuple[str, ...]

    def as_source(self, alias: t.LiteralString) -> sql.Composed:
        """Return the FROM item that yields the rows to which the key applies."""
        only = sql.SQL("") if self.has_children else sql.SQL("ONLY ")
        return sql.SQL("{}{} {}").format(only, sql.Identifier(self.schema, self.name), sql.SQL(alias))


@dataclasses.dataclass(frozen=True)
class Joined:
    """A key with all that its anti-join is made of.

    A collation is that of the referenced column, as in the server's own check (ri_GenerateQualCollation in
    ri_triggers.c).
    """

    key: ForeignKey
    referring: Side
    referenced: Side
    operators: tuple[tuple[str, str], ...]
    collations: tuple[tuple[str, str] | None, ...]
    match_full: bool
    #: the last column is a period: all of it must lie within those of the matching rows together (docs: CREATE TABLE,
    #: PERIOD; ri_Check_Pk_Match and FindFKPeriodOpers)
    period: bool = False
    #: the referring table's primary key, by which a row may be named; empty if it has none
    row_key: tuple[str, ...] = ()

    def found(self, values: t.Sequence[sql.Composable]) -> sql.Composed:
        """Return the condition under which what values refer to is there."""
        matching = sql.SQL("FROM {} WHERE {}").format(self.referenced.as_source("p"), self.matches(values))
        if not self.period:
            return sql.SQL("EXISTS (SELECT {})").format(matching)
        return sql.SQL("(SELECT {} OPERATOR(pg_catalog.<@) pg_catalog.range_agg({}) {}) IS TRUE").format(
            values[-1], sql.Identifier("p", self.referenced.columns[-1]), matching
        )

    @property
    def row_name(self) -> sql.Composed:
        """The expression that names a row ``c``: no other value of a row is anybody's to read in a report."""
        if self.row_key:
            columns = sql.SQL(", ").join(sql.Identifier("c", column) for column in self.row_key)
            return sql.SQL("ROW({})::text").format(columns)
        return sql.SQL("'#' || left(lpad(to_hex(hashtextextended(ROW(c.*)::text, 0)), 16, '0'), 8)").format()

    def matches(self, values: t.Iterable[sql.Composable]) -> sql.Composed:
        """Return the condition under which a row ``p`` is the one that values refer to."""
        conditions = []
        for value, referenced, operator, collation in zip(
            values, self.referenced.columns, self.operators, self.collations, strict=True
        ):
            if collation:
                value += sql.SQL(" COLLATE ") + sql.Identifier(*collation)
            operation = sql.SQL("OPERATOR({}.{})").format(sql.Identifier(operator[0]), sql.SQL(operator[1]))
            conditions.append(sql.SQL("{} {} {}").format(sql.Identifier("p", referenced), operation, value))
        return sql.SQL(" AND ").join(conditions)

    @property
    def link(self) -> Link:
        """The key and what it links."""
        referring, referenced = self.referring, self.referenced
        return Link(self.key, (referring.schema, referring.name), (referenced.schema, referenced.name))


# A partition's copy of its parent's key is part of the parent's. Names are plain, not quoted: people read them. Before
# 18 there are no periods, and no column that tells of them.
_LIST: t.Final = """
WITH RECURSIVE disabled(key) AS (
    SELECT tgconstraint FROM pg_trigger WHERE tgisinternal AND tgconstraint <> 0 AND tgenabled IN ('D', 'R')
    UNION
    SELECT k.conparentid FROM pg_constraint k JOIN disabled ON disabled.key = k.oid WHERE k.conparentid <> 0
)
SELECT k.conname, n.nspname || '.' || c.relname, rn.nspname || '.' || r.relname, pg_get_constraintdef(k.oid),
       k.convalidated, NOT k.oid IN (SELECT key FROM disabled), k.confmatchtype = 'f', n.nspname, c.relname,
       c.relkind = 'p', rn.nspname, r.relname, r.relkind = 'p', parts.columns, parts.referenced, parts.operators,
       parts.collations, coalesce((to_jsonb(k) ->> 'conperiod')::bool, false),
       ARRAY(SELECT a.attname::text
             FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY part(attnum, place)
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = part.attnum
             -- What is INCLUDEd is no part of the key.
             WHERE i.indrelid = c.oid AND i.indisprimary AND part.place <= i.indnkeyatts ORDER BY part.place)
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid AND c.relpersistence <> 't'
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class r ON r.oid = k.confrelid
JOIN pg_namespace rn ON rn.oid = r.relnamespace
CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY place), array_agg(ra.attname::text ORDER BY place),
           array_agg(ARRAY[opn.nspname::text, o.oprname::text] ORDER BY place),
           array_agg(ARRAY[coalesce(cn.nspname::text, ''), coalesce(l.collname::text, '')] ORDER BY place)
    FROM unnest(k.conkey, k.confkey, k.conpfeqop) WITH ORDINALITY part(column_, referenced, operator, place)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = part.column_
    JOIN pg_attribute ra ON ra.attrelid = k.confrelid AND ra.attnum = part.referenced
    JOIN pg_operator o ON o.oid = part.operator
    JOIN pg_namespace opn ON opn.oid = o.oprnamespace
    LEFT JOIN pg_collation l ON l.oid = ra.attcollation
    LEFT JOIN pg_namespace cn ON cn.oid = l.collnamespace
) parts(columns, referenced, operators, collations)
WHERE k.contype = 'f' AND k.conparentid = 0
ORDER BY 2, 1
"""


def list_foreign_keys(session: Session) -> list[ForeignKey]:
    """Return the foreign keys, by table and name. The session's search_path must be empty."""
    return answer(session, ask_foreign_keys())


def ask_foreign_keys() -> Inquiry[list[ForeignKey]]:
    """Ask for the foreign keys, by table and name. The session's search_path must be empty."""
    return [joined.key for joined in (yield from ask_joined())]


def list_links(session: Session) -> list[Link]:
    """Return the foreign keys with what they link, by table and name. The session's search_path must be empty."""
    return [joined.link for joined in list_joined(session)]


def list_joined(session: Session) -> list[Joined]:
    """Return the foreign keys with all that their checks are made of, by table and name.

    The session's search_path must be empty.
    """
    return answer(session, ask_joined())


def ask_joined() -> Inquiry[list[Joined]]:
    """Ask for the foreign keys with all that their checks are made of; see `list_joined`."""
    found = []
    (rows,) = yield [_LIST]
    for name, table, references, definition, validated, enforced, *rest in rows:
        match_full, schema, relation, partitioned, referenced_schema, referenced_relation, *rest = rest
        referenced_partitioned, columns, referenced_columns, operators, collations, period, row_key = rest
        found.append(
            Joined(
                key=ForeignKey(name, table, references, definition, validated, enforced),
                referring=Side(schema, relation, partitioned, tuple(columns)),
                referenced=Side(
                    referenced_schema, referenced_relation, referenced_partitioned, tuple(referenced_columns)
                ),
                operators=tuple((schema, operator) for schema, operator in operators),
                collations=tuple((schema, collation) if collation else None for schema, collation in collations),
                match_full=match_full,
                period=period,
                row_key=tuple(row_key),
            )
        )
    return found


#: The first major that adds NOT VALID keys to partitioned tables (docs: release notes of 18, E.1.3.4).
FIRST_NOT_VALID_TREES: t.Final = 18
