# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What materialized views would hold after a refresh, without one: their queries, evaluated."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, describe
from ..server.endpoint import Session, set_search_path, use_search_path
from .checksums import digest, sum_query
from .content import Rows
from .in_force import Settings, pins_of, use_settings
from .relations import Relation
from .search_path import SAFE_SEARCH_PATH, SAFE_SINCE
from .selection import Name

_ALONE: t.Final = "SET LOCAL max_parallel_workers_per_gather = 0"
#: A refresh is the owner's, and may write: a reader may not be allowed what the query does, or no reader can do it.
_UNTOLD: t.Final = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)

#: Functions of PostgreSQL's that tell the time, the database's name, which is another one while a copy is made, or
#: what there is just then, as sizes.
_CLOCKS: t.Final = r"now|(clock|statement|transaction)_timestamp|timeofday|age|current_database|pg_\w+_size"
#: What has words of its own for the same (SQLValueFunctionOp in primnodes.h).
_CLOCK_WORDS: t.Final = r"\m(current_(date|time|timestamp|catalog)|localtime(stamp)?)\M"
_CLOCK_NODES: t.Final = "[{]SQLVALUEFUNCTION :op ([0-8]|13) "

# Views on the way, and the functions that are called by name in any of their queries. What these ask for, the server's
# trees of them tell by numbers: a user's column may be called as a catalog is. A blank within a name is escaped there
# (outToken in outfuncs.c). Only of a body that is mere text, the words have to tell.
_DEFINITIONS: t.Final = rf"""
WITH RECURSIVE part(view, oid) AS (
    SELECT oid, oid FROM pg_class WHERE relkind = 'm' AND relispopulated
    UNION
    SELECT part.view, v.oid FROM part JOIN pg_rewrite r ON r.ev_class = part.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class v ON v.oid = d.refobjid AND v.relkind = 'v'
), called(view, tree, body) AS (
    SELECT part.view, p.prosqlbody::text, p.prosrc FROM part JOIN pg_rewrite r ON r.ev_class = part.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
), tree(view, nodes) AS (
    SELECT part.view, r.ev_action::text FROM part JOIN pg_rewrite r ON r.ev_class = part.oid
    UNION ALL SELECT view, tree FROM called WHERE tree IS NOT NULL
), timed(view) AS (
    SELECT view FROM tree WHERE nodes ~ '{_CLOCK_NODES}'
    UNION SELECT view FROM tree, regexp_matches(nodes, ' :relid (\d+)', 'g') said
    JOIN pg_class c ON c.oid = said[1]::oid
    WHERE c.relnamespace IN ('pg_catalog'::regnamespace, to_regnamespace('information_schema'))
    UNION SELECT view FROM tree, regexp_matches(nodes, ' :funcid (\d+)', 'g') said
    JOIN pg_proc p ON p.oid = said[1]::oid
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.provolatile <> 'i' AND p.proname ~ '^({_CLOCKS})$'
    UNION SELECT view FROM called WHERE tree IS NULL AND (
        body ~* '\m({_CLOCKS})\s*\(|{_CLOCK_WORDS}|\minformation_schema\M' OR EXISTS (
            SELECT FROM regexp_matches(body, '\mpg_\w+\M(?!\s*\()', 'gi') said
            JOIN pg_class c ON c.relname = lower(said[1]) AND c.relnamespace = 'pg_catalog'::regnamespace))
)
SELECT n.nspname::text, c.relname::text, pg_get_viewdef(c.oid), c.oid IN (TABLE timed)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND c.relispopulated
"""

# What a query has read stays locked until its transaction, or the part of it, ends: also what a function reads, which
# no catalog tells. Whatever the transaction has read before is listed as well.
_READ: t.Final = """
SELECT DISTINCT n.nspname::pg_catalog.text, c.relname::pg_catalog.text
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind = 'm'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation'
ORDER BY 1, 2
"""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a materialized view's query yields, and the materialized views that were read for it, however hidden."""

    rows: Rows
    read: tuple[Name, ...]


@dataclasses.dataclass(frozen=True)
class Definition:
    """A materialized view's query; ``timed``: it asks for what is another one elsewhere or later, as the time is."""

    query: sql.SQL
    timed: bool


def read_definitions(session: Session) -> dict[Name, Definition]:
    """Return the queries of the populated materialized views by (schema, name).

    All names in them are qualified that can be, since the session's search_path is empty.
    """
    rows = session.execute(_DEFINITIONS).fetchall()
    return {
        (schema, name): Definition(sql.SQL(text.rstrip().removesuffix(";")), timed)
        for schema, name, text, timed in rows
    }


def evaluate(
    session: Session, view: Relation, definition: Definition, search_path: str, settings: Settings = ()
) -> Evaluation | None:
    """Return what a view's query yields; None where a reader cannot tell.

    The query is worded under the path that serves, and run under the one that a refresh has: a cursor is planned when
    it is declared. One process runs it alone, as it does a refresh of ours, and under the same settings.

    :param session: in a transaction, and left as it was
    :param settings: what a session of the source begins with
    :raises MigrationError: when the query fails, as a refresh would
    """
    query = _sum_of(view, definition, pins_of(settings))
    try:
        with session.transaction(force_rollback=True):
            use_settings(session, settings, set_search_path(search_path), _ALONE)
            if session.info.server_version // 10000 >= SAFE_SINCE:
                session.execute(sql.SQL("DECLARE pgconvoy_view CURSOR FOR {}").format(query))
                use_search_path(session, SAFE_SEARCH_PATH)
                query = sql.Composed([sql.SQL("FETCH pgconvoy_view")])
            row = session.execute(query).fetchone()
            read = session.execute(_READ).fetchall()
    except _UNTOLD:
        return None
    except psycopg.Error as error:
        raise MigrationError(
            f"Cannot evaluate the query of materialized view {view}: {describe(error, over_rows=True)}"
        ) from None
    assert row is not None
    count, hashes = row
    names = tuple((schema, name) for schema, name in read if (schema, name) != view.full_name)
    return Evaluation(Rows(int(count), digest([int(hashes)])), names)


def _sum_of(view: Relation, definition: Definition, pins: t.Sequence[tuple[str, str]]) -> sql.Composed:
    """Return the query for the number and the sum of hashes of what a view's query yields.

    :param pins: under which rows are hashed, if the query is to run under other settings: values of the users' types
        are hashed as text. They are set when all rows are there
    """
    if not pins:
        return sum_query(view.hashed, sql.SQL("({}) AS definition").format(definition.query))
    pinned = sql.SQL(", ").join(
        sql.SQL("pg_catalog.set_config({}, {}, true)").format(name, value) for name, value in pins
    )
    return sql.SQL(
        "WITH definition AS MATERIALIZED ({}) {} WHERE ("
        "SELECT count(ROW({})) FROM (SELECT count(*) AS rows FROM definition) whole WHERE whole.rows >= 0) > 0"
    ).format(definition.query, sum_query(view.hashed, sql.SQL("definition")), pinned)
