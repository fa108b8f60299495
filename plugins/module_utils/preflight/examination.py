# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be known before anything is changed, all findings at once."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import typing as t

from psycopg import sql

from ..archive.manifest import Manifest
from ..archive.schema import dump_schema, read_schema
from ..catalog.database import DatabaseProperties, read_database
from ..catalog.foreign_keys import Census, take_census
from ..catalog.relations import list_relations
from ..catalog.requirements import Requirements, read_requirements
from ..catalog.selection import EVERYTHING, Patterns, Selection, select
from ..catalog.snapshot import exported_snapshot
from ..container.engine import ContainerError
from ..container.route import open_route
from ..errors import MigrationError
from ..in_place.clearing import find_kept
from ..in_place.order import LoadOrder
from ..privileges.reading import read_privileges
from ..privileges.wanted import AS_BEFORE, Policy
from ..server.client_tools import ClientTools, choose_tools
from ..server.endpoint import Endpoint, Session, connect
from ..server.inquiry import Inquiry, answer, ask, together
from ..staging.databases import database_exists, maintenance_session
from ..staging.names import Generations
from ..verdict.findings import Finding, tell_errors
from ..work_folder import WorkFolder
from .checks.build import check_locale
from .checks.duplicates import check_duplicates
from .checks.exchange import check_exchange
from .checks.expressions import check_expressions
from .checks.extensions import check_account, check_builtin, check_kept
from .checks.identity import check_identity
from .checks.in_place import check_in_place
from .checks.live import ask_live, check_only_live, list_tables
from .checks.load_mode import check_swap, choose_load_mode
from .checks.locks import check_locks
from .checks.orphans import check_foreign_keys
from .checks.privileges import check_kept_privileges, check_privileges
from .checks.refill import (
    FkStrategy,
    check_kept_schema,
    check_refill,
    check_strategy,
    check_sync,
    choose_strategy,
    plan_load,
)
from .checks.room import (
    ask_connections,
    ask_target_room,
    check_archive_room,
    check_connections,
    check_lock_room,
    read_locks_needed,
    read_rows_size,
)
from .checks.session import check_session
from .checks.source import check_reading, check_source
from .checks.target import check_name, check_rollback, check_target
from .checks.tools import check_tools
from .checks.wide_rows import check_wide_rows
from .goals import GOALS, IN_PLACE, LoadMode
from .transfer import Transfer, choose_transfer

#: The oldest server whose database can be read.
_OLDEST_MAJOR: t.Final = 15

#: Errors after which rows cannot be read, or not by several sessions.
_HIDING: t.Final = frozenset(
    {"connections", "locked", "no-connection", "not-readable", "pooler", "replica-unlogged", "row-security", "snapshot"}
)

Opened = t.TypeVar("Opened")


