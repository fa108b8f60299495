# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be known before anything is changed, all findings at once."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import typing as t

from ..catalog.database import DatabaseProperties, read_database
from ..catalog.foreign_keys import Census, take_census
from ..catalog.requirements import Requirements, read_requirements
from ..catalog.snapshot import exported_snapshot
from ..container.engine import ContainerError
from ..container.route import open_route
from ..endpoint import Endpoint, Session, connect
from ..errors import MigrationError
from ..staging.databases import database_exists, maintenance_session
from ..staging.names import Generations
from ..tools import ClientTools, choose_tools
from .checks.duplicates import check_duplicates
from .checks.expressions import check_expressions
from .checks.identity import check_identity
from .checks.live import check_only_live, list_tables
from .checks.locks import check_locks
from .checks.room import (
    check_archive_room,
    check_connections,
    check_lock_room,
    check_target_room,
    read_locks_needed,
    read_rows_size,
)
from .checks.session import check_session
from .checks.source import check_foreign_keys, check_reading, check_source
from .checks.target import check_rollback, check_target
from .checks.tools import check_tools
from .findings import Finding

#: The oldest server whose database can be read.
_OLDEST_MAJOR: t.Final = 15

#: Errors after which rows cannot be read, or not by several sessions.
_HIDING: t.Final = frozenset(
    {"connections", "locked", "no-connection", "not-readable", "pooler", "replica-unlogged", "row-security", "snapshot"}
)

Opened = t.TypeVar("Opened")


@dataclasses.dataclass(frozen=True)
class Archived:
    """What an archive that stands for the source tells of it."""

    database: DatabaseProperties
    requirements: Requirements
    #: schema and name
    tables: frozenset[tuple[str, str]]


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
    #: whether the live database can be compared
    target_readable: bool = False
    tools: ClientTools | None = None
    #: what is true of the source's foreign keys
    census: list[Census] = dataclasses.field(default_factory=list)

    @property
    def can_read_rows(self) -> bool:
        """Whether nothing found by now keeps the source's rows from being read, all of them and at once."""
        return not any(finding.severity == "error" and finding.code in _HIDING for finding in self.findings)


def examine(
    source: Endpoint | None,
    target: Endpoint | None,
    archived: Archived | None,
    client_bindir: str,
    may_disconnect: bool,
    *,
    rollback: bool = False,
    jobs: int = 1,
    allowed: t.Mapping[str, str] | None = None,
    archive_root: pathlib.Path | None = None,
    replaces: bool = True,
) -> Examination:
    """Examine the sides that take part; an archive stands for the source when there is one.

    :param allowed: reasons for differences that are allowed, by object
    :param rollback: whether the target's previous database is to return, which takes no part of the rest
    :param archive_root: where an archive of the source is to be written, if one is
    :param replaces: whether the live database is to be replaced
    """
    found = Examination()
    with contextlib.ExitStack() as stack:
        found.reached = _enter(stack, found, open_route, source) if source else None
        source_session = _enter(stack, found, connect, found.reached) if found.reached else None
        target_session = _enter(stack, found, maintenance_session, target) if target else None
        if archived:
            found.source, found.requirements, found.tables = archived.database, archived.requirements, archived.tables
        if found.reached and source_session:
            _examine_source(found, found.reached, source_session, jobs, archive_root)
        if target and target_session:
            found.target_version = target_session.info.server_version
            found.target_exists = database_exists(target_session, target.dbname)
            found.findings += check_session(target.at(target_session.info.dbname), target_session)
            found.findings += check_connections(target_session, target, jobs)
        if target and target_session and found.source and found.requirements:
            found.findings += check_target(
                target_session, Generations(target.dbname), found.source, found.requirements, may_disconnect
            )
            if replaces:
                found.findings += check_target_room(target_session, target, found.source.size)
        if target and target_session and rollback:
            found.findings += check_rollback(target_session, Generations(target.dbname), may_disconnect)
        if source_session and target and target_session:
            # Where sessions do not stay the same, a lock taken in one might never be given back.
            if not any(finding.code == "pooler" for finding in found.findings):
                found.findings += check_identity(source_session, target_session, target)
            found.findings += check_lock_room(target_session, "target", read_locks_needed(source_session))
        # Last of all: this session in the live database would be one of the clients that check_target counts.
        live_session = _enter(stack, found, connect, target) if target and found.target_exists else None
        if target and live_session and not rollback:
            _examine_live(found, live_session, target, replaces)
        if found.reached and source_session and found.source and found.can_read_rows:
            target_major = found.target_version // 10000 if found.target_version else None
            found.findings += check_expressions(source_session, found.source.search_path, target_major)
            # They are not looked for without a reason: that reads tables as a whole, and sorts them.
            if any(finding.code == "collation-version" for finding in found.findings):
                found.findings += check_duplicates(source_session)
            with exported_snapshot(found.reached) as snapshot:
                found.census = take_census(snapshot, jobs)
            found.findings += check_foreign_keys(found.census, allowed or {})
        if found.source:
            target_major = (found.target_version or found.source.server_version) // 10000
            try:
                found.tools = choose_tools(found.source.major, target_major, client_bindir)
                if found.reached and source_session:
                    found.findings += check_tools(found.tools, found.reached)
                if target and target_session:
                    found.findings += check_tools(found.tools, target.at(target_session.info.dbname))
            except MigrationError as error:
                found.findings.append(Finding("error", "client-tools", "client tools", str(error)))
    return found


def _examine_source(
    found: Examination, source: Endpoint, session: Session, jobs: int, archive_root: pathlib.Path | None
) -> None:
    found.source = read_database(session)
    found.tables = list_tables(session)
    found.findings += _check_oldest(found.source)
    found.findings += check_session(source, session)
    found.findings += check_connections(session, source, jobs)
    found.findings += check_source(session)
    found.findings += check_lock_room(session, "source", read_locks_needed(session))
    locked = check_locks(session, "source")
    found.findings += locked
    if locked:
        # Sizes and values would have to wait.
        return
    found.requirements = read_requirements(session)
    if archive_root:
        found.findings += check_archive_room(archive_root, read_rows_size(session))


def _examine_live(found: Examination, session: Session, target: Endpoint, replaces: bool) -> None:
    locked = check_locks(session, "target")
    found.findings += locked
    found.findings += _check_live_reading(found, session, target)
    if replaces and not locked and found.requirements:
        extensions = {extension.name for extension in found.requirements.extensions}
        found.findings += check_only_live(session, found.tables, extensions)


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
    hidden = check_reading(live_session)
    found.target_readable = not hidden
    if not hidden:
        return []
    return [
        Finding(
            "warning",
            "target-not-readable",
            f'database "{target.dbname}"',
            f"the target user may not read all of it ({hidden[0].object}, for instance), so that whether it equals the "
            "source already cannot be told: it is replaced.",
        )
    ]
