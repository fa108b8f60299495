# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be known before anything is changed, all findings at once."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ..archive.manifest import Manifest
from ..container.route import open_route
from ..errors import MigrationError
from ..server.client_tools import choose_tools
from ..server.endpoint import Session, connect
from ..verdict.findings import Finding
from .checks.compression import check_compression
from .checks.extensions import check_builtin, check_kept
from .checks.far_trees import check_far_trees
from .checks.freeze import check_freeze, check_goal, check_load_mode
from .checks.identity import advisory_lock, check_identity
from .checks.missing_settings import check_archived
from .checks.refill import choose_strategy
from .checks.room import read_locks_needed
from .checks.tools import check_tools
from .examination import Examination
from .goals import GOALS
from .request import Request
from .sides import begin_to_enter, enter, enter_server
from .source_side import examine_account, examine_rows, examine_source
from .target_side import examine_access, examine_live, examine_needs, examine_privileges, examine_server

#: Waits until the target is the run's own; returns why its server could not be asked, which the examination may tell
#: better. It raises MigrationError where another run has it: nothing that is found out then would be true for long.
Claim = t.Callable[[], Finding | None]


def unhindered() -> None:
    """Claim nothing, as what does not change the target."""


def examine(
    request: Request,
    archived: Manifest | None = None,
    kept: contextlib.ExitStack | None = None,
    claim: Claim = unhindered,
) -> Examination:
    """Examine the sides that take part; an archive stands for the source when there is one.

    :param archived: of that archive
    :param kept: what the target's sessions are to end with, if they are kept
    :param claim: is called before anything is asked of the target
    """
    found = Examination()
    settings, goal, target = request.settings, GOALS[request.goal], request.target
    with contextlib.ExitStack() as stack:
        found.reached = enter(stack, found, open_route, request.source) if request.source else None
        source = enter(stack, found, connect, found.reached) if found.reached else None
        stays = goal.fills and request.load_mode == "sync"
        server = enter_server(kept or stack, found, target, inside=stays) if target else None
        claim()
        second = begin_to_enter(kept or stack, target.at(server.info.dbname)) if target and server else None
        inside = bool(target and server and server.info.dbname == target.dbname)
        found.server_session = None if inside or not kept else server
        if archived:
            found.source, found.requirements, found.tables = archived.database, archived.requirements, archived.names
            found.undoes = goal.fills and archived.changes is not None
            found.select(functools.partial(archived.select, settings.patterns))
            if goal.fills:
                relations = (measured.relation for measured in archived.content.relations)
                found.findings += check_far_trees("the archive", relations, found.selection)
        if found.reached and source:
            examine_source(found, request, found.reached, source)
        partial = bool(settings.patterns) or bool(archived and archived.partial)
        found.fk_strategy = choose_strategy(settings.fk_strategy, partial, request.load_mode)
        if target and server and second:
            locks = read_locks_needed(source) if source else None
            # Where sessions do not stay the same, a lock taken in one might never be given back.
            lock = advisory_lock(source) if source and not found.has("pooler") else contextlib.nullcontext()
            with lock as key:
                keeps = stays and inside and kept is not None
                told = examine_server(found, request, target, server, second, partial, locks, key, keeps=keeps)
            if source and told and not found.has("pooler"):
                found.findings += check_identity(source, told, target)
            if source and not partial:
                found.findings += check_builtin(source, server, settings.allowed)
        # Not before: this session in the live database would be one of the clients that the switch meets.
        live = theirs = None
        if target and server and found.target_exists and request.goal != "rollback":
            live = server if inside else enter(kept or stack, found, connect, target)
            found.live_session = live if kept else None
        if target and live:
            locked = examine_access(found, live, target)
            if goal.fills and not locked:
                theirs = examine_live(found, request, live, partial)
                # Where the schema is kept, the verdict tells that.
                if source and found.in_place and not found.keeps_schema and found.can_read_rows and not partial:
                    found.findings += check_kept(source, live, settings.allowed)
        if goal.fills and server and found.source:
            # A lock on a catalog would have to be waited for.
            if not found.has("locked"):
                examine_privileges(found, request, source or archived, theirs, server)
            examine_needs(found, request, server)
        if request.downtime == "short":
            found.findings += check_goal(request.goal)
            if source and request.goal in ("migrate", "rehearse"):
                found.freezes = request.goal == "migrate"
                found.findings += check_load_mode(found.load_mode)
                found.findings += check_freeze(source)
        if goal.writes_archive or goal.fills:
            found.findings += check_compression(request.settings.compression, found.transfer)
        if source:
            examine_rows(found, request, source)
        elif archived and goal.fills and not found.keeps_schema:
            found.findings += check_archived(found.missing_settings, bool(archived.refresh_order))
        _choose_tools(found, request, source)
        # Of what fills, the outlook tells, which has a dump of the schema anyway.
        if not goal.fills and found.reached and found.tools and found.can_read_rows and not partial:
            found.findings += examine_account(found.reached, found.tools, settings.allowed)
    return found


def _choose_tools(found: Examination, request: Request, source: Session | None) -> None:
    if not found.source:
        return
    target_major = (found.target_version or found.source.server_version) // 10000
    try:
        found.tools = choose_tools(found.source.major, target_major, request.client_bindir)
        if found.reached and source:
            found.findings += check_tools(found.tools, found.reached)
    except MigrationError as error:
        found.findings.append(Finding("error", "client-tools", "client tools", str(error)))
