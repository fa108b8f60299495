# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the source can be frozen at the end of a run, so that its clients need not stop before."""

from __future__ import annotations

import typing as t

from ...server.endpoint import Session
from ...verdict.findings import Finding
from ..goals import LoadMode
from .check import is_true

# Who may change all rows of a table may lock it, too (docs: LOCK, Notes); MAINTAIN is known from 17 on.
_NOT_LOCKABLE: t.Final = """
SELECT n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (NOT EXISTS (SELECT FROM pg_depend d
                   WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
       OR c.oid IN (SELECT unnest(extconfig) FROM pg_extension))
  AND NOT has_table_privilege(c.oid, CASE WHEN current_setting('server_version_num')::int < 170000
                                          THEN 'UPDATE, DELETE, TRUNCATE' ELSE 'UPDATE, DELETE, TRUNCATE, MAINTAIN' END)
ORDER BY 1
"""


#: The goals of runs that bring something, or keep it for that, and freeze nothing; and how their playbooks are called.
_NEVER_FREEZE: t.Final = {"dump": "dump.yml", "restore": "restore.yml", "repair": "repair.yml"}


def check_goal(goal: str) -> list[Finding]:
    """Return what a run that is no migration says to who wants short downtime; one that brings nothing, nothing."""
    if goal == "rehearse":
        message = (
            "nothing is frozen here: nobody waits, and what is written to the source from the dump on is not brought. "
            "Whether the source could be frozen was looked at."
        )
        return [Finding("notice", "downtime", "downtime short", message)]
    if goal not in _NEVER_FREEZE:
        return []
    return [
        Finding(
            "error",
            "downtime",
            "downtime short",
            f"{_NEVER_FREEZE[goal]} freezes nothing: what is written to the source from its snapshot on would not "
            "arrive.",
            "Run migrate.yml for it; or stop the source's writers, and say -e downtime=full.",
        )
    ]


def check_load_mode(load_mode: LoadMode | None) -> list[Finding]:
    """Return whether the copy is one that nobody uses yet; in another there is no time to bring something."""
    if load_mode in (None, "swap"):
        return []
    return [
        Finding(
            "error",
            "downtime",
            "downtime short",
            f"a copy must be built beside the live database for it, and load_mode is {load_mode} here.",
            "Let the target's user create databases and rename the live one, with load_mode auto or swap; or leave out "
            "downtime, and stop the source's writers before the run.",
        )
    ]


def check_freeze(session: Session) -> list[Finding]:
    """Return why the source cannot be frozen."""
    if is_true(session, "SELECT pg_is_in_recovery()"):
        return [
            Finding(
                "error",
                "freeze",
                "source server",
                "it is a replica, and the writers of its primary cannot be kept out from here.",
                "Use the primary as the source; or leave out downtime, and stop the writers before the run.",
            )
        ]
    user = session.info.user
    return [
        Finding(
            "error",
            "freeze",
            f"table {name}",
            f"{user} may not lock it on the source, so that writers could not be kept out of it with downtime short.",
            f"GRANT UPDATE on it to {user} (no row is changed), or from PostgreSQL 17 on GRANT MAINTAIN; or use its "
            "owner as source_user.",
        )
        for (name,) in session.execute(_NOT_LOCKABLE)
    ]
