# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be known before anything is changed, all findings at once."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import secrets
import typing as t

from ..archive.manifest import Manifest
from ..catalog.database import DatabaseProperties, read_database
from ..catalog.foreign_keys import Census, take_census
from ..catalog.relations import list_relations
from ..catalog.requirements import Requirements, read_requirements
from ..catalog.selection import EVERYTHING, Patterns, Selection, select
from ..catalog.snapshot import exported_snapshot
from ..container.engine import ContainerError
from ..container.route import open_route
from ..endpoint import Endpoint, Session, connect
from ..errors import MigrationError
from ..in_place.clearing import find_kept
from ..in_place.order import LoadOrder
from ..staging.databases import database_exists, maintenance_session
from ..staging.names import Generations
from ..tools import ClientTools, choose_tools
from .checks.in_place import check_in_place
from .checks.load_mode import LoadMode, check_swap, choose_load_mode
from .checks.refill import (
    FkStrategy,
    check_kept_schema,
    check_refill,
    check_strategy,
    choose_strategy,
    plan_load,
)
from .checks.source import check_foreign_keys, check_reading, check_source
from .checks.target import check_beside, check_rollback, check_target
from .findings import Finding, tell_errors

#: The oldest server whose database can be read.
_OLDEST_MAJOR: t.Final = 15

Opened = t.TypeVar("Opened")


@dataclasses.dataclass
class Examination:
    """What preflight learned; a side that it could not reach, or that takes no part, is None."""

    findings: list[Finding] = dataclasses.field(default_factory=list)
    #: the source as it was reached: of one in a container, by which way
    reached: Endpoint | None = None
    source: DatabaseProperties | None = None
    requirements: Requirements | None = None
    target_version: int | None = None
    target_exists: bool = False
    #: how the live database gets its new content; None where the run gives it none
    load_mode: LoadMode | None = None
    #: the tables that the run is about; all if None
    selection: Selection | None = None
    #: how tables are filled whose foreign keys are there
    fk_strategy: FkStrategy = "post_data"
    #: in which order, where the schema is kept
    order: LoadOrder | None = None
    #: why no copy can be built beside it
    obstacles: list[Finding] = dataclasses.field(default_factory=list)
    #: whether the live database can be compared
    target_readable: bool = False
    tools: ClientTools | None = None
    #: what is true of the source's foreign keys
    census: list[Census] = dataclasses.field(default_factory=list)


def examine(
    source: Endpoint | None,
    target: Endpoint | None,
    archived: Manifest | None,
    client_bindir: str,
    may_disconnect: bool,
    *,
    goal: str = "migrate",
    load_mode: str = "auto",
    fk_strategy: str = "auto",
    patterns: Patterns = EVERYTHING,
    jobs: int = 1,
    allowed: t.Mapping[str, str] | None = None,
) -> Examination:
    """Examine the sides that take part; an archive stands for the source when there is one.

    :param allowed: reasons for differences that are allowed, by object
    :param goal: what the run is for: ``migrate``, ``dump``, ``restore``, ``verify`` or ``rollback``
    :param load_mode: ``auto``, ``swap`` or ``in_place``
    :param fk_strategy: ``auto`` or one of `FkStrategy`
    :param patterns: the tables that the run is about
    """
    found = Examination()
    with contextlib.ExitStack() as stack:
        found.reached = _enter(stack, found, open_route, source) if source else None
        source_session = _enter(stack, found, connect, found.reached) if found.reached else None
        target_session = _enter_server(stack, found, target) if target else None
        if archived:
            found.source, found.requirements = archived.database, archived.requirements
            _select(found, functools.partial(archived.select, patterns))
        if source_session:
            found.source = read_database(source_session)
            found.requirements = read_requirements(source_session)
            found.findings += _check_oldest(found.source)
            if patterns:
                _select(found, lambda: select(list_relations(source_session), patterns))
            found.findings += _of_selected(found, check_source(source_session))
        partial = bool(patterns) or bool(archived and archived.partial)
        found.fk_strategy = choose_strategy(fk_strategy, partial)
        if found.reached and source_session and not tell_errors(found.findings):
            # Rows that cannot be read, as findings tell by now, cannot be checked.
            with exported_snapshot(found.reached) as snapshot:
                found.census = take_census(snapshot, jobs, only=found.selection)
            found.findings += check_foreign_keys(found.census, allowed or {})
        if target and target_session:
            found.target_version = target_session.info.server_version
            found.target_exists = database_exists(target_session, target.dbname)
            fills = goal in ("migrate", "restore")
            contradictions = check_strategy(found.fk_strategy, partial) if fills else []
            found.findings += contradictions
            if fills and not contradictions:
                found.obstacles += check_kept_schema(found.fk_strategy, partial)
                found.obstacles += check_swap(target_session, target.dbname)
                found.load_mode, said = choose_load_mode(load_mode, found.obstacles, target.dbname, found.target_exists)
                found.findings += said
        if target and target_session and found.load_mode == "swap" and found.source:
            found.findings += check_beside(target_session, Generations(target.dbname), found.source, may_disconnect)
        if target and target_session and goal == "rollback":
            found.load_mode = "swap"
            found.findings += check_rollback(target_session, Generations(target.dbname), may_disconnect)
        # Not before: this session in the live database would be one of the clients that the switch meets.
        live_session = None
        if target and target_session and found.target_exists:
            inside = target_session.info.dbname == target.dbname
            live_session = target_session if inside else _enter(stack, found, connect, target)
        present: tuple[str, ...] = ()
        keeps_schema = found.load_mode == "in_place" and found.fk_strategy != "post_data"
        if live_session and keeps_schema and found.source and found.requirements and (found.selection or not partial):
            found.order = plan_load(live_session, found.selection)
            found.findings += check_refill(
                live_session, found.source, found.requirements, found.selection, found.order, found.fk_strategy
            )
        if live_session and found.load_mode == "in_place" and not keeps_schema and found.source and found.requirements:
            kept = find_kept(live_session, found.requirements.extensions, found.source.has_public)
            present = kept.extensions
            findings = check_in_place(live_session, found.source, found.requirements, kept, allowed or {})
            # Where neither way is open, what stands in the way of each is told.
            either = found.obstacles if load_mode == "auto" and tell_errors(findings) else []
            found.findings += [*either, *findings]
        if target_session and found.source and found.requirements and not keeps_schema:
            found.findings += check_target(target_session, found.source, found.requirements, present)
        if target and live_session:
            found.findings += _check_live_reading(found, live_session, target)
            if source_session:
                found.findings += _check_same_database(source_session, live_session, target)
        if found.source:
            target_major = (found.target_version or found.source.server_version) // 10000
            try:
                found.tools = choose_tools(found.source.major, target_major, client_bindir)
            except MigrationError as error:
                found.findings.append(Finding("error", "client-tools", "client tools", str(error)))
    return found


