# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns that the target's server takes for NOT NULL and that may be NULL on the source.

Servers from 18 on hand a parent's NOT NULL down to its heirs; before, an heir could do without it, though no dump says
so.
"""

from __future__ import annotations

import typing as t

from psycopg import sql

from ...server.endpoint import Session
from ...verdict.findings import Finding

# Unqualified names are pg_catalog's: the session's search_path is empty.
_COLUMNS: t.Final = """
SELECT n.nspname, c.relname, a.attname
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' AND c.relpersistence <> 't'
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_'
WHERE c.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull = {not_null}
"""


def check_nulls(source: Session, made: Session) -> list[Finding]:
    """Return the columns whose NULLs the target would refuse, also where there are none yet.

    :param made: a session of a database in which the source's schema was made
    """
    nullable, strict = (
        set(session.execute(_COLUMNS.replace("{not_null}", value).encode()).fetchall())
        for session, value in ((source, "false"), (made, "true"))
    )
    findings = []
    for schema, table, column in sorted(nullable & strict):
        query = sql.SQL("SELECT count(*) FROM ONLY {} WHERE {} IS NULL")
        row = source.execute(query.format(sql.Identifier(schema, table), sql.Identifier(column))).fetchone()
        if row and row[0]:
            findings.append(
                Finding(
                    "error",
                    "null-rows",
                    f"column {schema}.{table}.{column}",
                    f"{row[0]:,} rows hold NULL in it, and the target's server takes it for NOT NULL, as it is in the "
                    "table that it inherits from.",
                    "Fill these rows on the source, or ALTER TABLE ... ALTER COLUMN ... DROP NOT NULL of that table.",
                )
            )
        else:
            findings.append(
                Finding(
                    "warning",
                    "null-rows",
                    f"column {schema}.{table}.{column}",
                    "no row holds NULL in it, and in the copy none can: the target's server takes it for NOT NULL, as "
                    "it is in the table that it inherits from.",
                    "ALTER TABLE ... ALTER COLUMN ... DROP NOT NULL of that table, if rows are to come that do.",
                )
            )
    return findings
