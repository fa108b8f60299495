# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to undo a run that brought what differed, in a database that clients have gone on using.

The database need not be as that run has left it: only what the run has touched must be. What clients have written
elsewhere stays. Since checksums are sums, it is known beforehand what each table must hold then: what it holds now,
without what came, and with what went.
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ..archive.manifest import Changes, Manifest, TableChange
from ..catalog.checksums import digest, sum_query
from ..catalog.content import Content, Measured, Rows
from ..catalog.large_objects import LargeObject
from ..catalog.reading import Reading, read_content
from ..catalog.relations import Relation
from ..catalog.selection import Name, Selection
from ..catalog.sequences import Sequence
from ..catalog.snapshot import Snapshot
from ..rows.differing import rows_of
from ..server.batches import ask_all
from .differences import Differences, LargeObjectsDifference, TableDifference, compare_sequences


@dataclasses.dataclass(frozen=True)
class UndoPlan:
    """How a run is undone."""

    #: what the database holds, and what it must hold afterwards
    found: Content
    content: Content
    #: what has not gone back already
    differences: Differences
    #: objects of which clients have changed since what that run had brought: it would be lost
    overwritten: tuple[str, ...]


def plan_undo(
    there: Snapshot,
    jobs: int,
    manifest: Manifest,
    selection: Selection | None,
    listed: t.Sequence[Relation] | None = None,
) -> UndoPlan:
    """Compare what a run has touched with what it had put there, and with what there was before.

    :param there: the database, whose schema must be as it was
    :param manifest: of the run's undo
    :param listed: the database's relations, where they are known
    :raises MigrationError: when anything cannot be read
    """
    changes = manifest.changes
    assert changes
    relations = {measured.relation.full_name: measured.relation for measured in manifest.content.relations}
    path = manifest.database.serving_path
    found = read_content(Reading(there, jobs, path, list(relations.values()), selection, relations=listed))
    rows = {measured.relation.full_name: measured.rows for measured in found.relations}
    held, descending = _read_touched(there, path, relations, changes)
    tables, overwritten = [], []
    for change in changes.tables:
        name = (change.schema, change.name)
        before = rows[name]
        assert before
        if (now := held.get(name, before)) == change.came:
            tables.append(_turn(relations[name], change, before))
        elif now != change.went:
            overwritten.append(f"{relations[name].kind} {relations[name]}")
    large_objects, others = _compare_large_objects(changes, found.large_objects)
    sequences = _put_back(manifest.content.sequences, changes.sequences, found.sequences, descending)
    content = dataclasses.replace(
        found,
        relations=tuple(_expect(manifest.content, found, tables)),
        sequences=sequences,
        large_objects=tuple(
            sorted(
                {*found.large_objects}.difference(large_objects.unlinked).union(large_objects.sent),
                key=lambda large_object: large_object.oid,
            )
        ),
    )
    differences = Differences(tuple(tables), large_objects, compare_sequences(sequences, found.sequences))
    return UndoPlan(found, content, differences, (*overwritten, *others))


_DESCENDING: t.Final = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE s.seqincrement < 0
"""


def _read_touched(
    there: Snapshot, search_path: str, relations: t.Mapping[Name, Relation], changes: Changes
) -> tuple[dict[Name, Rows], set[Name]]:
    """Return what is there of the keys that were touched; and the sequences that count down."""
    keyed = {(change.schema, change.name): change.keys for change in changes.tables if change.keys is not None}
    sums = [sum_query(relations[name].hashed, rows_of(relations[name], keys)) for name, keys in keyed.items()]
    *held, descending = ask_all(there.session, *sums, _DESCENDING, search_path=search_path)
    rows = [Rows(int(count), digest([int(hashes)])) for ((count, hashes),) in held]
    return dict(zip(keyed, rows, strict=True)), {(str(schema), str(name)) for schema, name in descending}


def _turn(relation: Relation, change: TableChange, before: Rows) -> TableDifference:
    """Return what a table lacks to be as it was."""
    return TableDifference(
        relation=relation,
        before=before.count,
        inserted=change.deleted,
        updated=change.updated,
        deleted=change.inserted,
        going=change.came,
        coming=change.went,
        keys=change.keys,
    )


def _compare_large_objects(
    changes: Changes, found: t.Sequence[LargeObject]
) -> tuple[LargeObjectsDifference, list[str]]:
    """Return what goes and comes of large objects, and which clients have changed: then none does."""
    went, came = changes.large_objects_went, changes.large_objects_came
    touched = {large_object.oid for large_object in (*went, *came)}
    now = {large_object for large_object in found if large_object.oid in touched}
    if now == set(came):
        return LargeObjectsDifference(came, went), []
    changed = {large_object.oid for large_object in now.symmetric_difference(came)} if now != set(went) else set()
    return LargeObjectsDifference((), ()), [f"large object {oid}" for oid in sorted(changed)]


def _put_back(
    before: t.Sequence[Sequence], came: t.Iterable[Sequence], now: t.Iterable[Sequence], descending: t.Container[Name]
) -> tuple[Sequence, ...]:
    """Return where sequences must stand: as before or, where clients have drawn since, where that leaves them.

    Of both places it is the further one then, so that no number is given out twice.
    """
    there, put = ({(s.schema, s.name): s for s in sequences} for sequences in (before, came))
    places = []
    for sequence in now:
        name = (sequence.schema, sequence.name)
        if name not in put:
            places.append(sequence)
        elif sequence == put[name]:
            places.append(there[name])
        else:
            furthest = min if name in descending else max
            places.append(furthest(sequence, there[name], key=lambda one: (one.last_value, one.is_called)))
    return tuple(places)


def _expect(before: Content, found: Content, tables: t.Iterable[TableDifference]) -> t.Iterator[Measured]:
    """Yield what relations must hold; a materialized view what its own query yields, and data only if it had some."""
    views = {m.relation.full_name: m for m in before.relations if m.relation.kind == "materialized view"}
    changes: dict[Name, list[TableDifference]] = collections.defaultdict(list)
    for table in tables:
        changes[table.relation.full_name].append(table)
    for measured in found.relations:
        name, now = measured.relation.full_name, measured.rows
        if name in views:
            yield dataclasses.replace(views[name], fresh=None, again=None)
            continue
        assert now
        changed = [table for part in (name, *measured.relation.partitions) for table in changes.get(part, ())]
        yield dataclasses.replace(
            measured,
            rows=Rows(
                now.count + sum(table.coming.count - table.going.count for table in changed),
                digest([int(now.checksum, 16), *(_less(table.coming, table.going) for table in changed)]),
            ),
        )


def _less(more: Rows, less: Rows) -> int:
    return int(more.checksum, 16) - int(less.checksum, 16)