def _select(found: Examination, choose: t.Callable[[], Selection | None]) -> None:
    """Settle which tables the run is about; patterns that cannot do so are a finding like any other."""
    try:
        found.selection = choose()
    except MigrationError as error:
        found.findings.append(Finding("error", "selection", "include_tables and exclude_tables", str(error)))


def _of_selected(found: Examination, findings: list[Finding]) -> list[Finding]:
    """Leave out what hides the rows of tables, or sequences, that are not selected.

    pg_dump must lock all tables, which takes the right to read them. A sequence belongs to whom its table belongs to.
    """
    selection = found.selection
    if selection is None:
        return findings
    return [
        finding
        for finding in findings
        if not finding.object.startswith("sequence ")
        and (finding.code != "row-security" or finding.object.partition(" ")[2] in selection.labels)
    ]


def can_return(target: Endpoint) -> bool:
    """Return whether the previous database is there and can become the live one again."""
    try:
        with maintenance_session(target) as session:
            return database_exists(session, Generations(target.dbname).previous) and not check_swap(
                session, target.dbname
            )
    except MigrationError:
        return False


def _enter(
    stack: contextlib.ExitStack,
    found: Examination,
    opener: t.Callable[[Endpoint], contextlib.AbstractContextManager[Opened]],
    endpoint: Endpoint,
) -> Opened | None:
    """Open a way or a session for the examination; a refusal is a finding like any other."""
    try:
        return stack.enter_context(opener(endpoint))
    except ContainerError as error:
        name = f"container {endpoint.container}"
        found.findings.append(Finding("error", error.code, name, error.message, error.remedy))
        return None
    except MigrationError as error:
        found.findings.append(Finding("error", "no-connection", endpoint.side, str(error)))
        return None


def _enter_server(stack: contextlib.ExitStack, found: Examination, target: Endpoint) -> Session | None:
    """Open a session outside the live database or, where the user may enter no other, in it."""
    try:
        return stack.enter_context(maintenance_session(target))
    except MigrationError as error:
        outside = Finding("error", "no-connection", target.side, str(error))
    try:
        session = stack.enter_context(connect(target))
    except MigrationError:
        found.findings.append(outside)
        return None
    found.obstacles.append(outside)
    return session


def _check_oldest(source: DatabaseProperties) -> list[Finding]:
    if source.major >= _OLDEST_MAJOR:
        return []
    return [
        Finding(
            "error",
            "old-source",
            "source server",
            f"it is PostgreSQL {source.major}; {_OLDEST_MAJOR} is the oldest that is supported.",
            "Upgrade it.",
        )
    ]


def _check_live_reading(found: Examination, live_session: Session, target: Endpoint) -> list[Finding]:
    """Tell that the live database cannot be compared; it can be replaced all the same by who owns the database."""
    hidden = _of_selected(found, check_reading(live_session))
    found.target_readable = not hidden
    if not hidden:
        return []
    if found.load_mode == "in_place":
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


def _check_same_database(source_session: Session, live_session: Session, target: Endpoint) -> list[Finding]:
    """Refuse one database under two names: a lock taken through one connection is looked for through the other."""
    key = secrets.randbits(31)
    source_session.execute("SELECT pg_advisory_lock_shared(1346913110, %s)", (key,))
    seen = live_session.execute(
        "SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1346913110 AND objid = %s"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        (key,),
    ).fetchone()
    source_session.execute("SELECT pg_advisory_unlock_shared(1346913110, %s)", (key,))
    if seen is None:
        return []
    return [
        Finding(
            "error",
            "same-database",
            str(target),
            "it is the source itself, under whatever name.",
            "Correct target_host, target_port and target_dbname.",
        )
    ]