@dataclasses.dataclass
class Examination:
    """What preflight learned; a side that it could not reach, or that takes no part, is None."""

    findings: list[Finding] = dataclasses.field(default_factory=list)
    #: the source as it was reached: of one in a container, by which way
    reached: Endpoint | None = None
    source: DatabaseProperties | None = None
    requirements: Requirements | None = None
    #: schema and name of the source's tables
    tables: frozenset[tuple[str, str]] = frozenset()
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
    #: the extensions of the live database that stay where it is cleared
    kept_extensions: tuple[str, ...] = ()
    #: whether the live database can be compared
    target_readable: bool = False
    tools: ClientTools | None = None
    #: how the source's rows come to where they are wanted; None where nobody wants them, or their size is not known
    transfer: Transfer | None = None
    #: what is true of the source's foreign keys
    census: list[Census] = dataclasses.field(default_factory=list)
    #: sessions in the live database and outside of it, if they are kept for what comes next
    live_session: Session | None = None
    server_session: Session | None = None

    @property
    def keeps_schema(self) -> bool:
        """Whether the live database's own tables are filled, as they are."""
        return self.in_place and self.fk_strategy != "post_data"

    @property
    def in_place(self) -> bool:
        """Whether the live database itself is changed, and no other takes its place."""
        return self.load_mode in IN_PLACE

    @property
    def can_read_rows(self) -> bool:
        """Whether nothing found by now keeps the source's rows from being read, all of them and at once."""
        return not any(finding.severity == "error" and finding.code in _HIDING for finding in self.findings)


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
    policy: Policy = AS_BEFORE,
    archive_root: pathlib.Path | None = None,
    kept: contextlib.ExitStack | None = None,
    transfer: str = "archive",
    target_room: int | None = None,
) -> Examination:
    """Examine the sides that take part; an archive stands for the source when there is one.

    :param goal: what the run is for, one of `GOALS`
    :param load_mode: ``auto`` or one of `LoadMode`
    :param fk_strategy: ``auto`` or one of `FkStrategy`
    :param patterns: the tables that the run is about
    :param allowed: reasons for differences that are allowed, by object
    :param policy: what owners and grants the target shall have
    :param archive_root: where an archive of the source is to be written, if its rows are wanted
    :param kept: what the target's sessions are to end with, if they are kept
    :param target_room: how many bytes the target may hold, if that is known
    :param transfer: ``auto``, ``archive``, or ``stream``, which needs no room there
    """
    found = Examination()
    fills = GOALS[goal].fills
    with contextlib.ExitStack() as stack:
        found.reached = _enter(stack, found, open_route, source) if source else None
        source_session = _enter(stack, found, connect, found.reached) if found.reached else None
        target_session = _enter_server(kept or stack, found, target) if target else None
        inside = bool(target and target_session and target_session.info.dbname == target.dbname)
        found.server_session = None if inside or not kept else target_session
        if archived:
            found.source, found.requirements, found.tables = archived.database, archived.requirements, archived.names
            _select(found, functools.partial(archived.select, patterns))
        if found.reached and source_session:
            _examine_source(found, found.reached, source_session, patterns, jobs)
            if archive_root and load_mode != "sync" and not any(finding.code == "locked" for finding in found.findings):
                size = read_rows_size(source_session)
                found.transfer = choose_transfer(transfer, size)
                if found.transfer.way == "archive":
                    found.findings += check_archive_room(archive_root, size)
        partial = bool(patterns) or bool(archived and archived.partial)
        found.fk_strategy = choose_strategy(fk_strategy, partial, load_mode)
        if target and target_session:
            _examine_server(found, target, target_session, jobs)
            if fills:
                contradictions = check_strategy(found.fk_strategy, partial)
                if load_mode == "sync":
                    contradictions = check_sync(found.fk_strategy, source is not None)
                found.findings += contradictions
                if not contradictions:
                    _choose_load_mode(found, target, target_session, load_mode, partial)
            if goal == "rollback":
                found.load_mode = "swap"
                found.findings += check_rollback(target_session, Generations(target.dbname), may_disconnect)
            if found.load_mode == "swap":
                found.findings += check_exchange(
                    target_session, target, goal == "rollback", found.source, allowed, may_disconnect
                )
            if fills and found.source:
                _examine_place(found, target, target_session, found.source, may_disconnect, partial, target_room)
        if source_session and target and target_session:
            # Where sessions do not stay the same, a lock taken in one might never be given back.
            if not any(finding.code == "pooler" for finding in found.findings):
                found.findings += check_identity(source_session, target_session, target)
            found.findings += check_lock_room(target_session, "target", read_locks_needed(source_session))
            if not partial:
                found.findings += check_builtin(source_session, target_session, allowed or {})
        # Not before: this session in the live database would be one of the clients that the switch meets.
        live_session = None
        if target and target_session and found.target_exists and goal != "rollback":
            live_session = target_session if inside else _enter(kept or stack, found, connect, target)
            found.live_session = None if inside or not kept else live_session
        if target and live_session:
            locked = check_locks(live_session, "target")
            found.findings += locked
            found.findings += _check_live_reading(found, live_session, target)
            if fills and not locked:
                _examine_live(found, live_session, partial, load_mode, allowed or {})
                if source_session and found.in_place and found.can_read_rows and not partial:
                    found.findings += check_kept(source_session, live_session, allowed or {})
        # A lock on a catalog would have to be waited for.
        if fills and target_session and found.source and not any(f.code == "locked" for f in found.findings):
            found.findings += _check_privileges(
                found, policy, source_session or archived, live_session, target_session, allowed or {}
            )
        if fills and target_session and found.source and found.requirements and not found.keeps_schema:
            found.findings += check_target(
                target_session, found.source, found.requirements, found.kept_extensions, allowed
            )
        if found.reached and source_session and found.source and found.can_read_rows:
            target_major = found.target_version // 10000 if found.target_version else None
            found.findings += check_expressions(source_session, found.source, target_major)
            found.findings += check_wide_rows(source_session)
            # They are not looked for without a reason: that reads tables as a whole, and sorts them.
            if any(finding.code == "collation-version" for finding in found.findings):
                found.findings += check_duplicates(source_session, found.source.serving_path)
            with exported_snapshot(found.reached) as snapshot:
                found.census = take_census(snapshot, jobs, found.source.serving_path, only=found.selection)
            found.findings += check_foreign_keys(found.census, allowed or {}, target_major)
        if found.source:
            target_major = (found.target_version or found.source.server_version) // 10000
            try:
                found.tools = choose_tools(found.source.major, target_major, client_bindir)
                if found.reached and source_session:
                    found.findings += check_tools(found.tools, found.reached)
            except MigrationError as error:
                found.findings.append(Finding("error", "client-tools", "client tools", str(error)))
        # Of a migration, what comes next tells, which has a dump of the schema anyway.
        if not GOALS[goal].fills and found.reached and found.tools and found.can_read_rows and not partial:
            found.findings += _check_account(found.reached, found.tools, allowed or {})
    return found


