# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the target's databases sort text as they did when they were made; an image of the same major may not."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ...server.inquiry import Inquiry
from ...verdict.findings import Finding

#: New databases are made of it, unless another one is named; and entering it is seldom forbidden.
_TEMPLATE: t.Final = "template1"
_QUERY: t.Final = """
SELECT datname, datcollversion, coalesce(pg_database_collation_actual_version(oid), 'none') FROM pg_database
WHERE datname IN ({}, {}) AND datcollversion <> coalesce(pg_database_collation_actual_version(oid), '') ORDER BY 1
"""


def ask_collation_versions(live: str) -> Inquiry[list[Finding]]:
    """Ask whether the live database and the template of new ones are of an older version of their collations."""
    (rows,) = yield [sql.SQL(_QUERY).format(live, _TEMPLATE)]
    return [_tell(name, f"({then} when it was made, {now} now)") for name, then, now in rows]


def _tell(name: str, versions: str) -> Finding:
    refresh = f'ALTER DATABASE "{name}" REFRESH COLLATION VERSION'
    object_ = f'target database "{name}" {versions}'
    if name == _TEMPLATE:
        message = "CREATE DATABASE fails there. A run names another template, and does not need this one; others do."
        return Finding("warning", "target-collation-version", object_, message, f"On the target: {refresh}.")
    message = (
        "text may sort otherwise than when its indexes were built, so that they miss rows. A copy that takes its place "
        "has new ones; where the database stays, or comes back by a rollback, they stay, too."
    )
    return Finding(
        "warning",
        "target-collation-version",
        object_,
        message,
        f'On the target: REINDEX DATABASE "{name}", then {refresh}.',
    )
