# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions that call the user's functions, evaluated on the source as the target will evaluate them.

The server trusts that they still give what they gave when a row was stored. Whether they do, nothing else tells: a
function may have been replaced since, may read other tables, or may need a search_path.
"""

from __future__ import annotations

import contextlib
import typing as t

import psycopg

from ...catalog.database import DatabaseProperties
from ...catalog.search_path import SAFE_SEARCH_PATH, SAFE_SINCE
from ...errors import describe
from ...server.endpoint import Session, use_search_path
from ...verdict.findings import Finding

# Functions of extensions are not the user's to replace.
_CALLED: t.Final = """
WITH called AS (
    SELECT d.classid, d.objid FROM pg_depend d
    WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid >= 16384 AND NOT EXISTS (
        SELECT FROM pg_depend e WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e')
)
"""

# Each query evaluates its expression for every row, and counts the rows that do not agree with it; a materialized view
# may be dear, and one whose function fails mostly does so for the first row. record_image_ne compares bit by bit (docs:
# 9.25.6 Composite Type Comparison).
_EXPRESSIONS: t.Final = f"""{_CALLED}
SELECT 'check', 'check constraint ' || n.nspname || '.' || c.relname || ' ' || k.conname, c.oid,
       format('SELECT count(*) FROM ONLY %I.%I WHERE NOT (%s)', n.nspname, c.relname,
              pg_get_expr(k.conbin, k.conrelid))
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid AND c.relkind = 'r'
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'c' AND k.convalidated AND ('pg_constraint'::regclass, k.oid) IN (TABLE called)
UNION ALL
SELECT 'generated', 'column ' || n.nspname || '.' || c.relname || '.' || a.attname, c.oid,
       format('SELECT count(*) FROM ONLY %I.%I WHERE record_image_ne(ROW(%I), ROW((%s)::%s))', n.nspname, c.relname,
              a.attname, pg_get_expr(x.adbin, x.adrelid), format_type(a.atttypid, a.atttypmod))
FROM pg_attrdef x
JOIN pg_attribute a ON a.attrelid = x.adrelid AND a.attnum = x.adnum AND a.attgenerated = 's'
JOIN pg_class c ON c.oid = x.adrelid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ('pg_attrdef'::regclass, x.oid) IN (TABLE called)
UNION ALL
SELECT 'domain', 'column ' || n.nspname || '.' || c.relname || '.' || a.attname, c.oid,
       format('SELECT 0 * count((%I::%s)::%s) FROM ONLY %I.%I', a.attname, format_type(y.typbasetype, y.typtypmod),
              format_type(y.oid, NULL), n.nspname, c.relname)
FROM pg_type y JOIN pg_attribute a ON a.atttypid = y.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = y.oid AND k.convalidated
              AND ('pg_constraint'::regclass, k.oid) IN (TABLE called))
UNION ALL
SELECT 'index', 'index ' || n.nspname || '.' || c.relname, r.oid,
       format('SELECT 0 * count(ROW(%s)) FROM ONLY %I.%I WHERE %s',
              coalesce(pg_get_expr(i.indexprs, i.indrelid), 'NULL'), rn.nspname, r.relname,
              coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'))
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class r ON r.oid = i.indrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE i.indisvalid AND ('pg_class'::regclass, c.oid) IN (TABLE called)
UNION ALL
SELECT 'materialized view', 'materialized view ' || n.nspname || '.' || c.relname, c.oid,
       format('SELECT 0 * count(first) FROM (SELECT * FROM (%s) definition LIMIT 1) first',
              rtrim(pg_get_viewdef(c.oid), ';'))
FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class AND c.relkind = 'm' AND c.relispopulated
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ('pg_rewrite'::regclass, w.oid) IN (TABLE called)
ORDER BY 2
"""

# What a function has read stays locked until the transaction ends.
_READ: t.Final = """
SELECT DISTINCT n.nspname || '.' || c.relname
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p') AND c.oid >= 16384
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_'
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.oid <> %s
ORDER BY 1
"""

#: Such a function cannot be tried on the source, which says nothing of the target: there the user owns it, and writes.
_UNTRIED: t.Final = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)


def check_expressions(session: Session, source: DatabaseProperties, target_major: int | None) -> list[Finding]:
    """Return the expressions that the source's rows do not agree with, or that the target could not evaluate.

    Rows are loaded under the database's own search_path, the rest is made under the one that serves.

    :param session: of the source, which is left as it was
    :param target_major: the target's major version; None if it takes no part
    """
    findings = []
    for kind, name, table, query in session.execute(_EXPRESSIONS).fetchall():
        loaded = kind not in ("index", "materialized view")
        safe = not loaded and (target_major or 0) >= SAFE_SINCE
        with contextlib.suppress(psycopg.Rollback), session.transaction():
            use_search_path(session, source.search_path if loaded else source.serving_path)
            findings += _try_expression(session, kind, name, table, query, safe)
            raise psycopg.Rollback
    return findings


def _try_expression(session: Session, kind: str, name: str, table: int, query: str, safe: bool) -> list[Finding]:
    try:
        row = _evaluate_safely(session, query) if safe else session.execute(query.encode()).fetchone()
    except _UNTRIED:
        return []
    except psycopg.Error as error:
        return [
            Finding(
                "error",
                "expression",
                name,
                f"a function that it calls fails for the source's rows, as it would on the target: {describe(error)}.",
                "Mend the function on the source. If it needs a search_path: ALTER FUNCTION ... SET search_path = ...;",
            )
        ]
    findings = []
    if row and row[0]:
        what = "break it" if kind == "check" else "hold another value than it yields now"
        findings.append(
            Finding(
                "error",
                "expression-rows",
                name,
                f"{row[0]:,} rows {what}, as if a function that it calls was replaced: the target would not keep them.",
                "Mend the rows or the function on the source.",
            )
        )
    read = [other for (other,) in session.execute(_READ, (table,)).fetchall()]
    if read and kind != "materialized view":
        findings.append(
            Finding(
                "warning",
                "expression-reads",
                name,
                f"a function that it calls reads {', '.join(read)}, whose rows may not be there yet when the target "
                "calls it.",
                "The run fails then, with the live database untouched. Make it a trigger on the source.",
            )
        )
    return findings


def _evaluate_safely(session: Session, query: str) -> tuple[t.Any, ...] | None:
    """Return what a query yields under the path that a server from 17 on gives to what it builds itself.

    The server has parsed the expression long ago, and may have found operators that no path leads to and no wording can
    name. Where our wording is what fails, and no function, it is read under the session's path and run under that one.
    """
    try:
        with session.transaction():
            use_search_path(session, SAFE_SEARCH_PATH)
            return session.execute(query.encode()).fetchone()
    except psycopg.errors.UndefinedFunction as error:
        if error.diag.context:
            raise
    session.execute(f"DECLARE pgconvoy_expression CURSOR FOR {query}".encode())
    use_search_path(session, SAFE_SEARCH_PATH)
    return session.execute("FETCH pgconvoy_expression").fetchone()
