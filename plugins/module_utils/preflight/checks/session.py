# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a session is one: what is set in it stays, and a second one can join its snapshot."""

from __future__ import annotations

import contextlib
import secrets
import typing as t

import psycopg

from ...catalog.snapshot import export_snapshot
from ...errors import MigrationError, describe
from ...server.endpoint import Endpoint, Session, connect
from ...verdict.findings import Finding


def check_session(endpoint: Endpoint, session: Session) -> list[Finding]:
    """Return what a pooler or a load balancer on the way does to sessions.

    :param endpoint: where the session is, in autocommit mode; it is left as it was
    """
    try:
        with contextlib.closing(connect(endpoint)) as other:
            findings = _check_steadiness(endpoint, session, other) or _check_snapshot(endpoint, session, other)
    except MigrationError as error:
        # This is the second session, and the run needs more of them.
        findings = [Finding("error", "no-connection", endpoint.side, str(error))]
    return findings


#: A pooler mostly hands out the process that came back last, or else each in turn.
_TIMES_ASKED: t.Final = 2


def _check_steadiness(endpoint: Endpoint, session: Session, other: Session) -> list[Finding]:
    """Look whether each session has a server process of its own, in which a setting stays."""
    mark = secrets.token_hex(8)
    row = session.execute("SELECT pg_backend_pid(), set_config('pgconvoy.mark', %s, false)", (mark,)).fetchone()
    query = "SELECT pg_backend_pid(), current_setting('pgconvoy.mark', true)"
    steady = all(session.execute(query).fetchone() == row for _ in range(_TIMES_ASKED))
    steady = steady and other.execute(query).fetchone() != row
    session.execute("RESET pgconvoy.mark")
    if steady:
        return []
    return [
        Finding(
            "error",
            "pooler",
            f"{endpoint.side} at {endpoint.host}:{endpoint.port}",
            "a pooler is in between that gives each transaction another server process: what is set for a session does "
            "not stay set, so that values might be read in another form and no snapshot be shared.",
            f"Name the server itself in {endpoint.side}_host and {endpoint.side}_port, or a pooler's port that pools "
            "by session. At Railway, whose PgBouncer takes over DATABASE_URL and DATABASE_PUBLIC_URL, these are those "
            "of DATABASE_PUBLIC_UNPOOLED_URL.",
        )
    ]


def _check_snapshot(endpoint: Endpoint, session: Session, other: Session) -> list[Finding]:
    try:
        with export_snapshot(endpoint, session) as snapshot:
            other.execute(snapshot.import_statements)
    except psycopg.Error as error:
        return [
            Finding(
                "error",
                "snapshot",
                f"{endpoint.side} at {endpoint.host}:{endpoint.port}",
                "a session cannot join the snapshot of another one, as if they were not on the same server: "
                f"{describe(error)}.",
                f"Name one server in {endpoint.side}_host, and no load balancer.",
            )
        ]
    return []
