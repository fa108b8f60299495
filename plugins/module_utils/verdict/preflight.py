# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be known before anything is changed, all findings at once."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
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
from .findings import Finding, tell_errors
from .source_checks import check_foreign_keys, check_reading, check_source
from .target_checks import check_rollback, check_target

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
    #: whether the live database can be compared
    target_readable: bool = False
    tools: ClientTools | None = None
    #: what is true of the source's foreign keys
    census: list[Census] = dataclasses.field(default_factory=list)


def examine(
    source: Endpoint | None,
    target: Endpoint | None,
    archived: tuple[DatabaseProperties, Requirements] | None,
    client_bindir: str,
    may_disconnect: bool,
    *,
    rollback: bool = False,
    jobs: int = 1,
    allowed: t.Mapping[str, str] | None = None,
) -> Examination:
    """Examine the sides that take part; an archive stands for the source when there is one.

    :param allowed: reasons for differences that are allowed, by object
    :param rollback: whether the target's previous database is to return, which takes no part of the rest
    """
    found = Examination()
    with contextlib.ExitStack() as stack:
        found.reached = _enter(stack, found, open_route, source) if source else None
        source_session = _enter(stack, found, connect, found.reached) if found.reached else None
        target_session = _enter(stack, found, maintenance_session, target) if target else None
        if archived:
            found.source, found.requirements = archived
        if source_session:
            found.source = read_database(source_session)
            found.requirements = read_requirements(source_session)
            found.findings += _check_oldest(found.source)
            found.findings += check_source(source_session)
        if found.reached and source_session and not tell_errors(found.findings):
            # Rows that cannot be read, as findings tell by now, cannot be checked.
            with exported_snapshot(found.reached) as snapshot:
                found.census = take_census(snapshot, jobs)
            found.findings += check_foreign_keys(found.census, allowed or {})
        if target and target_session:
            found.target_version = target_session.info.server_version
            found.target_exists = database_exists(target_session, target.dbname)
        if target and target_session and found.source and found.requirements and not rollback:
            found.findings += check_target(
                target_session, Generations(target.dbname), found.source, found.requirements, may_disconnect
            )
        if target and target_session and rollback:
            found.findings += check_rollback(target_session, Generations(target.dbname), may_disconnect)
        # Last of all: this session in the live database would be one of the clients that check_target counts.
        live_session = _enter(stack, found, connect, target) if target and found.target_exists else None
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
