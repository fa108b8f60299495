# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the checks ask a server."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ...errors import summarize
from ...server.batches import find_refusal
from ...server.endpoint import Session
from ...server.inquiry import Inquiry, answer
from ...verdict.findings import Finding, Severity


class Check(t.NamedTuple):
    """A query for objects, one a row; each is a finding."""

    severity: Severity
    code: str
    query: t.LiteralString
    message: str
    remedy: str


# Unqualified names are pg_catalog's: the session's search_path is empty. What an extension brings it also owns.
#: What the user has made, of those that pg_class lists.
RELATIONS: t.Final = """
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""


def run_checks(session: Session, checks: t.Sequence[Check]) -> list[Finding]:
    """Return the findings of all checks, in their order; the server is asked once."""
    return answer(session, ask_checks(checks))


def ask_checks(checks: t.Sequence[Check]) -> Inquiry[list[Finding]]:
    """Ask for the findings of all checks, in their order."""
    queries = (f"SELECT {number}, object FROM ({check.query}) c(object)" for number, check in enumerate(checks))
    (rows,) = yield [f"{' UNION ALL '.join(queries)} ORDER BY 1, 2".encode()]
    return [Finding(c.severity, c.code, name, c.message, c.remedy) for i, name in rows for c in [checks[i]]]


def is_true(session: Session, query: t.LiteralString) -> bool:
    """Return the answer to a question."""
    row = session.execute(query).fetchone()
    return bool(row and row[0])


def is_superuser(session: Session) -> bool:
    """Return whether the session's user is one."""
    return is_true(session, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")


def refusal_of(session: Session, statement: sql.SQL | sql.Composed) -> str | None:
    """Run a statement, undo it, and return the server's refusal if there was one."""
    refusal = find_refusal(session, statement)
    return summarize(refusal) if refusal else None
