# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has brought goes, and what it had replaced returns, in one transaction, judged within."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import typing as t

import psycopg

from ..archive.archive import Archive
from ..archive.manifest import Manifest
from ..catalog.formats import Format
from ..catalog.large_objects import LargeObject
from ..catalog.transaction import Transaction
from ..errors import MigrationError
from ..in_place.frame import LockedDatabase, RowsPlan, RowsReplaced, Strategy, keep_schema
from ..in_place.unchanged import keeping_out
from ..privileges.catalog import Privileges
from ..rows.chunks import Chunks
from ..verdict.judge import Judge
from .bringing import bring
from .differences import TableDifference
from .moving import Moved
from .synchronization import LOCK
from .undo import write_undo
from .undo_plan import plan_undo


@dataclasses.dataclass(frozen=True)
class _Saved:
    """What is in an undo."""

    undo: Archive

    def read(self, difference: TableDifference) -> tuple[Format, Chunks]:
        """Return what went of a table."""
        tables = {(table.schema, table.name): table for table in self.undo.manifest.tables}
        table = tables[difference.relation.full_name]
        return table.format, self.undo.read(table)

    def read_large_objects(self, _: t.Sequence[LargeObject]) -> Chunks:
        """Return the large objects that went, which are all that the archive has."""
        return self.undo.read_large_objects()


def apply_undo(
    transaction: Transaction, judge: Judge, undo: Archive, strategy: Strategy, folder: pathlib.Path
) -> RowsReplaced[tuple[Moved, ...]]:
    """Undo what a run has done to the live database, and nothing of what clients have done since.

    The caller must roll back unless the verdict says equal.

    :param undo: that run's
    :param folder: where that of this run is written
    :raises MigrationError: when clients have changed what was brought, naming it, or anything fails
    """
    manifest = undo.manifest
    locks = keeping_out(transaction, manifest.select(judge.patterns), LOCK)

    def plan(live: LockedDatabase) -> RowsPlan[tuple[Moved, ...]]:
        way = plan_undo(transaction, 1, manifest, live.selection, live.everything)
        if way.overwritten:
            raise MigrationError(
                "Nothing was changed. Since the run that is to be undone, clients have changed what it had brought, "
                f"and what they wrote would be lost: {', '.join(way.overwritten)}."
            )
        with transaction.another_session(manifest.database.serving_path) as session:
            write_undo(folder, live, session, way.found, way.differences)
        expected, owned = dataclasses.replace(live.manifest, content=way.content), _of_large_objects(manifest)
        saved = contextlib.nullcontext(_Saved(undo))
        return bring(live, way.found, way.differences, lambda: saved, strategy, expected, owned)

    try:
        return keep_schema(transaction, judge, undo, strategy, plan, locks=locks)
    except MigrationError as error:
        if not isinstance(error.__context__, psycopg.errors.IntegrityError):
            raise
        # Before, the rows were there together; so it is clients' that are in the way.
        raise MigrationError(
            "Nothing was changed. What there was before the run that is to be undone does not go together with what "
            f"clients have written since. {error}\n"
            "Change what they have written, and roll back again; or leave the rollback, and run again."
        ) from None


def _of_large_objects(manifest: Manifest) -> Privileges | None:
    """Return owners and grants of the large objects that went."""
    if manifest.privileges is None:
        return None
    went = {str(large_object.oid) for large_object in (manifest.changes.large_objects_went if manifest.changes else ())}
    return dataclasses.replace(
        manifest.privileges,
        objects=tuple(
            one for one in manifest.privileges.objects if one.kind == "LARGE OBJECT" and one.identity in went
        ),
    )
