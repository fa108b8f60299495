# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the databases can be exchanged: what would keep the server from renaming or dropping one."""

from __future__ import annotations

import typing as t

from ...catalog.database import DatabaseProperties
from ...errors import MigrationError
from ...server.endpoint import Endpoint, Session
from ...staging.databases import database_exists
from ...staging.names import MOST_KEPT, Generations
from ...staging.proof import read_through
from ...verdict.findings import Finding
from .carrying import check_carrying_over
from .live import check_clients


def check_exchange(
    session: Session,
    target: Endpoint,
    rollback: bool,
    source: DatabaseProperties | None = None,
    allowed: t.Mapping[str, str] | None = None,
    may_disconnect: bool = False,
) -> list[Finding]:
    """Return what stands in the way of a switch, or of a rollback, on the target's server.

    :param session: one outside the live database, which is left as it was
    :param source: what the copy is made of, of a switch
    :param allowed: reasons for differences that are allowed, by object
    """
    generations = Generations(target.dbname)
    names = [generations.live, *generations.kept(MOST_KEPT), generations.staging, generations.discarded]
    findings = [
        *_check_slots(session, generations, names),
        *_check_prepared(session, names),
        *_check_owners(session, generations),
        *_check_kept_clients(session, generations, may_disconnect),
    ]
    if source and not rollback:
        findings += check_carrying_over(session, target.dbname, source, allowed or {})
    if rollback and database_exists(session, generations.previous):
        findings += _check_previous(target.at(generations.previous))
    return findings


def _check_kept_clients(session: Session, generations: Generations, may_disconnect: bool) -> list[Finding]:
    """A switch moves the kept databases up, and cannot while somebody is in one; which ones, keep_previous says."""
    findings: list[Finding] = []
    for name in generations.kept(MOST_KEPT):
        if not database_exists(session, name):
            break
        findings += check_clients(session, name, may_disconnect)
    return findings


def _check_slots(session: Session, generations: Generations, names: list[str]) -> list[Finding]:
    """A slot goes with its database, whatever that is called. One in use keeps the server from both (dbcommands.c)."""
    rows = session.execute(
        "SELECT slot_name, database, active FROM pg_catalog.pg_replication_slots"
        " WHERE database = ANY(%s) AND NOT temporary AND (active OR database = %s) ORDER BY 1",
        (names, generations.live),
    ).fetchall()
    return [
        Finding(
            "error",
            "replication-slot",
            f"replication slot {slot}",
            f'it is of the database "{database}", '
            + ("is in use, and keeps it from being renamed." if active else "and would stay with it after the switch."),
            "Stop what reads from it, and drop it on the target; make it again when the run has ended.",
        )
        for slot, database, active in rows
    ]


def _check_prepared(session: Session, names: list[str]) -> list[Finding]:
    """A prepared transaction counts as a session that never ends (CountOtherDBBackends in procarray.c)."""
    rows = session.execute(
        "SELECT gid, database, owner FROM pg_catalog.pg_prepared_xacts WHERE database = ANY(%s) ORDER BY 1", (names,)
    ).fetchall()
    return [
        Finding(
            "error",
            "prepared-transaction",
            f"prepared transaction {gid!r}",
            f'{owner} has left it in the database "{database}", and it keeps that from being renamed.',
            "End it there by COMMIT PREPARED or ROLLBACK PREPARED.",
        )
        for gid, database, owner in rows
    ]


def _check_owners(session: Session, generations: Generations) -> list[Finding]:
    """Of the live database, the examination of the target tells."""
    rows: list[tuple[t.Any, ...]] = session.execute(
        "SELECT datname, pg_catalog.pg_get_userbyid(datdba) FROM pg_catalog.pg_database"
        " WHERE datname = ANY(%s) AND NOT pg_catalog.pg_has_role(datdba, 'USAGE') ORDER BY 1",
        ([*generations.kept(MOST_KEPT), generations.staging, generations.discarded],),
    ).fetchall()
    user = session.info.user
    return [
        Finding(
            "error",
            "not-owner",
            f'database "{name}"',
            f"it belongs to {owner}, and {user} may neither rename nor drop it.",
            f"Use {owner} as target_user, make {user} a member of that role, or drop the database.",
        )
        for name, owner in rows
    ]


def _check_previous(previous: Endpoint) -> list[Finding]:
    """See what a rollback would prove of the previous database, before it."""
    name = f'database "{previous.dbname}"'
    try:
        found = read_through(previous)
    except MigrationError as error:
        return [Finding("error", "previous-unusable", name, f"it cannot be used: {error}", "Mend it, or drop it.")]
    message = f"it is to be live again: {found}."
    return [Finding("notice", "previous-found", name, message)]