def _check_account(source: Endpoint, tools: ClientTools, allowed: t.Mapping[str, str]) -> list[Finding]:
    # What keeps pg_dump from its work, the dump tells.
    with WorkFolder() as work, exported_snapshot(source) as snapshot, contextlib.suppress(MigrationError):
        dump_schema(snapshot, tools, work / "source.dump")
        carried = {entry.address for entry in read_schema(tools, work / "source.dump")}
        return check_account(snapshot.session, carried, allowed)
    return []


def _examine_source(
    found: Examination,
    source: Endpoint,
    session: Session,
    patterns: Patterns,
    jobs: int,
) -> None:
    found.source = read_database(session)
    found.tables = list_tables(session)
    found.findings += _check_oldest(found.source)
    found.findings += check_session(source, session)
    found.findings += check_connections(session, source, jobs)
    locked = check_locks(session, "source")
    found.findings += locked
    if patterns and not locked:
        _select(found, lambda: select(list_relations(session), patterns))
    found.findings += _of_selected(found, check_source(session))
    found.findings += check_lock_room(session, "source", read_locks_needed(session))
    if locked:
        # Sizes and values would have to wait.
        return
    found.requirements = read_requirements(session)


def _examine_server(found: Examination, target: Endpoint, session: Session, jobs: int) -> None:
    found.target_version = session.info.server_version
    found.findings += check_session(target.at(session.info.dbname), session)
    present = ask(sql.SQL("SELECT FROM pg_catalog.pg_database WHERE datname = {}").format(target.dbname))
    (rows,), limits = answer(session, together(present, ask_connections(target, jobs)))
    found.target_exists = bool(rows)
    found.findings += limits


def _examine_place(
    found: Examination,
    target: Endpoint,
    session: Session,
    source: DatabaseProperties,
    may_disconnect: bool,
    partial: bool,
    target_room: int | None,
) -> None:
    """Look whether there is a place for a copy, and what the switch to it would meet."""
    generations = Generations(target.dbname)
    asked: list[Inquiry[list[Finding]]] = []
    # What differs takes little room.
    if not partial and found.load_mode != "sync":
        asked.append(ask_target_room(target, source.size, target_room))
    if found.load_mode == "swap":
        found.findings += [*check_name(generations), *check_locale(session, source.locale)]
        asked.append(ask_live(generations, may_disconnect))
    for findings in answer(session, together(*asked)):
        found.findings += findings


def _choose_load_mode(found: Examination, target: Endpoint, session: Session, wanted: str, partial: bool) -> None:
    found.obstacles += check_kept_schema(found.fk_strategy, partial)
    found.obstacles += check_swap(session, target.dbname)
    found.load_mode, said = choose_load_mode(wanted, found.obstacles, target.dbname, found.target_exists)
    found.findings += said


def _examine_live(
    found: Examination, session: Session, partial: bool, load_mode: str, allowed: t.Mapping[str, str]
) -> None:
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
    findings = check_in_place(session, found.source, found.requirements, kept, allowed)
    # Where neither way is open, what stands in the way of each is told.
    found.findings += [*(found.obstacles if load_mode == "auto" and tell_errors(findings) else []), *findings]
    found.kept_extensions = kept.extensions


def _check_privileges(
    found: Examination,
    policy: Policy,
    source: Session | Manifest | None,
    live: Session | None,
    server: Session,
    allowed: t.Container[str],
) -> list[Finding]:
    if found.keeps_schema:
        # A selection is about rows alone.
        return check_kept_privileges(policy) if found.selection is None else []
    there = source.privileges if isinstance(source, Manifest) else read_privileges(source) if source else None
    return check_privileges(
        policy,
        there,
        read_privileges(live) if live else None,
        read_privileges(server),
        in_place=found.in_place,
        allowed=allowed,
    )


def _select(found: Examination, choose: t.Callable[[], Selection | None]) -> None:
    """Settle which tables the run is about; patterns that cannot do so are a finding like any other."""
    try:
        found.selection = choose()
    except MigrationError as error:
        found.findings.append(Finding("error", "selection", "include_tables and exclude_tables", str(error)))


def _of_selected(found: Examination, findings: list[Finding]) -> list[Finding]:
    """Leave out what hides large objects, sequences, and rows of tables that are not selected.

    pg_dump must lock all tables, which takes the right to read them. A sequence belongs to whom its table belongs to.
    """
    selection = found.selection
    if selection is None:
        return findings
    return [
        finding
        for finding in findings
        if not finding.object.startswith(("sequence ", "large object "))
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
