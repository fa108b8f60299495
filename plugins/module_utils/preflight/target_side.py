# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target is examined: its server, the place for a copy, the live database, and who may do what there."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ..archive.manifest import Manifest
from ..catalog.in_force import ask_missing_settings, ask_own
from ..catalog.relations import list_relations
from ..catalog.requirements import ask_extensions
from ..in_place.clearing import find_kept
from ..privileges.catalog import Privileges
from ..privileges.reading import ask_privileges, read_privileges
from ..server.batches import Rows
from ..server.endpoint import Endpoint, Session
from ..server.inquiry import Inquiry, answer, ask, together
from ..staging.databases import ask_leftovers
from ..staging.names import Generations
from ..staging.properties import ask_carried
from ..verdict.findings import Finding, tell_errors
from .checks.application import ask_application_role
from .checks.archiving import ask_archiving
from .checks.build import check_locale
from .checks.carrying import check_carrying_over
from .checks.collation_versions import ask_collation_versions
from .checks.exchange import ask_exchange, check_previous
from .checks.far_trees import check_far_trees
from .checks.identity import ask_identity
from .checks.in_place import check_in_place
from .checks.live import ask_live, ask_tables, ask_tablespaces, check_only_live, tell_tablespaces
from .checks.load_mode import ask_swap, choose_load_mode
from .checks.locks import LOCKS, check_locks
from .checks.privileges import check_kept_privileges, check_privileges
from .checks.refill import check_kept_schema, check_strategy, check_sync, plan_refill
from .checks.room import ask_connections, ask_lock_room, ask_target_room
from .checks.session import check_pair
from .checks.source import FORCED, ask_reading
from .checks.target import ask_offers, check_name, check_rollback, check_target
from .examination import Examination
from .goals import GOALS
from .request import Request


def examine_server(
    found: Examination,
    request: Request,
    target: Endpoint,
    session: Session,
    second: t.Callable[[], Session],
    partial: bool,
    locks: int | None,
    key: int | None,
    *,
    keeps: bool = False,
) -> t.Sequence[Rows]:
    """Look at the target's server, and choose how the live database gets its new content; return which it is.

    :param session: outside the live database, if the user may enter any other
    :param second: gives another one in the same place
    :param partial: whether the run is about some tables only
    :param locks: how many the source's schema needs, if that is known
    :param key: of a lock that the source's session holds, if it does
    :param keeps: whether the other session is kept, to read the live database by
    """
    settings, goal = request.settings, GOALS[request.goal]
    generations = Generations(target.dbname)
    found.target_version = session.info.server_version
    findings, other = check_pair(target.at(session.info.dbname), session, second)
    found.findings += findings
    if other and keeps:
        found.reader, found.reader_pid = other
    elif other:
        other.session.close()
    # What only one load mode needs is asked before that is chosen.
    source, needs = found.source, found.requirements
    (
        (rows,),
        found.target_own,
        found.missing_settings,
        obstacles,
        exchange,
        live,
        left,
        findings,
        offers,
        carried,
        told,
        found.access,
    ) = answer(
        session,
        together(
            ask(sql.SQL("SELECT FROM pg_catalog.pg_database WHERE datname = {}").format(target.dbname)),
            ask_own(target.dbname),
            ask_missing_settings(source.begun_with) if source else ask(),
            ask_swap(target.dbname),
            ask_exchange(target, session.info.user, settings.may_disconnect),
            ask_live(generations, settings.may_disconnect),
            ask_leftovers(generations),
            together(*_ask_server(found, request, target, partial, locks)),
            # As they are now, before the live database changes its owner for a moment.
            ask_offers(source, needs) if source and needs else ask(),
            ask_carried(target.dbname, target.dbname, source) if source else ask(),
            ask_identity(key, target.dbname) if key is not None else ask(),
            _ask_access() if session.info.dbname == target.dbname else ask(),
        ),
    )
    found.target_exists, found.leftovers, found.offers = bool(rows), left, offers or None
    for some in findings:
        found.findings += some
    if goal.fills:
        _choose_load_mode(found, request, target, obstacles, partial)
    if request.goal == "rollback":
        found.load_mode = "swap"
        found.findings += check_rollback(session, generations, settings.may_disconnect)
        found.findings += [*exchange, *check_previous(session, target)]
    elif found.load_mode == "swap":
        found.findings += exchange
        if source:
            found.findings += check_carrying_over(session, target.dbname, source, carried, settings.allowed)
            found.findings += [*check_name(generations), *check_locale(session, source.locale), *live]
    return t.cast("t.Sequence[Rows]", told)


def _ask_server(
    found: Examination, request: Request, target: Endpoint, partial: bool, locks: int | None
) -> t.Iterator[Inquiry[list[Finding]]]:
    """Yield what is asked of the server whatever the load mode."""
    settings, goal = request.settings, GOALS[request.goal]
    yield ask_connections(target, settings.jobs, found.reader_pid)
    yield ask_collation_versions(target.dbname)
    if locks is not None:
        yield ask_lock_room("target", locks)
    if settings.application_role and goal.fills and goal.replaces:
        yield ask_application_role(settings.application_role)
    # What differs takes little room.
    if goal.fills and found.source and not partial and request.load_mode != "sync":
        yield ask_target_room(target, found.source.size, request.target_room)
        yield ask_archiving(found.source.size)


