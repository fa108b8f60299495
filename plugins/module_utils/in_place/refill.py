# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database's own tables, emptied and filled again from an archive."""

from __future__ import annotations

import functools
import typing as t

from psycopg import sql

from ..archive.archive import Archive
from ..archive.manifest import ArchivedRows, Manifest
from ..archive.origin import Origin
from ..catalog.foreign_keys import Link
from ..catalog.relations import Relation
from ..catalog.selection import Name
from ..catalog.transaction import Transaction
from ..filling.filler import fill
from ..filling.plan import all_once, plan_refilling
from ..privileges.applying import carry_privileges
from ..privileges.catalog import Privileges
from ..privileges.reading import read_privileges
from ..privileges.wanted import KEPT
from ..server.batches import execute_together
from ..verdict.judge import Judge
from .emptying import empty, empty_views, restart, unlink_all
from .frame import LockedDatabase, RowsPlan, RowsReplaced, Strategy, keep_schema
from .locks import impatient, lock_described

#: For each table of the archive that was loaded, how many rows the target received.
Received = list[tuple[ArchivedRows, int]]


def refill(
    transaction: Transaction, judge: Judge, archive: Archive, strategy: Strategy, origin: Origin | None = None
) -> RowsReplaced[Received]:
    """Put an archive's rows, or those of the selected tables, in the place of the target's own.

    The caller must roll back unless the verdict says equal.

    :param judge: with the patterns that select the tables, and the differences that are allowed
    :param origin: where the rows come from, if not from the archive's files
    :raises MigrationError: when the schemas differ, the server refuses anything, or a row is lost
    """

    def plan(live: LockedDatabase) -> RowsPlan[Received]:
        fill_all = functools.partial(_fill, live, archive, origin, read_privileges(live.transaction.session))
        return RowsPlan(live.tables, _choose_keys(live, strategy), fill_all, live.manifest)

    manifest = archive.manifest
    lock_described(transaction.session, manifest, manifest.select(judge.patterns), "ACCESS EXCLUSIVE")
    return keep_schema(transaction, judge, archive, strategy, plan)


def _fill(
    live: LockedDatabase,
    archive: Archive,
    origin: Origin | None,
    privileges: Privileges,
    first: t.Sequence[sql.Composable],
    last: sql.Composed,
) -> Received:
    """Load the source's rows, or those of the selected tables; sequences, large objects and views follow.

    :param privileges: as they are before
    :param first: the statements with which it begins
    :param last: and those with which it ends
    """
    manifest, session = live.manifest, live.transaction.session
    execute_together(session, *first)
    if origin:
        manifest = manifest.in_text(_of_other_types(manifest, live.relations))
    empty(session, live.relations, live.order, live.links)
    restart(session, manifest.content.sequences)
    if live.selection is None:
        unlink_all(session)
        empty_views(session, manifest.content)
    filled = {(table.schema, table.name) for table in manifest.tables}
    plan = plan_refilling(live.order.tables, filled, all_once(manifest))
    # Each row locks the one that it refers to, which may be in use where the parents are not loaded.
    with impatient(session):
        received = fill(live.transaction.open_session, manifest, origin or archive, plan, jobs=1)
    # Large objects are made anew, and with them what was granted on them.
    carry_privileges(session, KEPT, privileges, None)
    session.execute(last)
    return received


def _of_other_types(manifest: Manifest, relations: t.Iterable[Relation]) -> set[Name]:
    """Return the tables of which a column is of another type here, as it may be allowed to: its binary form is not."""
    here = {relation.full_name: _types(relation) for relation in relations}
    return {
        measured.relation.full_name
        for measured in manifest.content.relations
        if here.get(measured.relation.full_name) != _types(measured.relation)
    }


def _types(relation: Relation) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in relation.hashed]


def _choose_keys(live: LockedDatabase, strategy: Strategy) -> t.Iterator[Link]:
    """Yield the keys that must be dropped meanwhile.

    TRUNCATE refuses those by which other tables refer to these, even if they have no rows, and those of a table that
    has no key but NOT ENFORCED ones, even if it is named (18; heap_truncate_check_FKs in heap.c). Those that are
    allowed to have orphans come back as NOT VALID. Where the server checks each row, it does so for NOT VALID keys as
    well, whose rows may break them, and within a cycle some row always comes before the one that it refers to.
    """
    own = [link for link in live.links if link.referring in live.tables]
    yield from live.order.leading_in
    yield from (link for link in own if str(link.key) in live.not_valid)
    if strategy == "dependency_order":
        yield from live.order.within_cycles
        yield from (link for link in own if not link.key.validated)
    else:
        yield from (link for link in own if link.key.definition.endswith(" NOT ENFORCED"))
