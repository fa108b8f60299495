# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database's own tables, emptied and filled again: its schema is kept, and must be the source's.

All of it is one transaction. The foreign keys are there while rows are loaded: either the tables come in an order in
which each row finds the one that it refers to, or the server's checks are switched off and made up for afterwards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import typing as t

from ..archive.files import ArchiveFiles
from ..archive.folder import read_manifest
from ..archive.manifest import ArchivedRows, Manifest
from ..archive.origin import Origin
from ..catalog.foreign_keys import Link, list_links, take_census
from ..catalog.relations import Relation, list_relations
from ..catalog.selection import Name, Selection
from ..catalog.transaction import Transaction
from ..filling.filler import fill
from ..filling.plan import all_once, plan_refilling
from ..privileges.applying import carry_privileges
from ..privileges.reading import read_privileges
from ..privileges.wanted import KEPT
from ..server.endpoint import use_search_path
from ..staging.row_security import owner_unbound
from ..staging.schema import left_unvalidated
from ..verdict.comparison import Verdict
from ..verdict.definitions import compare_schemas
from ..verdict.findings import Difference
from ..verdict.judge import Judge
from .constraints import without_constraints
from .emptying import empty, empty_others, restart
from .kept_schema import judge_kept_schema
from .locks import impatient, lock_tables
from .order import LoadOrder, order_selected
from .triggers import event_triggers_silenced, silenced
from .untouched import others_untouched

Strategy = t.Literal["dependency_order", "disable_triggers"]


@dataclasses.dataclass(frozen=True)
class Refilled:
    """What was done: in which order, which keys were dropped and added again, the rows received, and the verdict."""

    order: LoadOrder
    readded: tuple[Link, ...]
    received: list[tuple[ArchivedRows, int]]
    verdict: Verdict


def refill(
    transaction: Transaction, judge: Judge, folder: pathlib.Path, strategy: Strategy, origin: Origin | None = None
) -> Refilled:
    """Put an archive's rows, or those of the selected tables, in the place of the target's own.

    The caller must roll back unless the verdict says equal.

    :param judge: with the patterns that select the tables, and the differences that are allowed
    :param origin: where the rows come from, if not from the archive's files
    :raises MigrationError: when the schemas differ, the server refuses anything, or a row is lost
    """
    manifest, session, judge = read_manifest(folder), transaction.session, dataclasses.replace(judge, jobs=1)
    selection = manifest.select(judge.patterns)
    # Whatever is deferrable is checked at the end of each statement: a table with pending checks cannot be altered.
    session.execute("SET CONSTRAINTS ALL IMMEDIATE")
    everything = list_relations(session)
    relations = [relation for relation in everything if selection is None or relation.full_name in selection]
    tables = [relation.full_name for relation in relations if relation.kind != "materialized view"]
    lock_tables(session, tables)
    if origin:
        manifest = manifest.in_text(_of_other_types(manifest, relations))
    kept = judge_kept_schema(transaction, judge, folder, manifest, selection)
    privileges = read_privileges(session)
    definitions, links = judge.read_definitions(transaction), list_links(session)
    order = order_selected(everything, links, selection)
    not_valid = left_unvalidated(everything, judge.allowed, session.info.server_version)
    readded = _choose_keys(order, links, tables, strategy, not_valid)
    with contextlib.ExitStack() as stack:
        if selection is not None:
            stack.enter_context(others_untouched(session, selection))
        stack.enter_context(event_triggers_silenced(session))
        stack.enter_context(owner_unbound(session, tables))
        with (
            without_constraints(session, readded, tables, manifest.database.serving_path, not_valid),
            silenced(session, tables, strategy == "disable_triggers"),
        ):
            # To empty a table is to build its indexes anew.
            use_search_path(session, manifest.database.serving_path)
            empty(session, relations, order, links)
            received = _fill(transaction, origin or ArchiveFiles(folder, manifest), manifest, order, selection)
            # Large objects are made anew, and with them what was granted on them.
            carry_privileges(session, KEPT, privileges, None)
        content = judge.judge_content(transaction, manifest, selection)
        orphans = _find_orphans(transaction, manifest.database.serving_path, selection)
    _, changes = compare_schemas(definitions, judge.read_definitions(transaction))
    verdict = kept.joined(content).joined(orphans).joined(Verdict(differences=changes)).allowing(judge.allowed)
    return Refilled(order, readded, received, verdict)


def _fill(
    transaction: Transaction, origin: Origin, manifest: Manifest, order: LoadOrder, selection: Selection | None
) -> list[tuple[ArchivedRows, int]]:
    """Load the archive's rows, or those of the selected tables; sequences, large objects and views follow."""
    session = transaction.session
    if selection is not None:
        manifest = dataclasses.replace(manifest, content=manifest.content.of(selection), refresh_order=())
    restart(session, manifest.content.sequences)
    if selection is None:
        empty_others(session, manifest.content)
    plan = plan_refilling(order.tables, {(table.schema, table.name) for table in manifest.tables}, all_once(manifest))
    # Each row locks the one that it refers to, which may be in use where the parents are not loaded.
    with impatient(session):
        return fill(transaction.open_session, manifest, origin, plan, jobs=1)


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


def _choose_keys(
    order: LoadOrder,
    links: t.Iterable[Link],
    tables: t.Container[Name],
    strategy: Strategy,
    not_valid: t.Container[str],
) -> tuple[Link, ...]:
    """Return the keys that must be dropped meanwhile.

    TRUNCATE refuses those by which other tables refer to these, even if they have no rows. Those that are allowed to
    have orphans come back as NOT VALID. Where the server checks each row, it does so for NOT VALID keys as well, whose
    rows may break them, and within a cycle some row always comes before the one that it refers to.
    """
    dropped = [*order.leading_in]
    dropped += [link for link in links if link.referring in tables and str(link.key) in not_valid]
    if strategy == "dependency_order":
        dropped += order.within_cycles
        dropped += [link for link in links if link.referring in tables and not link.key.validated]
    return tuple(dict.fromkeys(dropped))


def _find_orphans(transaction: Transaction, search_path: str, selection: Selection | None) -> Verdict:
    """Return the keys that claim to be valid over rows that break them, whoever was to check these rows."""
    census = take_census(transaction, 1, search_path, only=selection)
    return Verdict(
        differences=tuple(
            Difference(
                str(counted.key),
                f"{counted.orphans:,} rows refer to a row of {counted.key.references} that is not on the target, "
                f"{', '.join(counted.examples)} for instance",
            )
            for counted in census
            if counted.orphans and counted.key.validated
        )
    )
