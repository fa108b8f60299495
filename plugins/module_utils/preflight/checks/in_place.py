# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the live database can be cleared and filled in place, in one transaction."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ...catalog.database import DatabaseProperties, read_database
from ...catalog.locales import reword_locale
from ...catalog.requirements import Requirements
from ...in_place.clearing import Kept, list_objects_to_drop
from ...in_place.locks import MAY_LOCK
from ...server.endpoint import Session
from ...server.inquiry import Inquiry, answer, ask, together
from ...staging.properties import take_over
from ...verdict.databases import compare_databases
from ...verdict.findings import Finding
from .check import is_true
from .live import ask_connected, name_clients
from .room import ask_lock_table


def check_in_place(
    session: Session, source: DatabaseProperties, needs: Requirements, kept: Kept, allowed: t.Container[str]
) -> list[Finding]:
    """Return what stands in the way of clearing and filling the session's database.

    :param kept: what of it stays
    :param allowed: objects that may differ
    """
    live = read_database(session)
    subscriptions, locks, unlockable, clients = answer(
        session,
        together(
            ask_subscriptions(),
            ask_replacement_locks(needs),
            ask_unlockable(session),
            ask_clients_in_place(session.info.dbname),
        ),
    )
    return [
        *_check_locale(session, source, live, allowed),
        *_check_dropping(session, kept),
        *unlockable,
        *subscriptions,
        *_check_creating(session, source, live),
        *locks,
        *clients,
    ]


def _check_locale(
    session: Session, source: DatabaseProperties, live: DatabaseProperties, allowed: t.Container[str]
) -> list[Finding]:
    source = dataclasses.replace(source, locale=reword_locale(session, source.locale))
    return [
        Finding(
            "error",
            "locale",
            difference.object,
            f"{difference.message}; a database keeps its own for life, and would sort or hold text otherwise.",
            "Have the target's database made anew with the source's encoding and locale, or name this in "
            "allowed_differences with a reason.",
        )
        for difference in compare_databases(source, live, with_settings=False)
        if difference.object.startswith("database ") and difference.object not in allowed
    ]


#: Large objects of others, and whose they are: only who owns one may remove it.
FOREIGN_LARGE_OBJECTS: t.Final = """
SELECT 'large object ' || oid::text, pg_get_userbyid(lomowner) FROM pg_largeobject_metadata
WHERE NOT pg_has_role(lomowner, 'USAGE') ORDER BY oid
"""

#: How many objects are named.
_NAMED: t.Final = 5

_SUBSCRIPTIONS: t.Final = """
SELECT 'subscription ' || subname FROM pg_subscription
WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1
"""


def _check_dropping(session: Session, kept: Kept) -> list[Finding]:
    foreign: dict[str, list[str]] = collections.defaultdict(list)
    for doomed in list_objects_to_drop(session, kept):
        if not doomed.own:
            foreign[doomed.owner].append(str(doomed))
    for name, owner in session.execute(FOREIGN_LARGE_OBJECTS).fetchall():
        foreign[owner].append(name)
    return [
        Finding(
            "error",
            "not-owner",
            f"role {owner}",
            f"it owns {len(names):,} objects that {session.info.user} may not drop in the live database to make room: "
            + ", ".join(names[:_NAMED])
            + (", ..." if len(names) > _NAMED else "."),
            f"Use a superuser as target_user, or make {session.info.user} a member of {owner}.",
        )
        for owner, names in sorted(foreign.items())
    ]


# Who owns a schema may drop a table in it that is somebody else's (docs: DROP TABLE), but not lock it; nor may an owner
# who has taken that right from itself.
_UNLOCKABLE: t.Final = f"""
SELECT 'table ' || n.nspname || '.' || c.relname, pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (pg_has_role(n.nspowner, 'USAGE') OR pg_has_role(c.relowner, 'USAGE')) AND NOT {MAY_LOCK}
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1
"""


def ask_unlockable(session: Session) -> Inquiry[list[Finding]]:
    """Ask for the tables of the session's database that its user may drop or alter, but not lock."""
    user = session.info.user
    (rows,) = yield [_UNLOCKABLE]
    return [
        Finding(
            "error",
            "not-lockable",
            name,
            f"it belongs to {owner}, and {user} may alter or drop but not lock it: what clients write to it until then "
            "would be lost.",
            f"GRANT UPDATE on it to {user}" + ("." if is_own else f", or make {user} a member of {owner}."),
        )
        for name, owner, is_own in rows
    ]


def ask_subscriptions() -> Inquiry[list[Finding]]:
    """Ask for the subscriptions that write to the session's database."""
    (rows,) = yield [_SUBSCRIPTIONS]
    return [
        Finding(
            "error",
            "target-subscription",
            name,
            "it is in the live database, and its publisher would go on writing to the tables that are replaced.",
            "Drop it on the target first.",
        )
        for (name,) in rows
    ]


def _check_creating(session: Session, source: DatabaseProperties, live: DatabaseProperties) -> list[Finding]:
    """Return which rights lack to make what the source has."""
    user, name = session.info.user, f'database "{live.name}"'
    findings = []
    if not is_true(session, "SELECT has_database_privilege(current_database(), 'CREATE')"):
        findings.append(
            Finding(
                "error",
                "no-create",
                name,
                f"{user} may not create schemas in it.",
                f'GRANT CREATE ON DATABASE "{live.name}" TO "{user}"; on the target.',
            )
        )
    owner = is_true(session, "SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()")
    if (
        source.has_public
        and live.has_public
        and not is_true(session, "SELECT has_schema_privilege('public', 'CREATE')")
    ):
        findings.append(
            Finding(
                "error",
                "no-create",
                "schema public",
                f"{user} may not create anything in it.",
                f'GRANT CREATE ON SCHEMA public TO "{user}"; on the target.',
            )
        )
    if not owner and ((source.has_public and not live.has_public) or take_over(live, source)):
        findings.append(
            Finding(
                "error",
                "not-owner",
                name,
                f"{user} does not own it, and may not give it the source's settings, comment and schema public.",
                f"Use the database's owner as target_user, or make {user} a member of that role.",
            )
        )
    return findings


# What is dropped is locked, whatever it is (AcquireDeletionLock in dependency.c); of what is made, relations are.
_DROPPED: t.Final = """
SELECT (SELECT count(DISTINCT (classid, objid)) FROM pg_depend WHERE objid >= 16384)
       + (SELECT count(*) FROM pg_largeobject_metadata)
"""


def ask_replacement_locks(needs: Requirements) -> Inquiry[list[Finding]]:
    """Ask whether the server has too little room for the locks of dropping all that there is and making the rest."""
    (((dropped,),),), room = yield from together(ask(_DROPPED), ask_lock_table())
    wanted = dropped + needs.relations
    if wanted <= room:
        return []
    return [
        Finding(
            "error",
            "locks",
            "target server",
            f"one transaction would lock about {wanted:,} objects, and the server has room for {room:,} locks.",
            "Raise max_locks_per_transaction on the target and restart it.",
        )
    ]


def ask_clients_in_place(dbname: str, own: int = 0) -> Inquiry[list[Finding]]:
    """Ask for clients of a database who will have to wait.

    :param own: the server process of a session of ours besides the one that asks, if there is one
    """
    clients = [client for client in (yield from ask_connected(dbname)) if client.pid != own]
    if not clients:
        return []
    return [
        Finding(
            "warning",
            "target-clients",
            f'database "{dbname}"',
            f"clients are connected to it, {name_clients(clients)}; they wait at its tables until the run ends, and "
            "the run fails if one of them is using a table when it begins.",
            "Stop them if they cannot wait.",
        )
    ]
