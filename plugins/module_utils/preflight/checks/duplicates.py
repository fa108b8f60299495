# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unique indexes over text that hold duplicates, as they may since the operating system sorts it otherwise."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg

from ...server.endpoint import Session, use_search_path
from ...verdict.findings import Finding

# One that treats NULLs as distinct says nothing of keys with a NULL in them. Where an index is wrong, only a table can
# be asked.
_UNIQUE: t.Final = """
SELECT 'index ' || n.nspname || '.' || c.relname,
       format('SELECT count(*) FROM (SELECT FROM ONLY %I.%I WHERE %s AND (%s) GROUP BY %s HAVING count(*) > 1) twice',
              rn.nspname, r.relname, coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'),
              CASE WHEN i.indnullsnotdistinct THEN 'true' ELSE keys.present END, keys.list)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_'
JOIN pg_class r ON r.oid = i.indrelid AND r.relpersistence <> 't'
JOIN pg_namespace rn ON rn.oid = r.relnamespace
CROSS JOIN LATERAL (
    SELECT string_agg(format('(%s)', pg_get_indexdef(c.oid, place, false)), ', ' ORDER BY place),
           string_agg(format('(%s) IS NOT NULL', pg_get_indexdef(c.oid, place, false)), ' AND ')
    FROM generate_series(1, i.indnkeyatts) place
) keys(list, present)
WHERE i.indisunique AND i.indisvalid AND c.oid >= 16384
  AND EXISTS (SELECT FROM unnest(i.indcollation) sorted WHERE sorted <> 0)
ORDER BY 1
"""


def check_duplicates(session: Session, search_path: str) -> list[Finding]:
    """Return the unique indexes that hold duplicates; each table is read as a whole.

    :param session: of the source, which is left as it was
    :param search_path: the one that serves it
    """
    findings = []
    with contextlib.suppress(psycopg.Rollback), session.transaction():
        for method in ("indexscan", "indexonlyscan", "bitmapscan"):
            session.execute(f"SET LOCAL enable_{method} = off".encode())
        indexes = session.execute(_UNIQUE).fetchall()
        use_search_path(session, search_path)
        for name, query in indexes:
            row = session.execute(query.encode()).fetchone()
            if row and row[0]:
                message = f"it is unique, and {row[0]:,} of its keys are in the table more than once."
                remedy = "Delete the rows that are too many on the source, then REINDEX."
                findings.append(Finding("error", "duplicates", name, message, remedy))
        raise psycopg.Rollback
    return findings
