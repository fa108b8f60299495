# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign keys, and what is true of their rows whatever the server says of them."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, describe
from ..schedule.progress import Step
from ..schedule.threads import run_parallel
from ..server.endpoint import Session, break_off, use_search_path
from ..server.inquiry import Inquiry, answer
from ..server.shared_memory import read
from .graph import find_ways_back
from .snapshot import Snapshot


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
class Census:
    """What an anti-join tells of a foreign key.

    ``orphans`` are rows without the row that they refer to, ``examples`` some of them by their primary key or, in a
    table without one, by a part of their hash; ``null_rows`` refer to nothing. ``cycle`` are the tables by which the
    key leads back to its own, which is the last; empty if none do. A way over more than 20 tables is told by its ends,
    with ``...`` between them.
    """

    key: ForeignKey
    orphans: int
    examples: tuple[str, ...]
    null_rows: int
    cycle: tuple[str, ...]
    #: whether its table is partitioned
    partitioned: bool = False


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

    def found(self, values: t.Sequence[sql.Composable]) -> sql.Composed:
        """Return the condition under which what values refer to is there."""
        matching = sql.SQL("FROM {} WHERE {}").format(self.referenced.as_source("p"), self.matches(values))
        if not self.period:
            return sql.SQL("EXISTS (SELECT {})").format(matching)
        return sql.SQL("(SELECT {} OPERATOR(pg_catalog.<@) pg_catalog.range_agg({}) {}) IS TRUE").format(
            values[-1], sql.Identifier("p", self.referenced.columns[-1]), matching
        )

    #: the referring table's primary key, by which a row may be named; empty if it has none
    row_key: tuple[str, ...] = ()

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
    return [joined.key for joined in (yield from _ask_joined())]


def list_links(session: Session) -> list[Link]:
    """Return the foreign keys with what they link, by table and name. The session's search_path must be empty."""
    return [joined.link for joined in list_joined(session)]


def list_joined(session: Session) -> list[Joined]:
    """Return the foreign keys with all that their checks are made of, by table and name.

    The session's search_path must be empty.
    """
    return answer(session, _ask_joined())


def _ask_joined() -> Inquiry[list[Joined]]:
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

#: How many orphans are named.
_EXAMPLES: t.Final = 5


def take_census(
    snapshot: Snapshot, jobs: int, search_path: str, only: t.Container[tuple[str, str]] | None = None
) -> list[Census]:
    """Return what is true of every foreign key's rows, ``jobs`` keys at a time.

    :param search_path: the one that serves the database
    :param only: the tables, by schema and name, whose keys are looked at; all if None
    :raises MigrationError: when a table cannot be read, with the server's message
    """
    keys = list_joined(snapshot.session)
    edges: dict[str, set[str]] = {joined.key.references: set() for joined in keys}
    for joined in keys:
        edges.setdefault(joined.key.table, set()).add(joined.key.references)
    cycles = {key: way or (key[1], "...", key[0]) for key, way in find_ways_back(edges).items()}
    asked = [joined for joined in keys if only is None or joined.link.referring in only]
    counted: dict[ForeignKey, Census] = {}

    @contextlib.contextmanager
    def open_counter() -> t.Iterator[_Counter]:
        with snapshot.another_session() as session:
            use_search_path(session, search_path)
            yield _Counter(session, cycles, counted)

    run_parallel(asked, jobs, open_counter, "look for orphans", lambda joined: Step(str(joined.key)))
    return [counted[joined.key] for joined in asked]


@dataclasses.dataclass(frozen=True)
class _Counter:
    session: Session
    #: for a table and one that it refers to, the way back
    cycles: t.Mapping[tuple[str, str], tuple[str, ...]]
    counted: dict[ForeignKey, Census]

    def run(self, joined: Joined) -> None:
        key = joined.key
        try:
            orphans, null_rows = self._numbers(joined)
            examples = tuple(row for (row,) in read(self.session, _examples(joined))) if orphans else ()
        except psycopg.errors.LockNotAvailable:
            raise
        except psycopg.Error as error:
            raise MigrationError(f"Cannot check {key}: {describe(error)}") from None
        cycle = self.cycles.get((key.table, key.references), ())
        self.counted[key] = Census(key, orphans, examples, null_rows, cycle, joined.referring.has_children)

    def cancel(self) -> None:
        break_off(self.session)

    def _numbers(self, joined: Joined) -> tuple[int, int]:
        # Two queries: FILTER would keep the anti-join from being planned as one.
        query = sql.SQL("SELECT (SELECT count(*) FROM {0} WHERE {1}), (SELECT count(*) FROM {0} WHERE {2})").format(
            joined.referring.as_source("c"), _is_orphan(joined), _is_null(joined)
        )
        ((orphans, null_rows),) = read(self.session, query)
        return orphans, null_rows


def _is_orphan(joined: Joined) -> sql.Composed:
    """A row that refers to something that is not there; under MATCH FULL also one that is half NULL."""
    values = [sql.Identifier("c", column) for column in joined.referring.columns]
    whole = sql.SQL("{} AND NOT ({})").format(_all_null(joined, "IS NOT NULL"), joined.found(values))
    if not joined.match_full or len(joined.operators) == 1:
        return whole
    return sql.SQL("({} OR NOT ({} OR {}))").format(
        whole, _all_null(joined, "IS NULL"), _all_null(joined, "IS NOT NULL")
    )


def _is_null(joined: Joined) -> sql.Composed:
    """A row that refers to nothing."""
    if joined.match_full:
        return _all_null(joined, "IS NULL")
    return sql.SQL("NOT ({})").format(_all_null(joined, "IS NOT NULL"))


def _all_null(joined: Joined, test: t.Literal["IS NULL", "IS NOT NULL"]) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} {}").format(sql.Identifier("c", column), sql.SQL(test)) for column in joined.referring.columns
    )


def _examples(joined: Joined) -> sql.Composed:
    return sql.SQL("SELECT DISTINCT {} FROM {} WHERE {} ORDER BY 1 LIMIT {}").format(
        joined.row_name, joined.referring.as_source("c"), _is_orphan(joined), _EXAMPLES
    )
