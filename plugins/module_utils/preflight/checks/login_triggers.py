# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event triggers at login: each session fires them, those of a run, too. Whether one writes, it is made to show."""

from __future__ import annotations

import typing as t

import psycopg

from ...server.endpoint import Session, connect_beside
from ...verdict.findings import Finding

# For whom else one writes, its text tells as far as anything does.
_FIRING: t.Final = r"""
SELECT 'event trigger ' || e.evtname,
       p.prosrc ~* '\m(insert|update|delete|merge|copy|nextval|setval|execute)\M'
FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid
WHERE e.evtevent = 'login' AND e.evtenabled IN ('O', 'A') ORDER BY 1
"""

_REMEDY: t.Final = "ALTER EVENT TRIGGER ... DISABLE on the source; enable it on both sides after the run."


def check_login_triggers(session: Session) -> list[Finding]:
    """Return the event triggers at login by which a session of a run writes, or may.

    :param session: of the source
    """
    firing = session.execute(_FIRING).fetchall()
    if not firing:
        return []
    # A pooler lets nobody begin with a setting; and who may not write makes no temporary table, which would do no harm.
    if not _refusal_of(session, "application_name=pgconvoy"):
        refusal = _refusal_of(session, "default_transaction_read_only=on")
        if not refusal:
            return [_tell(name) for name, seems_to in firing if seems_to]
        if "CREATE TABLE" not in refusal:
            suspects = [name for name, seems_to in firing if seems_to]
            return [_writing(name) for name in suspects or [name for name, _ in firing]]
    return [_writing(name) for name, seems_to in firing if seems_to]


def _refusal_of(session: Session, setting: str) -> str:
    """Return why no session that begins with a setting can be opened beside this one; nothing if it can."""
    try:
        connect_beside(session, options=f"-c {setting}").close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


def _tell(name: str) -> Finding:
    return Finding(
        "notice",
        "login-trigger",
        name,
        "it fires in each session of a run as well, on both sides. For the source user it writes nothing; if it does "
        "for the target user, the run fails, with the live database untouched.",
    )


def _writing(name: str) -> Finding:
    return Finding(
        "error",
        "login-trigger",
        name,
        "it fires in each session of a run as well, on both sides, and its function writes: the copy would never be "
        "what was dumped.",
        _REMEDY,
    )
