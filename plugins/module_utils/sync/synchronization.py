# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database is made equal to the source by what differs between them, and by no more.

As in a refill, all of it is one transaction, and it is committed only if the verdict says equal; but the source is read
while it runs, within one snapshot, and readers of the live database go on with what was there before.
"""

from __future__ import annotations

import contextlib
import functools
import pathlib
import typing as t

from psycopg import sql

from ..archive.archive import Archive
from ..catalog.computed import find_computed
from ..catalog.content import Content
from ..catalog.reading import Reading, read_content
from ..catalog.snapshot import Snapshot
from ..catalog.transaction import Transaction
from ..in_place.frame import LockedDatabase, RowsPlan, RowsReplaced, Strategy, keep_schema
from ..in_place.locks import LockMode, lock_described
from ..in_place.unchanged import keeping_out
from ..server.endpoint import Session
from ..verdict.comparison import Verdict
from ..verdict.judge import Judge
from .bringing import bring
from .differences import Differences, compare_large_objects, compare_sequences, find_table_differences
from .moving import Live, Moved, Origin
from .undo import write_undo

#: Who is kept out of all tables meanwhile: who writes. Those whose keys are dropped are closed to readers, too.
LOCK: t.Final[LockMode] = "SHARE ROW EXCLUSIVE"


class Known(t.NamedTuple):
    """What a verdict has told of a copy that is made equal; the caller judges its rows when all is committed."""

    #: the verdict on its schema
    schema: Verdict
    #: what it holds; None if that may differ from what it should have held
    content: Content | None
    #: the number of the source's transaction before which it was a copy
    since: int | None = None


def synchronize(
    here: Snapshot,
    transaction: Transaction,
    judge: Judge,
    described: Archive,
    strategy: Strategy,
    known: Known | None = None,
    undo: pathlib.Path | None = None,
) -> RowsReplaced[tuple[Moved, ...]]:
    """Make the live database, or the selected tables, equal to the source.

    The caller must roll back unless the verdict says equal.

    :param here: the source, at the instant that is described
    :param judge: with the patterns that select the tables, and the differences that are allowed
    :param described: what the source holds, as far as rows are concerned by their sums
    :param known: what need not be read of a database that nobody else writes to
    :param undo: where what goes is written before anything does; None of a database that nobody uses
    :raises MigrationError: when the schemas differ, a server refuses anything, or a row is lost
    """
    manifest = described.manifest
    selection = manifest.select(judge.patterns)
    locks: list[sql.Composable] = []
    if undo:
        locks = keeping_out(transaction, selection, LOCK)
    else:
        lock_described(transaction.session, manifest, selection, LOCK)

    def plan(live: LockedDatabase) -> RowsPlan[tuple[Moved, ...]]:
        told = known.content if known else None
        found = told or _read(live)
        with live.transaction.another_session(live.manifest.database.serving_path) as target:
            differences = _find_differences(here, live, target, found, known.since if known else None)
            if undo:
                write_undo(undo, live, target, found, differences)
        open_origin = functools.partial(_open_source, here, live)
        return bring(live, None if told else found, differences, open_origin, strategy, live.manifest)

    return keep_schema(transaction, judge, described, strategy, plan, known.schema if known else None, locks)


def _read(live: LockedDatabase) -> Content:
    ours, path, transaction = live.manifest.content, live.manifest.database.serving_path, live.transaction
    relations = [measured.relation for measured in ours.relations]
    return read_content(
        Reading(
            transaction,
            1,
            path,
            relations,
            live.selection,
            relations=live.everything,
            earlier=live.earlier,
            sequences=ours.sequences,
        )
    )


def _find_differences(
    here: Snapshot, live: LockedDatabase, target: Session, found: Content, since: int | None
) -> Differences:
    """Compare what there is: counts and checksums of all, and the rows of what differs by these."""
    ours, database = live.manifest.content, live.manifest.database
    there = {measured.relation.full_name: measured.rows for measured in ours.relations}
    generated = [m.relation for m in found.relations if m.relation.generated and m.rows != there[m.relation.full_name]]
    computed = find_computed(
        live.transaction.session,
        {name for relation in generated for name in relation.stored_in},
        database.serving_path,
        database.begun_with,
    )
    with here.another_session(database.serving_path) as source:
        tables = list(find_table_differences(source, target, ours, found, since, computed))
    return Differences(
        tuple(sorted(tables, key=lambda table: max(map(live.order.tables.index, table.tables)))),
        compare_large_objects(ours.large_objects, found.large_objects),
        compare_sequences(ours.sequences, found.sequences),
    )


@contextlib.contextmanager
def _open_source(here: Snapshot, live: LockedDatabase) -> t.Iterator[Origin]:
    database = live.manifest.database
    with here.another_session(database.serving_path) as source:
        yield Live(source, database.locale.encoding)
