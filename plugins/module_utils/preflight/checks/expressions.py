# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions that call the user's functions, evaluated on the source as the target will evaluate them.

The server trusts that they still give what they gave when a row was stored. Whether they do, nothing else tells: a
function may have been replaced since, may read other tables, ask for the time, or need a search_path.
"""

from __future__ import annotations

import contextlib
import typing as t

import psycopg
from psycopg import sql

from ...catalog.database import DatabaseProperties
from ...catalog.expressions import Expression, Kind, list_expressions, read_by
from ...catalog.in_force import use_settings
from ...catalog.search_path import SAFE_SEARCH_PATH, SAFE_SINCE
from ...errors import describe
from ...server.endpoint import Session, set_search_path, use_search_path
from ...verdict.findings import Finding

#: Such a function cannot be tried on the source, which says nothing of the target: there the user owns it, and writes.
_UNTRIED: t.Final = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)


#: What rows do that do not agree with an expression of a kind; others yield a value.
_WRONG: t.Final[dict[Kind, str]] = {"check": "break it", "partition": "lie outside of its bounds"}


def check_expressions(session: Session, source: DatabaseProperties, target_major: int | None) -> list[Finding]:
    """Return the expressions that the source's rows do not agree with, or that the target could not evaluate.

    All of it is loaded and made under the search_path that serves, and under the settings that a session of the source
    begins with.

    :param session: of the source, which is left as it was
    :param target_major: the target's major version; None if it takes no part
    """
    findings = []
    for expression in list_expressions(session):
        safe = not expression.is_loaded and (target_major or 0) >= SAFE_SINCE
        with contextlib.suppress(psycopg.Rollback), session.transaction():
            use_settings(session, source.begun_with, set_search_path(source.serving_path))
            findings += _try_expression(session, expression, safe)
            raise psycopg.Rollback
    return findings


def _try_expression(session: Session, expression: Expression, safe: bool) -> list[Finding]:
    name, query = expression.name, expression.query()
    try:
        row = _evaluate_safely(session, query) if safe else session.execute(query).fetchone()
    except _UNTRIED:
        return []
    except psycopg.Error as error:
        said = describe(error, over_rows=True)
        return [
            Finding(
                "error",
                "expression",
                name,
                f"a function that it calls fails for the source's rows, as it would on the target: {said}.",
                "Mend the function on the source. If it needs a search_path: ALTER FUNCTION ... SET search_path = ...;",
            )
        ]
    findings = []
    if row and row[0]:
        what = _WRONG.get(expression.kind, "hold another value than it yields now")
        findings.append(
            Finding(
                "error",
                "expression-rows",
                name,
                f"{row[0]:,} rows {what}, as if what it calls was replaced or altered since, or asks for the time: the "
                "target would not keep them.",
                "Mend the rows, or what it calls, on the source.",
            )
        )
    read = [".".join(table) for table in read_by(session, expression)]
    if read and expression.kind != "materialized view":
        findings.append(
            Finding(
                "notice",
                "expression-reads",
                name,
                f"a function that it calls reads {', '.join(read)}, whose rows are loaded first. Where they need "
                "each other, they may not be there yet when it is called.",
                "The run fails then, with the live database untouched. Make it a trigger on the source.",
            )
        )
    return findings


def _evaluate_safely(session: Session, query: sql.Composed) -> tuple[t.Any, ...] | None:
    """Return what a query yields under the path that a server from 17 on gives to what it builds itself.

    The server has parsed the expression long ago, and may have found operators that no path leads to and no wording can
    name. Where our wording is what fails, and no function, it is read under the session's path and run under that one.
    """
    try:
        with session.transaction():
            use_search_path(session, SAFE_SEARCH_PATH)
            return session.execute(query).fetchone()
    except psycopg.errors.UndefinedFunction as error:
        if error.diag.context:
            raise
    session.execute(sql.SQL("DECLARE pgconvoy_expression CURSOR FOR {}").format(query))
    use_search_path(session, SAFE_SEARCH_PATH)
    return session.execute("FETCH pgconvoy_expression").fetchone()
