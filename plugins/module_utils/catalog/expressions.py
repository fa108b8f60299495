# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions that call the user's functions, and the tables that these read.

A function may read tables, and then it finds no rows in them as long as none are loaded. What it has read, the locks of
the transaction tell.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..server.endpoint import Session, use_search_path
from .selection import Name
from .snapshot import Snapshot

Kind = t.Literal["check", "partition", "generated", "domain", "index", "materialized view"]

#: Of how many rows a function is asked what it reads.
_SOME_ROWS: t.Final = 100

# Functions of extensions are not the user's to replace. An operator has one, and what text search makes of a text, its
# configurations and dictionaries say, which can be altered as well. And a check may ask for the time; who asks
# is another one on the target.
_CALLING: t.Final = """
SELECT d.classid, d.objid FROM pg_depend d
WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_ts_config'::regclass, 'pg_ts_dict'::regclass)
  AND d.refobjid >= 16384 AND NOT EXISTS (
    SELECT FROM pg_depend e WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e')
UNION ALL
SELECT tableoid, oid FROM pg_constraint
WHERE contype = 'c' AND (conbin::text ~ 'SQLVALUEFUNCTION' OR EXISTS (
    SELECT FROM regexp_matches(conbin::text, ':(?:op)?funcid (\\d+)', 'g') f JOIN pg_proc p ON p.oid = f[1]::oid
    WHERE p.provolatile <> 'i'))
  AND pg_get_expr(conbin, conrelid) !~* '\\m(current_role|(current_|session_)?user)\\M'
"""
_EVERY: t.Final = "SELECT classid, objid FROM pg_depend"
# Each query evaluates its expression for every row, and counts the rows that do not agree with it; a materialized view
# may be dear, and one whose function fails mostly does so for the first row. record_image_ne compares bit by bit (docs:
# 9.25.6 Composite Type Comparison). Unqualified names are pg_catalog's: the session's search_path is empty.
_EXPRESSIONS: t.Final = """
SELECT 'check', 'check constraint ' || n.nspname || '.' || c.relname || ' ' || k.conname, c.oid, n.nspname, c.relname,
       'SELECT count(*) FROM ', format(' WHERE NOT (%s)', pg_get_expr(k.conbin, k.conrelid))
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid AND c.relkind = 'r'
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'c' AND k.convalidated AND ('pg_constraint'::regclass, k.oid) IN (TABLE called)
UNION ALL
SELECT DISTINCT 'partition', 'table ' || n.nspname || '.' || c.relname, c.oid, n.nspname, c.relname,
       'SELECT count(*) FROM ', format(' WHERE NOT (%s)', pg_get_partition_constraintdef(c.oid))
FROM pg_partitioned_table y CROSS JOIN LATERAL pg_partition_tree(y.partrelid) p
JOIN pg_class c ON c.oid = p.relid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ('pg_class'::regclass, y.partrelid) IN (TABLE called)
UNION ALL
SELECT 'generated', 'column ' || n.nspname || '.' || c.relname || '.' || a.attname, c.oid, n.nspname, c.relname,
       'SELECT count(*) FROM ', format(' WHERE record_image_ne(ROW(%I), ROW((%s)::%s))',
              a.attname, pg_get_expr(x.adbin, x.adrelid), format_type(a.atttypid, a.atttypmod))
FROM pg_attrdef x
JOIN pg_attribute a ON a.attrelid = x.adrelid AND a.attnum = x.adnum AND a.attgenerated = 's'
JOIN pg_class c ON c.oid = x.adrelid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ('pg_attrdef'::regclass, x.oid) IN (TABLE called)
UNION ALL
SELECT 'domain', 'column ' || n.nspname || '.' || c.relname || '.' || a.attname, c.oid, n.nspname, c.relname,
       format('SELECT 0 * count((%I::%s)::%s) FROM ', a.attname, format_type(y.typbasetype, y.typtypmod),
              format_type(y.oid, NULL)), ''
FROM pg_type y JOIN pg_attribute a ON a.atttypid = y.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE y.oid IN (
    WITH RECURSIVE checked(oid) AS (
        SELECT contypid FROM pg_constraint
        WHERE contypid <> 0 AND convalidated AND ('pg_constraint'::regclass, oid) IN (TABLE called)
        UNION SELECT o.oid FROM checked JOIN pg_type o ON o.typbasetype = checked.oid)
    TABLE checked)
UNION ALL
SELECT 'index', 'index ' || n.nspname || '.' || c.relname, r.oid, rn.nspname, r.relname,
       format('SELECT 0 * count(ROW(%s)) FROM ', coalesce(pg_get_expr(i.indexprs, i.indrelid), 'NULL')),
       format(' WHERE %s', coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'))
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class r ON r.oid = i.indrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE i.indisvalid AND ('pg_class'::regclass, c.oid) IN (TABLE called)
UNION ALL
SELECT 'materialized view', 'materialized view ' || n.nspname || '.' || c.relname, c.oid, n.nspname, c.relname,
       format('SELECT 0 * count(first) FROM (SELECT * FROM (%s) definition LIMIT 1) first',
              rtrim(pg_get_viewdef(c.oid), ';')), NULL
FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class AND c.relkind = 'm' AND c.relispopulated
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ('pg_rewrite'::regclass, w.oid) IN (TABLE called)
ORDER BY 2
"""

