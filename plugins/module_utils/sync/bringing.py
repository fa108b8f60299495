# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs is brought to the live database, with all that stands in its way, and follows from it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
import typing as t

from psycopg import sql

from ..archive.archive import Archive
from ..archive.manifest import Manifest
from ..catalog.content import Content
from ..catalog.foreign_keys import Link
from ..catalog.selection import Name
from ..catalog.sequences import Sequence
from ..filling.filler import fill
from ..filling.plan import all_once, plan_refilling
from ..in_place.emptying import empty_views, restart
from ..in_place.frame import LockedDatabase, RowsPlan, Strategy
from ..in_place.locks import PATIENT_AGAIN, impatiently, telling_holders
from ..privileges.applying import carry_privileges
from ..privileges.catalog import Privileges
from ..privileges.reading import read_privileges
from ..privileges.wanted import KEPT
from ..server.batches import execute_together
from .differences import Differences, TableDifference
from .moving import Moved, Origin, move_large_objects, move_rows

OpenOrigin = t.Callable[[], contextlib.AbstractContextManager[Origin]]


def bring(
    live: LockedDatabase,
    found: Content | None,
    differences: Differences,
    open_origin: OpenOrigin,
    strategy: Strategy,
    manifest: Manifest,
    before: Privileges | None = None,
) -> RowsPlan[tuple[Moved, ...]]:
    """Return how the differences are brought.

    :param found: what the live database holds, where it was read in the transaction
    :param open_origin: gives where the rows come from
    :param manifest: what must be there afterwards
    :param before: owners and grants of large objects that come back
    """
    written = {name for table in differences.tables for name in (table.relation.full_name, *table.tables)}
    # Large objects are made anew, and with them what was granted on them.
    privileges = None
    if differences.large_objects:
        now = read_privileges(live.transaction.session)
        privileges = dataclasses.replace(now, objects=(*(before.objects if before else ()), *now.objects))
    move = functools.partial(_move, live, differences, open_origin, manifest, privileges)
    return RowsPlan(written, _choose_keys(live, differences.tables, strategy), move, manifest, found)


def _choose_keys(
    live: LockedDatabase, differences: t.Collection[TableDifference], strategy: Strategy
) -> t.Iterator[Link]:
    """Yield the keys that must be dropped meanwhile.

    Those by which rows refer to a table of which some are deleted: a row that has changed is deleted, too, while what
    refers to it stays, or comes later; and the server would look for such rows once for each. Those within a cycle, in
    which some row always comes before the one that it refers to. What is NOT VALID, or comes back so, new rows may
    break.
    """
    growing = {name for table in differences if table.coming.count for name in table.tables}
    # Where rows of a tree lie is not known: its tables are not filled one after the other.
    shrinking = {name for table in differences if table.going.count or table.is_tree for name in table.tables}
    for link in live.links:
        children = growing.intersection(live.partitions.get(link.referring, (link.referring,)))
        parents = shrinking.intersection(live.partitions.get(link.referenced, (link.referenced,)))
        breaking = children and (link in live.order.within_cycles or not link.key.validated)
        checked = strategy == "dependency_order" and (parents or breaking)
        if checked or (children and str(link.key) in live.not_valid):
            yield link


def _move(
    live: LockedDatabase,
    differences: Differences,
    open_origin: OpenOrigin,
    manifest: Manifest,
    privileges: Privileges | None,
    first: t.Sequence[sql.Composable],
    last: sql.Composed,
) -> tuple[Moved, ...]:
    """Move what differs; sequences and views follow.

    :param first: the statements with which it begins
    :param last: and those with which it ends
    """
    session, tables = live.transaction.session, differences.tables
    # Queries of views may draw from sequences.
    sequences = manifest.content.sequences if manifest.refresh_order else differences.sequences
    with telling_holders(session), open_origin() as origin:
        moved = move_rows(origin, session, tables, manifest.database, [*first, *impatiently()])
        restart(session, sequences)
        if differences.large_objects:
            move_large_objects(origin, session, differences.large_objects)
        if live.selection is None:
            empty_views(session, manifest.content)
        _fill_rest(live, manifest, sequences, [name for table in tables for name in table.tables if _is_other(table)])
    if privileges:
        session.execute(PATIENT_AGAIN)
        carry_privileges(session, KEPT, privileges, None)
        session.execute(last)
    else:
        execute_together(session, PATIENT_AGAIN, last)
    return moved


#: Statistics are taken where more of a table has changed, as autovacuum does (docs: autovacuum_analyze_scale_factor).
_OTHER_SHARE: t.Final = 0.1


def _is_other(table: TableDifference) -> bool:
    """Whether the planner must be told anew what is in a table."""
    return max(table.going.count, table.coming.count) > _OTHER_SHARE * table.before


def _fill_rest(
    live: LockedDatabase, manifest: Manifest, sequences: tuple[Sequence, ...], tables: t.Sequence[Name]
) -> None:
    """Do what follows when all rows and large objects are there.

    :param tables: of which statistics are taken
    """
    content = dataclasses.replace(manifest.content, sequences=sequences)
    rest = dataclasses.replace(manifest, content=content, tables=(), streamed=False, changes=None)
    plan = plan_refilling(tables, (), [what for what in all_once(rest) if what != "large objects"])
    if plan:
        fill(live.transaction.open_session, rest, Archive(pathlib.Path(), rest), plan, jobs=1)
