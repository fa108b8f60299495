# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the databases can be exchanged: what would keep the server from renaming or dropping one."""

from __future__ import annotations

from psycopg import sql

from ...errors import MigrationError
from ...server.endpoint import Endpoint, Session
from ...server.inquiry import Inquiry, together
from ...staging.databases import database_exists
from ...staging.names import MOST_KEPT, Generations
from ...staging.proof import read_through
from ...verdict.findings import Finding
from .live import ask_clients


def ask_exchange(target: Endpoint, user: str, may_disconnect: bool = False) -> Inquiry[list[Finding]]:
    """Ask, outside the live database, what stands in the way of a switch or a rollback on the target's server."""
    generations = Generations(target.dbname)
    names = [generations.live, *generations.kept(MOST_KEPT), generations.staging, generations.discarded]
    kept = [ask_clients(name, may_disconnect) for name in generations.kept(MOST_KEPT)]
    others = [_ask_slots(generations, names), _ask_prepared(names), _ask_owners(generations, user)]
    return [finding for found in (yield from together(*others, *kept)) for finding in found]


def _ask_slots(generations: Generations, names: list[str]) -> Inquiry[list[Finding]]:
    """A slot goes with its database, whatever that is called. One in use keeps the server from both (dbcommands.c)."""
    query = sql.SQL(
        "SELECT slot_name, database, active FROM pg_catalog.pg_replication_slots"
        " WHERE database = ANY({}) AND NOT temporary AND (active OR database = {}) ORDER BY 1"
    )
    (rows,) = yield [query.format(names, generations.live)]
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


def _ask_prepared(names: list[str]) -> Inquiry[list[Finding]]:
    """A prepared transaction counts as a session that never ends (CountOtherDBBackends in procarray.c)."""
    query = sql.SQL("SELECT gid, database, owner FROM pg_catalog.pg_prepared_xacts WHERE database = ANY({}) ORDER BY 1")
    (rows,) = yield [query.format(names)]
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


def _ask_owners(generations: Generations, user: str) -> Inquiry[list[Finding]]:
    """Of the live database, the examination of the target tells."""
    query = sql.SQL(
        "SELECT datname, pg_catalog.pg_get_userbyid(datdba) FROM pg_catalog.pg_database"
        " WHERE datname = ANY({}) AND NOT pg_catalog.pg_has_role(datdba, 'USAGE') ORDER BY 1"
    )
    (rows,) = yield [query.format([*generations.kept(MOST_KEPT), generations.staging, generations.discarded])]
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


def check_previous(session: Session, target: Endpoint) -> list[Finding]:
    """See what a rollback would prove of the previous database, before it."""
    previous = target.at(Generations(target.dbname).previous)
    if not database_exists(session, previous.dbname):
        return []
    name = f'database "{previous.dbname}"'
    try:
        found = read_through(previous)
    except MigrationError as error:
        return [Finding("error", "previous-unusable", name, f"it cannot be used: {error}", "Mend it, or drop it.")]
    message = f"it is to be live again: {found}."
    return [Finding("notice", "previous-found", name, message)]