# What a function has read stays locked until the transaction ends.
_READ: t.Final = """
SELECT DISTINCT n.nspname::text, c.relname::text
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p') AND c.oid >= 16384
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_'
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.oid <> %s
ORDER BY 1, 2
"""


@dataclasses.dataclass(frozen=True)
class Expression:
    """An expression, what it belongs to as people say it, and the parts of a query before and after its rows."""

    kind: Kind
    name: str
    number: int
    schema: str
    table: str
    before: str
    #: None of a materialized view, whose query is whole
    after: str | None

    @property
    def is_loaded(self) -> bool:
        """Whether it is evaluated as rows are loaded."""
        return self.kind not in ("index", "materialized view")

    def query(self, limit: int | None = None) -> sql.Composed:
        """Return the query for the number of rows that do not agree, of all or of so many."""
        if self.after is None:
            return sql.Composed([_plain(self.before)])
        table = sql.SQL("ONLY {}").format(sql.Identifier(self.schema, self.table))
        if limit is not None:
            table = sql.SQL("(SELECT * FROM {} LIMIT {}) {}").format(table, limit, sql.Identifier(self.table))
        return sql.Composed([_plain(self.before), table, _plain(self.after)])


def list_expressions(session: Session, *, every: bool = False) -> list[Expression]:
    """Return the expressions that call what users can replace, or that may yield something else each time, by name.

    :param every: to return all others as well
    """
    called = _EVERY if every else _CALLING
    return [Expression(*row) for row in session.execute(f"WITH called AS ({called}) {_EXPRESSIONS}").fetchall()]


def read_by(session: Session, expression: Expression) -> list[Name]:
    """Return the other tables that the transaction has read by now."""
    return session.execute(_READ, (expression.number,)).fetchall()


def find_reads(snapshot: Snapshot, search_path: str) -> dict[Name, tuple[Name, ...]]:
    """Return, of each table, the others that functions read which its expressions call; told by some of its rows.

    What fails is passed over: preflight tells it.

    :param search_path: the one under which rows are loaded
    """
    expressions = [expression for expression in list_expressions(snapshot.session) if expression.after is not None]
    if not expressions:
        return {}
    found: dict[Name, set[Name]] = {}
    # The snapshot's own session may hold every table.
    with snapshot.another_session() as session:
        for expression in expressions:
            with contextlib.suppress(psycopg.Error), session.transaction(force_rollback=True):
                use_search_path(session, search_path)
                session.execute(expression.query(_SOME_ROWS))
                found.setdefault((expression.schema, expression.table), set()).update(read_by(session, expression))
    return {table: tuple(sorted(read)) for table, read in found.items() if read}


def _plain(text: str) -> sql.SQL:
    return sql.SQL(text)
