# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The claim: one run at a time on a target.

Stages are processes of their own, so another one, in the background, has the claim: a session advisory lock on the
target's server (docs: 9.28.10 Advisory Lock Functions). It ends when the run lets go, or when its ansible-playbook has
ended, however that came; a lock cannot outlive its session.
"""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError
from ..server.endpoint import Endpoint, Session, connect
from ..staging.databases import maintenance_session
from ..staging.locks import CLASS, key_of, lock_name, lock_statement
from .held_session import ALIVE_SECONDS, BackgroundSession, begin_to_hold

#: A run that ends just now may need that long until its server has noticed.
_WAIT: t.Final = "2s"

#: A server whose client has vanished may keep a lock for hours.
_SETTINGS: t.Final = {
    "lock_timeout": _WAIT,
    "tcp_keepalives_idle": str(ALIVE_SECONDS),
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


class TargetClaimedError(MigrationError):
    """Another run has the target; the message names it."""


def begin_to_claim(target: Endpoint, run_id: str, lock_file: pathlib.Path, playbook_pid: int) -> t.Callable[[], None]:
    """Claim the target for a run, until the process that has the claim, or ansible-playbook, has ended.

    Call it before anything is connected to a server. Return what waits until it is claimed, and raises
    TargetClaimedError when another run has it, MigrationError when the server cannot be asked.

    :param lock_file: of the process that has the claim
    :param playbook_pid: the process id of ansible-playbook
    """
    background = BackgroundSession("the claim on the target", target, lock_file, playbook_pid)
    hear = begin_to_hold(background, lambda stack: _open(stack, target, run_id))

    def claim() -> None:
        if claimed_by := hear():
            raise TargetClaimedError(claimed_by)

    return claim


def _open(stack: contextlib.ExitStack, target: Endpoint, run_id: str) -> tuple[Session | None, str]:
    """Enter the target's server and claim the target; return who has it instead, if anybody.

    A connection that breaks ends the claim. The run may go on, for its staging database bears its mark.
    """
    settings = {**_SETTINGS, "application_name": f"pgconvoy {run_id}"}
    with contextlib.suppress(psycopg.errors.LockNotAvailable):
        return _enter(stack, target, settings, lock_statement(target.dbname)), ""
    session = _enter(stack, target, settings)
    claimed_by = _claim(session, target.dbname)
    return (None if claimed_by else session), claimed_by


def _enter(
    stack: contextlib.ExitStack, target: Endpoint, settings: dict[str, str], first: sql.Composed | None = None
) -> Session:
    """Enter the maintenance database or, for a role that may not and so cannot make databases either, the live one.

    :param first: what is executed there first
    """
    try:
        return stack.enter_context(maintenance_session(target, settings, first))
    except MigrationError as refusal:
        try:
            return stack.enter_context(connect(target, settings, first))
        except MigrationError:
            raise refusal from None


def _claim(session: Session, dbname: str) -> str:
    """Take the lock; return who has it instead, if anybody."""
    while True:
        try:
            lock_name(session, dbname)
        except psycopg.errors.LockNotAvailable:
            # Nobody any more if it was let go just now.
            if claimed_by := _who_has(session, dbname):
                return claimed_by
        else:
            return ""


def _who_has(session: Session, dbname: str) -> str:
    """Return who has the lock. A role that is no superuser sees of another role's session no address and no time."""
    row = session.execute(
        "SELECT a.application_name, a.usename, pg_catalog.host(a.client_addr), a.pid,"
        " pg_catalog.to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS')"
        " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = %s AND l.objid = %s"
        " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())",
        (CLASS, key_of(dbname)),
    ).fetchone()
    if row is None:
        return ""
    application, role, address, pid, since = row
    place = f" from {address}" if address else ""
    begun = f", since {since} UTC" if since else ""
    return f"run {application.removeprefix('pgconvoy ')} of role {role}{place}{begun} (server process {pid})"