def _choose_load_mode(
    found: Examination, request: Request, target: Endpoint, obstacles: list[Finding], partial: bool
) -> None:
    if request.load_mode == "sync":
        contradictions = check_sync(found.fk_strategy, request.source is not None or found.undoes)
    else:
        contradictions = check_strategy(found.fk_strategy, partial)
    found.findings += contradictions
    if contradictions:
        return
    found.obstacles += check_kept_schema(found.fk_strategy, partial)
    found.obstacles += obstacles
    found.load_mode, said = choose_load_mode(request.load_mode, found.obstacles, target.dbname, found.target_exists)
    found.findings += said


def examine_live(found: Examination, request: Request, session: Session, partial: bool) -> Privileges | None:
    """Look at what is to be replaced; return who may do what there, if that is to be carried over."""
    if found.keeps_schema:
        if found.source and found.requirements and (found.selection or not partial):
            found.order, findings = plan_refill(
                session, found.source, found.requirements, found.selection, found.fk_strategy, found.reader_pid
            )
            found.findings += findings
        return None
    if found.in_place:
        # Also of what is replaced: to bring its backup back is to load it again.
        found.findings += check_far_trees("the live database", list_relations(session), found.selection)
    if not found.source or not found.requirements:
        return None
    tables, present, privileges, placed = answer(
        session, together(ask_tables(), ask_extensions(), ask_privileges(), ask_tablespaces())
    )
    found.lacking = found.tables - tables
    extensions = {e.name for e in present}.difference(e.name for e in found.requirements.extensions)
    found.findings += check_only_live(session, tables - found.tables, extensions)
    found.findings += tell_tablespaces(placed, in_place=found.in_place)
    if not found.in_place:
        return t.cast(Privileges, privileges)
    kept = find_kept(session, found.requirements.extensions, found.source.has_public)
    findings = check_in_place(session, found.source, found.requirements, kept, request.settings.allowed)
    # Where neither way is open, what stands in the way of each is told.
    found.findings += [*(found.obstacles if request.load_mode == "auto" and tell_errors(findings) else []), *findings]
    found.kept_extensions = kept.extensions
    return t.cast(Privileges, privileges)


def examine_needs(found: Examination, request: Request, session: Session) -> None:
    """Look for what the target's server lacks that a new schema needs."""
    if found.source and found.requirements and found.offers and not found.keeps_schema:
        found.findings += check_target(
            session,
            found.offers,
            found.source,
            found.requirements,
            found.kept_extensions,
            request.settings.allowed,
        )


def examine_privileges(
    found: Examination,
    request: Request,
    source: Session | Manifest | None,
    theirs: Privileges | None,
    server: Session,
) -> None:
    """Look whether owners and grants can be what they shall be.

    :param theirs: those of the live database, if there is one
    """
    policy = request.settings.policy
    if found.keeps_schema:
        # A selection is about rows alone.
        found.findings += check_kept_privileges(policy) if found.selection is None else []
        return
    there = source.privileges if isinstance(source, Manifest) else read_privileges(source) if source else None
    found.findings += check_privileges(
        policy,
        there,
        theirs,
        theirs or read_privileges(server),
        in_place=found.in_place,
        allowed=request.settings.allowed,
    )


def _ask_access() -> Inquiry[list[t.Any]]:
    return together(ask(LOCKS), ask_reading())


def examine_access(found: Examination, live: Session, target: Endpoint) -> bool:
    """Look whether the live database can be read; return whether a lock keeps from it.

    Where row security is forced upon their owner, the tables are read in a transaction that is undone; no backup is.
    """
    first, told = found.access or answer(live, _ask_access())
    locked = check_locks(live, "target", *first)
    hidden = found.of_selected(told)
    forced = all(finding.message == FORCED for finding in hidden)
    found.target_readable = forced
    said = _tell_hidden(found, hidden, target) if hidden else []
    found.unless_equal = said if forced else []
    found.findings += [*locked, *([] if forced else said)]
    return bool(locked)


def _tell_hidden(found: Examination, hidden: t.Sequence[Finding], target: Endpoint) -> list[Finding]:
    remedy = hidden[0].remedy.replace("source_user", "target_user")
    if found.load_mode == "sync":
        message = (
            "the target user may not read all of it, so that which rows differ cannot be told, and only these are to "
            "be brought."
        )
        return [Finding("error", "target-not-readable", hidden[0].object, message, remedy)]
    if found.in_place:
        message = (
            "the target user may not read it, and without a backup of all of it the live database is not replaced in "
            "place."
        )
        return [Finding("error", "target-not-readable", hidden[0].object, message, remedy)]
    return [
        Finding(
            "warning",
            "target-not-readable",
            f'database "{target.dbname}"',
            f"the target user may not read all of it ({hidden[0].object}, for instance), so that whether it equals the "
            "source already cannot be told: it is replaced.",
        )
    ]
