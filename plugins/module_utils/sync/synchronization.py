# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database is made equal to the source by what differs between them, and by no more.

As in a refill, all of it is one transaction, and it is committed only if the verdict says equal; but the source is read
while it runs, within one snapshot, and readers of the live database go on with what was there before.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import typing as t

from ..archive.files import ArchiveFiles
from ..archive.folder import read_manifest
from ..catalog.content import Content
from ..catalog.foreign_keys import Link
from ..catalog.reading import Reading, read_content
from ..catalog.snapshot import Snapshot
from ..catalog.transaction import Transaction
from ..filling.filler import fill
from ..filling.plan import all_once, plan_refilling
from ..in_place.emptying import empty_views, restart
from ..in_place.frame import LockedDatabase, RowsPlan, RowsReplaced, Strategy, keep_schema
from ..in_place.locks import LockMode, impatient
from ..server.endpoint import use_search_path
from ..verdict.comparison import Verdict
from ..verdict.judge import Judge
from .differences import (
    LargeObjectsDifference,
    TableDifference,
    compare_large_objects,
    find_table_differences,
)
from .moving import Moved, move_large_objects, move_rows

#: Who is kept out of all tables meanwhile: who writes. Those whose keys are dropped are closed to readers, too.
LOCK: t.Final[LockMode] = "SHARE ROW EXCLUSIVE"


class Known(t.NamedTuple):
    """What a verdict has told of the database that is made equal."""

    #: the verdict on its schema
    schema: Verdict
    #: what it holds; None if that may differ from what it should have held
    content: Content | None


def synchronize(
    here: Snapshot,
    transaction: Transaction,
    judge: Judge,
    folder: pathlib.Path,
    strategy: Strategy,
    known: Known | None = None,
) -> RowsReplaced[tuple[Moved, ...]]:
    """Make the live database, or the selected tables, equal to the source.

    The caller must roll back unless the verdict says equal.

    :param here: the source, at the instant that the manifest describes
    :param judge: with the patterns that select the tables, and the differences that are allowed
    :param folder: where the schema and the manifest are
    :param known: what need not be read of a database that nobody else writes to
    :raises MigrationError: when the schemas differ, a server refuses anything, or a row is lost
    """

    def plan(live: LockedDatabase) -> RowsPlan[tuple[Moved, ...]]:
        tables, large_objects = _find_differences(here, live, known.content if known else None)
        written = {name for table in tables for name in (table.relation.full_name, *table.tables)}
        move = functools.partial(_move, here, live, folder, tables, large_objects)
        return RowsPlan(written, _choose_keys(live, tables, strategy), move)

    return keep_schema(
        transaction, judge, folder, read_manifest(folder), strategy, plan, LOCK, known.schema if known else None
    )


def _find_differences(
    here: Snapshot, live: LockedDatabase, known: Content | None
) -> tuple[list[TableDifference], LargeObjectsDifference]:
    """Compare what there is: counts and checksums of all, and the rows of what differs by these.

    Parents come before their children, and of a tree all is taken at once.
    """
    ours, path = live.manifest.content, live.manifest.database.serving_path
    relations = [measured.relation for measured in ours.relations]
    theirs = known or read_content(Reading(live.transaction, 1, path, relations, live.selection))
    with here.another_session() as source, live.transaction.another_session() as target:
        for session in (source, target):
            use_search_path(session, path)
        tables = list(find_table_differences(source, target, ours, theirs))
    tables.sort(key=lambda table: max(map(live.order.tables.index, table.tables)))
    return tables, compare_large_objects(ours.large_objects, theirs.large_objects)


def _choose_keys(
    live: LockedDatabase, differences: t.Collection[TableDifference], strategy: Strategy
) -> t.Iterator[Link]:
    """Yield the keys that must be dropped meanwhile.

    Those by which rows refer to a table of which some are deleted: a row that has changed is deleted, too, while what
    refers to it stays, or comes later; and the server would look for such rows once for each. Those within a cycle, in
    which some row always comes before the one that it refers to. What is NOT VALID, or comes back so, new rows may
    break.
    """
    growing = {name for table in differences if table.sent for name in table.tables}
    # Where rows of a tree lie is not known: its tables are not filled one after the other.
    shrinking = {name for table in differences if table.deletes or table.is_tree for name in table.tables}
    for link in live.links:
        children = growing.intersection(live.partitions.get(link.referring, (link.referring,)))
        parents = shrinking.intersection(live.partitions.get(link.referenced, (link.referenced,)))
        breaking = children and (link in live.order.within_cycles or not link.key.validated)
        checked = strategy == "dependency_order" and (parents or breaking)
        if checked or (children and str(link.key) in live.not_valid):
            yield link


def _move(
    here: Snapshot,
    live: LockedDatabase,
    folder: pathlib.Path,
    tables: t.Sequence[TableDifference],
    large_objects: LargeObjectsDifference,
) -> tuple[Moved, ...]:
    """Move what differs; sequences and views follow."""
    manifest, session = live.manifest, live.transaction.session
    with impatient(session), here.another_session() as source:
        use_search_path(source, manifest.database.serving_path)
        moved = move_rows(source, session, tables, manifest.database.locale.encoding)
        restart(session, manifest.content.sequences)
        if live.selection is None:
            move_large_objects(source, session, large_objects)
            empty_views(session, manifest.content)
        rest = [what for what in all_once(manifest) if what != "large objects"]
        plan = plan_refilling([name for table in tables for name in table.tables], (), rest)
        # All rows are there.
        rowless = dataclasses.replace(manifest, tables=(), streamed=False)
        fill(live.transaction.open_session, rowless, ArchiveFiles(folder, rowless), plan, jobs=1)
    return moved
