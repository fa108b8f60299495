# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a session is one: what is set in it stays, and a second one can join its snapshot."""

from __future__ import annotations

import contextlib
import secrets
import typing as t

import psycopg
from psycopg import sql

from ...catalog.snapshot import BEGIN, EXPORT, import_statements
from ...errors import MigrationError, describe
from ...server.batches import execute_together
from ...server.endpoint import Endpoint, Session
from ...verdict.findings import Finding


def check_session(endpoint: Endpoint, session: Session, second: t.Callable[[], Session]) -> list[Finding]:
    """Return what a pooler or a load balancer on the way does to sessions.

    :param endpoint: where the session is, in autocommit mode; it is left as it was
    :param second: gives another one, which is closed
    """
    with contextlib.ExitStack() as stack:
        findings, other = check_pair(endpoint, session, second)
        if other:
            stack.callback(other.session.close)
    return findings


class Other(t.NamedTuple):
    """The second session, and the server process that serves it."""

    session: Session
    pid: int


def check_pair(
    endpoint: Endpoint, session: Session, second: t.Callable[[], Session]
) -> tuple[list[Finding], Other | None]:
    """Do so, and return the second session, too, which is in a transaction to be left, if it could be opened."""
    try:
        other = second()
    except MigrationError as error:
        # The run needs more of them.
        return [Finding("error", "no-connection", endpoint.side, str(error))], None
    findings, pid = _check(endpoint, session, other)
    return findings, Other(other, pid)


_ASK: t.Final = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('pgconvoy.mark', true)"
_RESET: t.Final = "RESET pgconvoy.mark"
_WHO: t.Final = "SELECT session_user, current_user"


def _check(endpoint: Endpoint, session: Session, other: Session) -> tuple[list[Finding], int]:
    """Look whether each session has a server process of its own, in which a setting stays, and snapshots are shared.

    A pooler mostly hands out the process that came back last, or else each in turn. Return the other one's, too.
    """
    set_mark = sql.SQL("SELECT pg_catalog.pg_backend_pid(), pg_catalog.set_config('pgconvoy.mark', {}, false)")
    mine, ((user, role),) = execute_together(session, set_mark.format(secrets.token_hex(8)), _WHO)
    (asked,), (theirs,) = execute_together(session, _ASK), execute_together(other, _ASK)
    ((pid, _),) = theirs
    if not (asked == mine != theirs):
        session.execute(_RESET)
        return [_tell_pooler(endpoint)], pid
    try:
        # The first one joins, since that is left by the same message.
        *_, ((name,),) = execute_together(other, BEGIN, EXPORT)
        execute_together(session, import_statements(name), "ROLLBACK", _RESET)
    except psycopg.Error as error:
        session.rollback()
        return [_tell_snapshot(endpoint, error)], pid
    return [] if role == user else [_tell_role(endpoint, user, role)], pid


def _tell_pooler(endpoint: Endpoint) -> Finding:
    return Finding(
        "error",
        "pooler",
        f"{endpoint.side} at {endpoint.host}:{endpoint.port}",
        "a pooler is in between that gives each transaction another server process: what is set for a session does "
        "not stay set, so that values might be read in another form and no snapshot be shared.",
        f"Name the server itself in {endpoint.side}_host and {endpoint.side}_port, or a pooler's port that pools "
        "by session. At Railway, whose PgBouncer takes over DATABASE_URL and DATABASE_PUBLIC_URL, these are those "
        "of DATABASE_PUBLIC_UNPOOLED_URL.",
    )


def _tell_role(endpoint: Endpoint, user: str, role: str) -> Finding:
    return Finding(
        "notice",
        "own-role",
        f"role {user}",
        f"its sessions begin as {role}, by a setting of its own: the {endpoint.side} user has the rights of {role} and "
        "what it makes belongs to it.",
        f"Where rights are found lacking, GRANT them to {role}, or ALTER ROLE {user} RESET role.",
    )


def _tell_snapshot(endpoint: Endpoint, refusal: psycopg.Error) -> Finding:
    return Finding(
        "error",
        "snapshot",
        f"{endpoint.side} at {endpoint.host}:{endpoint.port}",
        "a session cannot join the snapshot of another one, as if they were not on the same server: "
        f"{describe(refusal)}.",
        f"Name one server in {endpoint.side}_host, and no load balancer.",
    )
