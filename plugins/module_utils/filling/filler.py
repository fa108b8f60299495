# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that fill a database by a plan: one does all of it in order, several share it."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..archive.files import ArchiveFiles
from ..archive.manifest import ArchivedRows, Manifest
from ..catalog.large_objects import CREATE_PIECES, comment_on, make_large_objects
from ..catalog.relations import Relation
from ..catalog.selection import Name
from ..catalog.sequences import set_sequences
from ..errors import MigrationError, describe
from ..rows.receiver import receive
from ..rows.statements import copy_in, copy_pieces_in
from ..schedule.progress import Step, moved
from ..schedule.threads import Lane, run_lanes
from ..schedule.work import Work
from ..server.endpoint import OpenSession, Session, break_off, use_search_path
from .objects import create_entries
from .plan import Analyze, CopyRows, MakeObjects, Once, Task
from .refresh import refresh


def fill(
    open_session: OpenSession,
    manifest: Manifest,
    origin: ArchiveFiles,
    plan: t.Iterable[Work[Task]],
    jobs: int,
    finish: t.Callable[[Session], object] | None = None,
) -> list[tuple[ArchivedRows, int]]:
    """Do what is planned; return, for each table that was loaded, how many rows the target received.

    :param manifest: of what the database is filled with
    :param jobs: how many sessions there may be
    :param finish: what is done where the plan says so
    :raises MigrationError: naming the table or object that failed
    """
    filling = _Filling(manifest, origin, finish)

    @contextlib.contextmanager
    def open_filler() -> t.Iterator[_Filler]:
        with open_session() as session:
            # Functions behind generated columns, checks, domains and indexes may rely on it.
            use_search_path(session, manifest.database.serving_path)
            yield _Filler(session, filling)

    told = [dataclasses.replace(work, step=filling.step(work)) for work in plan]
    run_lanes([Lane(told, jobs, open_filler)], "fill the database")
    return [(table, filling.received[table]) for table in manifest.tables if table in filling.received]


class _Filling:
    """What the sessions share."""

    def __init__(self, manifest: Manifest, origin: ArchiveFiles, finish: t.Callable[[Session], object] | None) -> None:
        self.manifest = manifest
        self.finish = finish
        self.origin = origin
        self.tables: dict[Name, ArchivedRows] = {(table.schema, table.name): table for table in manifest.tables}
        self.relations: dict[Name, Relation] = {m.relation.full_name: m.relation for m in manifest.content.relations}
        #: how many rows of each table have arrived
        self.received: dict[ArchivedRows, int] = {}

    def step(self, work: Work[Task]) -> Step:
        """Return what people are told of a work."""
        match work.item:
            case CopyRows(names):
                size = sum(self.relations[name].size for name in names)
                return Step(str(work.item), size, sum(self.tables[name].rows for name in names))
            case "large objects" as what if self.manifest.large_objects:
                return Step(what, self.manifest.large_objects.size)
            case item:
                return Step(str(item), work.weight)


@dataclasses.dataclass(frozen=True)
class _Filler:
    session: Session
    filling: _Filling

    def run(self, item: Task) -> None:
        match item:
            case CopyRows(tables):
                with self.session.transaction():
                    for name in tables:
                        self._copy(self.filling.tables[name])
            case MakeObjects(entries):
                create_entries(self.session, entries)
            case Analyze(tables):
                self._analyze(tables)
            case _:
                self._do_once(item)

    def cancel(self) -> None:
        break_off(self.session)

    def _copy(self, table: ArchivedRows) -> None:
        relation = self.filling.relations[table.schema, table.name]
        statement = copy_in(relation, self.filling.manifest.database.locale.encoding, table.format)
        chunks = self.filling.origin.read(table)
        received = receive(self.session, f"table {relation}", statement, chunks, table.rows)
        self.filling.received[table] = received
        moved(rows=received)

    def _analyze(self, tables: t.Iterable[Name]) -> None:
        names = sql.SQL(", ").join(sql.Identifier(*name) for name in tables)
        try:
            self.session.execute(sql.SQL("ANALYZE {}").format(names))
        except psycopg.Error as error:
            raise MigrationError(f"Cannot take statistics: {describe(error)}") from None

    def _do_once(self, what: Once) -> None:
        manifest = self.filling.manifest
        match what:
            case "large objects":
                self._load_large_objects()
            case "sequences":
                set_sequences(self.session, manifest.content.sequences)
            case "materialized views":
                refresh(self.session, manifest.refresh_order)
                # Their queries may have drawn from sequences.
                set_sequences(self.session, manifest.content.sequences)
                self._analyze(manifest.refresh_order)
            case "finish":
                assert self.filling.finish
                use_search_path(self.session, "")
                self.filling.finish(self.session)
                use_search_path(self.session, manifest.database.serving_path)

    def _load_large_objects(self) -> None:
        """Load all large objects; there must be none of their OIDs."""
        manifest, objects = self.filling.manifest, self.filling.manifest.content.large_objects
        assert manifest.large_objects
        with self.session.transaction():
            self.session.execute(CREATE_PIECES)
            chunks = self.filling.origin.read(manifest.large_objects)
            receive(self.session, "the large objects", copy_pieces_in(), chunks, manifest.large_object_pieces)
            make_large_objects(self.session, objects)
        # Not within that transaction: each comment locks its object, and the server has room for so many locks.
        comment_on(self.session, objects)
