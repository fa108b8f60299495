# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schema and rows of the live database are replaced by an archive's, in one transaction."""

from __future__ import annotations

import dataclasses
import typing as t

from ..archive.archive import Archive
from ..archive.manifest import ArchivedRows
from ..archive.origin import Origin
from ..archive.schema import Entry, dump_schema, read_schema, read_section
from ..catalog.database import read_database
from ..catalog.transaction import Transaction
from ..errors import MigrationError
from ..filling.objects import create_entries
from ..privileges.proof import read_before
from ..server.client_tools import ClientTools, tools_for
from ..server.endpoint import use_search_path
from ..staging.carriage import Carriage
from ..staging.properties import take_over
from ..staging.restore import restore_data
from ..verdict.comparison import Verdict
from ..verdict.judge import Judge
from ..work_folder import WorkFolder
from .clearing import clear, find_kept


@dataclasses.dataclass(frozen=True)
class Replaced:
    """What was done: for each table of the archive, how many rows the target received; and the verdict."""

    received: list[tuple[ArchivedRows, int]]
    verdict: Verdict


def replace(transaction: Transaction, judge: Judge, archive: Archive, origin: Origin | None = None) -> Replaced:
    """Drop all that the live database holds, and make what the archive holds; foreign keys come over complete rows.

    The caller must roll back unless the verdict says equal.

    :param origin: where the rows come from, if not from the archive's files
    :raises MigrationError: naming what failed
    """
    manifest = archive.manifest
    manifest.require_whole()
    if judge.patterns:
        raise MigrationError("Tables are selected, and fk_strategy post_data replaces all. Set it to dependency_order.")
    before, source = read_before(transaction.session), manifest.require_privileges(judge.policy.needs_source)
    carriage = Carriage(judge.policy, before.privileges, source, judge.allowed)
    reworded = _replace_schema(transaction, judge.tools, archive)
    received = restore_data(
        transaction.open_session,
        judge.tools,
        archive,
        jobs=1,
        allowed=judge.allowed,
        finish=carriage.finish,
        origin=origin,
    )
    for statement in take_over(read_database(transaction.session), manifest.database, judge.allowed):
        transaction.session.execute(statement)
    # Temporary tables of the load would be part of what the catalogs say.
    transaction.session.execute("DISCARD TEMP")
    judge = dataclasses.replace(judge, jobs=1, reword=lambda: reworded, before=before)
    verdict = judge.judge_transaction(transaction, archive)
    return Replaced(received, verdict)


def reword(transaction: Transaction, tools: ClientTools, archive: Archive) -> list[Entry]:
    """Return the archive's schema as the target's server words it, and leave the live database as it was.

    :raises MigrationError: naming what failed
    """
    with transaction.session.transaction(force_rollback=True):
        return _replace_schema(transaction, tools, archive)


def _replace_schema(transaction: Transaction, tools: ClientTools, archive: Archive) -> list[Entry]:
    """Make what must be there before rows in the place of all that there is; return the whole schema reworded."""
    session, source = transaction.session, archive.manifest.database
    kept = find_kept(session, archive.manifest.requirements.extensions, source.has_public)
    clear(session, kept, source.has_public)
    with transaction.open_session():
        use_search_path(session, source.serving_path)
        create_entries(session, kept.without(read_section(tools, archive.schema, "pre-data")))
    return _reword(transaction, tools, read_section(tools, archive.schema, "post-data"), source.serving_path)


def _reword(
    transaction: Transaction, tools: ClientTools, post_data: t.Sequence[Entry], search_path: str
) -> list[Entry]:
    """Return the whole schema as the target's server words it, while its tables are empty; post-data is undone again.

    What staging/scratch.py does in a database of its own is done here in the live one, since none can be made.
    """
    tools = tools_for(transaction.session.info.server_version // 10000, tools)
    with WorkFolder() as work:
        path = work / "reworded.dump"
        with transaction.session.transaction(force_rollback=True):
            with transaction.open_session() as session:
                use_search_path(session, search_path)
                create_entries(session, post_data)
            dump_schema(transaction, tools, path)
        return read_schema(tools, path)
