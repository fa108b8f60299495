# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs within tables whose rows are not equal, told with the verdict."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.content import Content
from ..catalog.relations import Relation
from ..catalog.snapshot import Snapshot
from ..server.endpoint import use_search_path
from .comparison import RowsVerdict, Verdict
from .row_differences import NAMED, RowDifferences, find_row_differences
from .tables import TableVerdict

#: In how many tables the differing rows are looked for; the others differ all the same.
_EXPLAINED_TABLES: t.Final = 20


def told_by(source: Content, target: Content) -> list[Relation]:
    """Return the source's relations by the columns in which they differ: what rows were given, unless that is equal."""
    given = {measured.relation.full_name: measured.given.rows for measured in target.relations}
    return [
        measured.relation if measured.given.rows == given.get(measured.relation.full_name) else measured.given.relation
        for measured in source.relations
    ]


def explain_rows(
    verdict: Verdict,
    here: Snapshot,
    there: Snapshot,
    relations: t.Collection[Relation],
    search_path: str,
    show_rows: int | None,
) -> Verdict:
    """Return the verdict with what differs within tables that are on both sides with the same columns.

    :param show_rows: of how many rows of each table the keys are told; None tells some, of some tables
    """
    trees = {relation.load_through for relation in relations}
    by_name = {relation.full_name: relation for relation in relations}
    unequal = [
        table
        for table in verdict.tables
        if not table.equal and _both(table) and (table.kind == "table" or (table.schema, table.name) in trees)
    ]
    named = NAMED if show_rows is None else show_rows
    rows, explanations = [], {}
    with here.another_session() as ours, there.another_session() as theirs:
        for session in (ours, theirs):
            use_search_path(session, search_path)
        for table in unequal[: _EXPLAINED_TABLES if show_rows is None else None]:
            relation = by_name[table.schema, table.name]
            found = find_row_differences(ours, theirs, relation, named)
            explanations[f"{table.kind} {relation}"] = str(found)
            rows.append(_tell_rows(table, relation, found))
    return dataclasses.replace(verdict.explained(explanations), rows=tuple(rows))


def _tell_rows(table: TableVerdict, relation: Relation, found: RowDifferences) -> RowsVerdict:
    # Where there is no primary key, a row is named by a part of its hash, which tells nobody which it is.
    examples = found.examples if relation.key else {}
    return RowsVerdict(
        table.kind,
        table.schema,
        table.name,
        found.missing,
        found.extra,
        found.changed,
        bytes=relation.size * (found.missing + found.changed) // max(table.source_rows or 0, 1),
        examples=tuple((kind, tuple(names)) for kind, names in sorted(examples.items())),
    )


def _both(table: TableVerdict) -> bool:
    return table.source_checksum is not None and table.target_checksum is not None
