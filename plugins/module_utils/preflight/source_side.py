# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source is examined: what of it cannot be read, and what of it would not arrive."""

from __future__ import annotations

import contextlib
import typing as t

from ..archive.schema import dump_schema, read_schema
from ..catalog.database import DatabaseProperties, read_database
from ..catalog.orphans import take_census
from ..catalog.relations import list_relations
from ..catalog.requirements import read_requirements
from ..catalog.selection import select
from ..catalog.snapshot import exported_snapshot
from ..errors import MigrationError
from ..server.client_tools import ClientTools
from ..server.endpoint import Endpoint, Session, connect
from ..verdict.findings import Finding
from ..work_folder import WorkFolder
from .checks.duplicates import check_duplicates
from .checks.expressions import check_expressions
from .checks.extensions import check_account
from .checks.far_trees import check_far_trees
from .checks.hash_trees import check_hash_trees
from .checks.live import list_tables
from .checks.locks import check_locks
from .checks.login_triggers import check_login_triggers
from .checks.missing_settings import check_missing_settings
from .checks.orphans import check_foreign_keys
from .checks.room import check_archive_room, check_connections, check_lock_room, read_locks_needed, read_rows_size
from .checks.session import check_session
from .checks.source import check_source
from .checks.wide_rows import check_wide_rows
from .examination import Examination
from .goals import GOALS
from .request import Request
from .transfer import choose_transfer

#: The oldest server whose database can be read.
_OLDEST_MAJOR: t.Final = 15


def examine_source(found: Examination, request: Request, source: Endpoint, session: Session) -> None:
    """Look at the source's server, and at what its catalogs say.

    :param source: as it was reached
    """
    settings = request.settings
    found.source = read_database(session)
    found.tables = list_tables(session)
    found.findings += _check_oldest(found.source)
    found.findings += check_session(source, session, lambda: connect(source))
    found.findings += check_connections(session, source, settings.jobs)
    locked = check_locks(session, "source")
    found.findings += locked
    if settings.patterns and not locked:
        found.select(lambda: select(list_relations(session), settings.patterns))
    found.findings += found.of_selected(check_source(session))
    found.findings += check_login_triggers(session)
    found.findings += check_lock_room(session, "source", read_locks_needed(session))
    if locked:
        # Sizes and values would have to wait.
        return
    found.requirements = read_requirements(session)
    goal = GOALS[request.goal]
    if request.archive_root and goal.writes_archive and request.load_mode != "sync":
        size = read_rows_size(session)
        found.transfer = choose_transfer(request.transfer if goal.fills else "archive", size)
        if found.transfer.way == "archive":
            found.findings += check_archive_room(request.archive_root, size)


def examine_rows(found: Examination, request: Request, session: Session) -> None:
    """Look at what only the rows tell, and at what is evaluated with them."""
    if not (found.reached and found.source and found.can_read_rows):
        return
    target_major = found.target_version // 10000 if found.target_version else None
    found.findings += check_expressions(session, found.source, target_major)
    relations, goal = list_relations(session), GOALS[request.goal]
    if goal.fills:
        found.findings += check_missing_settings(
            session,
            found.reached,
            found.source,
            found.missing_settings,
            found.selection,
            request.settings.queries,
        )
    found.findings += check_wide_rows(session, relations)
    if goal.fills or goal.writes_archive:
        found.findings += check_far_trees("the source", relations, found.selection)
        found.findings += check_hash_trees(session, relations, found.selection)
    # They are not looked for without a reason: that reads tables as a whole, and sorts them.
    if found.has("collation-version"):
        found.findings += check_duplicates(session, found.source.serving_path)
    with exported_snapshot(found.reached) as snapshot:
        found.census = take_census(
            snapshot, request.settings.jobs, found.source.serving_path, only=found.selection, relations=relations
        )
    found.findings += check_foreign_keys(found.census, request.settings.allowed, target_major)


def examine_account(source: Endpoint, tools: ClientTools, allowed: t.Mapping[str, str]) -> list[Finding]:
    """Return which objects of the source a dump does not carry, where no dump follows that would tell."""
    # What keeps pg_dump from its work, the dump tells.
    with WorkFolder() as work, exported_snapshot(source) as snapshot, contextlib.suppress(MigrationError):
        dump_schema(snapshot, tools, work / "source.dump")
        carried = {entry.address for entry in read_schema(tools, work / "source.dump")}
        return check_account(snapshot.session, carried, allowed)
    return []


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
