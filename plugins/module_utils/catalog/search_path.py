# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search_path that serves: under it a database's own expressions mean what they mean there.

pg_dump qualifies all names but the operators of IS [NOT] DISTINCT FROM, NULLIF, CASE x WHEN, IN (SELECT ...), row
comparisons and JOIN ... USING, for which SQL has no way to say OPERATOR(schema.=) (get_rule_expr in ruleutils.c). And
even a table that is merely read is planned, by which SQL functions in expressions of its indexes and statistics are
inlined: their bodies are read under the search_path of the session (get_relation_info in plancat.c).
"""

from __future__ import annotations

import typing as t

from psycopg import sql

from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer

#: From 17 on, indexes are built and materialized views refreshed under this one (RestrictSearchPath in guc.c).
SAFE_SEARCH_PATH: t.Final = "pg_catalog, pg_temp"
SAFE_SINCE: t.Final = 17

# Where the operators are that rules, constraints, indexes, triggers, policies, defaults and so on depend on. What
# operators and their classes depend on among themselves is always said with the schema.
_OPERATORS: t.Final = """
SELECT nspname::text FROM pg_catalog.pg_namespace WHERE oid IN (
    SELECT o.oprnamespace FROM pg_catalog.pg_operator o
    WHERE o.oid >= 16384 AND EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.refclassid = o.tableoid AND d.refobjid = o.oid
          AND d.classid NOT IN (o.tableoid, 'pg_catalog.pg_amop'::pg_catalog.regclass)))
ORDER BY 1
"""

# Under the setting to which RESET leads: the database's own, or the role's in it. What travels behind this question is
# not asked under that path: each subquery needs what the one before it yields, so that the last one leads back.
_OWN_SCHEMAS: t.Final = """
SELECT own.schemas, back.path FROM pg_catalog.pg_settings s,
    LATERAL (SELECT pg_catalog.set_config('search_path', s.reset_val, true) AS path OFFSET 0) there,
    LATERAL (SELECT pg_catalog.current_schemas(there.path IS NOT NULL)::pg_catalog.text[] AS schemas OFFSET 0) own,
    LATERAL (SELECT pg_catalog.set_config('search_path', s.setting, own.schemas IS NOT NULL) AS path OFFSET 0) back
WHERE s.name = 'search_path'
"""


def ask_serving_path() -> Inquiry[str]:
    """Ask for the path that serves the database that the session is in, as a value of search_path.

    pg_catalog comes first, so that nobody's now() takes the place of the server's own; then the schemas of the
    database's own path, as the session's role finds them ("$user" is nobody's elsewhere); then those of other operators
    that its objects use. The session's search_path must be one that SET has pinned, and stays so:
    what others ask with the same message is asked under it, too.
    """
    ((own, _),), operators = yield [_OWN_SCHEMAS, _OPERATORS]
    # A schema for temporary objects is a session's alone.
    schemas = [schema for schema in [*own, *(name for (name,) in operators)] if not schema.startswith("pg_temp_")]
    return ", ".join(sql.Identifier(schema).as_string() for schema in dict.fromkeys(["pg_catalog", *schemas]))


def read_serving_path(session: Session) -> str:
    """Return the path that serves the database that the session is in; see `ask_serving_path`."""
    return answer(session, ask_serving_path())
