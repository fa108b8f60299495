# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The undo of a run in place: an archive of the live database, tried before anything is replaced."""

from __future__ import annotations

import functools
import pathlib
import shutil
import typing as t

from ..archive.archive import Archive
from ..archive.compression import Compression
from ..archive.folder import check_archive
from ..archive.writer import write_archive
from ..catalog.selection import EVERYTHING, Patterns
from ..server.client_tools import ClientTools, tools_for
from ..server.endpoint import Endpoint, connect
from ..staging.databases import (
    create_staging,
    drop_database,
    dropped_on_failure,
    maintenance_session,
    may_create_databases,
)
from ..staging.names import Generations
from ..staging.rehearsal import Script, rehearse_beside
from ..staging.restore import restore_data, restore_schema
from ..verdict.failure import require_equal
from ..verdict.judge import Judge
from .clearing import is_empty


def back_up(
    target: Endpoint,
    tools: ClientTools,
    folder: pathlib.Path,
    jobs: int,
    patterns: Patterns = EVERYTHING,
    compression: Compression = "none",
) -> Archive | None:
    """Write an archive of the live database; where that holds nothing, there is nothing to write.

    :param patterns: the tables whose rows are written, as no others will be touched
    :raises MigrationError: when anything at all fails
    """
    with connect(target) as session:
        if is_empty(session):
            return None
        tools = tools_for(session.info.server_version // 10000, tools)
    return write_archive(target, tools, folder, jobs, patterns=patterns, compression=compression)


def rehearse(
    target: Endpoint,
    tools: ClientTools,
    folder: pathlib.Path,
    run_id: str,
    jobs: int,
    allowed: t.Mapping[str, str],
) -> bool:
    """Restore a backup into the staging database, judge that and drop it, where databases can be created.

    Where they cannot, or the backup is of some tables only, which make no database, the archive is read from end to
    end. Return whether it was restored. A backup that fails is removed: nobody shall trust it.

    :param allowed: reasons for differences that are allowed, by object
    :raises MigrationError: when the backup does not give back what the live database holds
    """
    try:
        archive = check_archive(folder, loaded=True)
        # Those that have written it: older ones could not read it.
        tools = tools_for(archive.manifest.database.major, tools)
        if archive.manifest.partial or not may_create_databases(target) or _is_refused(target, tools, archive):
            check_archive(folder)
            return False
        _restore(target, tools, archive, run_id, jobs, allowed)
    except BaseException:
        # Not why it cannot be removed, but why it failed is what is to be told.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return True


def _is_refused(target: Endpoint, tools: ClientTools, archive: Archive) -> bool:
    """Return whether the live database has what the target's user could not make in another one."""
    script = Script(tools, archive.schema, archive.manifest.database, archive.manifest.refresh_order)
    return bool(rehearse_beside(target, script).refusals)


def _restore(
    target: Endpoint,
    tools: ClientTools,
    archive: Archive,
    run_id: str,
    jobs: int,
    allowed: t.Mapping[str, str],
) -> None:
    generations = Generations(target.dbname)
    staging = target.at(generations.staging)
    with dropped_on_failure(target, generations, run_id):
        with maintenance_session(target) as session:
            create_staging(session, generations, archive.manifest.database.locale, run_id)
        with connect(staging) as session:
            restore_schema(session, tools, archive)
        restore_data(functools.partial(connect, staging), tools, archive, jobs, allowed)
        verdict = Judge(target, staging=True, tools=tools, jobs=jobs, allowed=allowed).judge_by_archive(archive)
        require_equal(verdict, f"The backup of the {target}, restored into a database of its own,")
    with maintenance_session(target) as session:
        drop_database(session, generations.staging)
