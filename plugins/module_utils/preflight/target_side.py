# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target is examined: its server, the place for a copy, the live database, and who may do what there."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ..archive.manifest import Manifest
from ..in_place.clearing import find_kept
from ..privileges.reading import read_privileges
from ..server.endpoint import Endpoint, Session
from ..server.inquiry import Inquiry, answer, ask, together
from ..staging.names import Generations
from ..verdict.findings import Finding, tell_errors
from .checks.application import ask_application_role
from .checks.archiving import ask_archiving
from .checks.build import check_locale
from .checks.collation_versions import ask_collation_versions
from .checks.exchange import check_exchange
from .checks.in_place import check_in_place
from .checks.live import ask_live, check_only_live
from .checks.load_mode import check_swap, choose_load_mode
from .checks.privileges import check_kept_privileges, check_privileges
from .checks.refill import check_kept_schema, check_refill, check_strategy, check_sync, plan_load
from .checks.room import ask_connections, ask_target_room
from .checks.session import check_session
from .checks.source import FORCED, check_reading
from .checks.target import check_name, check_rollback, check_target
from .examination import Examination
from .goals import GOALS
from .request import Request


def examine_server(found: Examination, request: Request, target: Endpoint, session: Session, partial: bool) -> None:
    """Look at the target's server, and choose how the live database gets its new content.

    :param session: outside the live database, if the user may enter any other
    :param partial: whether the run is about some tables only
    """
    settings, goal = request.settings, GOALS[request.goal]
    generations = Generations(target.dbname)
    found.target_version = session.info.server_version
    found.findings += check_session(target.at(session.info.dbname), session)
    present = ask(sql.SQL("SELECT FROM pg_catalog.pg_database WHERE datname = {}").format(target.dbname))
    asked: list[Inquiry[t.Any]] = [
        present,
        ask_connections(target, settings.jobs),
        ask_collation_versions(target.dbname),
    ]
    if settings.application_role and goal.fills and goal.replaces:
        asked.append(ask_application_role(settings.application_role))
    (rows,), *findings = answer(session, together(*asked))
    found.target_exists = bool(rows)
    for told in findings:
        found.findings += told
    if goal.fills:
        _choose_load_mode(found, request, target, session, partial)
    rolls_back = request.goal == "rollback"
    if rolls_back:
        found.load_mode = "swap"
        found.findings += check_rollback(session, generations, settings.may_disconnect)
    if found.load_mode == "swap":
        found.findings += check_exchange(
            session, target, rolls_back, found.source, settings.allowed, settings.may_disconnect
        )
    if goal.fills:
        _examine_place(found, request, target, session, partial)


def _choose_load_mode(found: Examination, request: Request, target: Endpoint, session: Session, partial: bool) -> None:
    if request.load_mode == "sync":
        contradictions = check_sync(found.fk_strategy, request.source is not None or found.takes_back)
    else:
        contradictions = check_strategy(found.fk_strategy, partial)
    found.findings += contradictions
    if contradictions:
        return
    found.obstacles += check_kept_schema(found.fk_strategy, partial)
    found.obstacles += check_swap(session, target.dbname)
    found.load_mode, said = choose_load_mode(request.load_mode, found.obstacles, target.dbname, found.target_exists)
    found.findings += said


def _examine_place(found: Examination, request: Request, target: Endpoint, session: Session, partial: bool) -> None:
    """Look whether there is a place for a copy, and what the switch to it would meet."""
    if not found.source:
        return
    asked: list[Inquiry[list[Finding]]] = []
    # What differs takes little room.
    if not partial and found.load_mode != "sync":
        size = found.source.size
        asked += [ask_target_room(target, size, request.target_room), ask_archiving(size)]
    if found.load_mode == "swap":
        generations = Generations(target.dbname)
        found.findings += [*check_name(generations), *check_locale(session, found.source.locale)]
        asked.append(ask_live(generations, request.settings.may_disconnect))
    for findings in answer(session, together(*asked)):
        found.findings += findings


def examine_live(found: Examination, request: Request, session: Session, partial: bool) -> None:
    """Look at what is to be replaced."""
    if found.keeps_schema:
        if found.source and found.requirements and (found.selection or not partial):
            found.order = plan_load(session, found.selection)
            found.findings += check_refill(
                session, found.source, found.requirements, found.selection, found.order, found.fk_strategy
            )
        return
    if not found.source or not found.requirements:
        return
    extensions = {extension.name for extension in found.requirements.extensions}
    found.findings += check_only_live(session, found.tables, extensions)
    if not found.in_place:
        return
    kept = find_kept(session, found.requirements.extensions, found.source.has_public)
    findings = check_in_place(session, found.source, found.requirements, kept, request.settings.allowed)
    # Where neither way is open, what stands in the way of each is told.
    found.findings += [*(found.obstacles if request.load_mode == "auto" and tell_errors(findings) else []), *findings]
    found.kept_extensions = kept.extensions


def examine_needs(found: Examination, request: Request, session: Session) -> None:
    """Look for what the target's server lacks that a new schema needs."""
    if found.source and found.requirements and not found.keeps_schema:
        found.findings += check_target(
            session, found.source, found.requirements, found.kept_extensions, request.settings.allowed
        )


def examine_privileges(
    found: Examination,
    request: Request,
    source: Session | Manifest | None,
    live: Session | None,
    server: Session,
) -> None:
    """Look whether owners and grants can be what they shall be."""
    policy = request.settings.policy
    if found.keeps_schema:
        # A selection is about rows alone.
        found.findings += check_kept_privileges(policy) if found.selection is None else []
        return
    there = source.privileges if isinstance(source, Manifest) else read_privileges(source) if source else None
    found.findings += check_privileges(
        policy,
        there,
        read_privileges(live) if live else None,
        read_privileges(server),
        in_place=found.in_place,
        allowed=request.settings.allowed,
    )


def check_live_reading(found: Examination, live_session: Session, target: Endpoint) -> list[Finding]:
    """Tell that the live database cannot be compared; it can be replaced all the same by who owns the database.

    Where row security is forced upon their owner, the tables are read in a transaction that is undone; no backup is.
    """
    hidden = found.of_selected(check_reading(live_session))
    forced = all(finding.message == FORCED for finding in hidden)
    found.target_readable = forced
    told = _tell_hidden(found, hidden, target) if hidden else []
    found.unless_equal = told if forced else []
    return [] if forced else told


def _tell_hidden(found: Examination, hidden: t.Sequence[Finding], target: Endpoint) -> list[Finding]:
    if found.in_place:
        return [
            Finding(
                "error",
                "target-not-readable",
                hidden[0].object,
                "the target user may not read it, and without a backup of all of it the live database is not replaced "
                "in place.",
                hidden[0].remedy.replace("source_user", "target_user"),
            )
        ]
    return [
        Finding(
            "warning",
            "target-not-readable",
            f'database "{target.dbname}"',
            f"the target user may not read all of it ({hidden[0].object}, for instance), so that whether it equals the "
            "source already cannot be told: it is replaced.",
        )
    ]
