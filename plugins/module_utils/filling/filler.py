# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that fill a database by a plan: one does all of it in order, several share it."""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing as t

import psycopg
from psycopg import sql

from ..archive.manifest import ArchivedRows, Manifest
from ..archive.origin import Origin, Reader
from ..archive.schema import Entry
from ..catalog.far_trees import refuse_far_trees
from ..catalog.in_force import use_settings
from ..catalog.large_objects import CREATE_PIECES, comment_on, make_large_objects
from ..catalog.relations import Relation
from ..catalog.selection import Name
from ..catalog.sequences import set_sequences
from ..errors import MigrationError, describe
from ..rows.receiver import Stream, receive
from ..rows.statements import copy_in, copy_pieces_in
from ..schedule.progress import Step, moved
from ..schedule.threads import Lane, run_lanes
from ..schedule.work import Work
from ..server.endpoint import OpenSession, Session, break_off, set_search_path, use_search_path
from .notes import LARGE_OBJECTS, Notes, entry_part, rows_part
from .objects import create_entries
from .plan import Analyze, CopyRows, MakeObjects, Once, Task
from .refresh import refresh
from .watch import Watch, watching

# To build an index takes what the server has set (docs: maintenance_work_mem), mostly 64 MB, where much more is there:
# the buffers are a quarter of the server's memory, as a rule (docs: shared_buffers). All sessions together take as much
# again at the most.
_USE_MEMORY: t.Final = sql.SQL("""
SELECT pg_catalog.set_config('maintenance_work_mem', greatest(
    own.setting::bigint, least(buffers.setting::bigint * 8 / {}, 1 << 20)) || 'kB', false)
FROM pg_catalog.pg_settings own, pg_catalog.pg_settings buffers
WHERE own.name = 'maintenance_work_mem' AND buffers.name = 'shared_buffers'
""")


def fill(
    open_session: OpenSession,
    manifest: Manifest,
    origin: Origin,
    plan: t.Iterable[Work[Task]],
    jobs: int,
    finish: t.Callable[[Session], object] | None = None,
    notes: Notes | None = None,
    done: t.Mapping[str, int] = types.MappingProxyType({}),
) -> list[tuple[ArchivedRows, int]]:
    """Do what is planned; return, for each table that was loaded, how many rows the target received.

    :param manifest: of what the database is filled with
    :param origin: where the rows come from; each session has a reader of its own
    :param jobs: how many sessions there may be
    :param finish: what is done where the plan says so
    :param notes: where what is done is noted; what is done last is to finish, then
    :param done: what an earlier run has noted
    :raises MigrationError: naming the table or object that failed
    """
    refuse_far_trees([measured.relation for measured in manifest.content.relations])
    filling, watch = _Filling(manifest, finish, notes, done), Watch()

    @contextlib.contextmanager
    def open_filler() -> t.Iterator[_Filler]:
        with open_session() as session, origin.open() as reader:
            # Functions behind generated columns, checks, domains and indexes may rely on these.
            path, memory = set_search_path(manifest.database.serving_path), _USE_MEMORY.format(jobs)
            use_settings(session, manifest.database.begun_with, path, memory)
            yield _Filler(session, reader, filling, watch)

    left = [dataclasses.replace(work, item=item) for work in plan if (item := filling.left(work.item)) is not None]
    told = [dataclasses.replace(work, step=filling.step(work)) for work in left]
    with watching(watch):
        run_lanes([Lane(told, jobs, open_filler)], "fill the database")
    return [(table, filling.received[table]) for table in manifest.tables if table in filling.received]


class _Filling:
    """What the sessions share."""

    def __init__(
        self,
        manifest: Manifest,
        finish: t.Callable[[Session], object] | None,
        notes: Notes | None,
        done: t.Mapping[str, int],
    ) -> None:
        self.manifest = manifest
        self.finish = finish
        self.notes = notes
        self.done = done
        self.tables: dict[Name, ArchivedRows] = {(table.schema, table.name): table for table in manifest.tables}
        self.relations: dict[Name, Relation] = {m.relation.full_name: m.relation for m in manifest.content.relations}
        #: how many rows of each table have arrived
        self.received: dict[ArchivedRows, int] = {
            table: done[part] for table in manifest.tables if (part := rows_part(table)) in done
        }

    def left(self, item: Task) -> Task | None:
        """Return what of a task is not done; what is not noted can be done twice."""
        match item:
            case CopyRows(names):
                names = tuple(name for name in names if rows_part(self.tables[name]) not in self.done)
                return dataclasses.replace(item, tables=names) if names else None
            case MakeObjects(entries):
                entries = tuple(entry for entry in entries if entry_part(entry) not in self.done)
                return MakeObjects(entries) if entries else None
            case _:
                return item

    def step(self, work: Work[Task]) -> Step:
        """Return what people are told of a work."""
        match work.item:
            case CopyRows(names):
                size = sum(self.relations[name].size for name in names)
                return Step(str(work.item), size, sum(self.tables[name].rows for name in names))
            case "large objects" as what:
                return Step(what, sum(large.size for large in self.manifest.content.large_objects))
            case item:
                return Step(str(item), work.weight)


@dataclasses.dataclass(frozen=True)
class _Filler:
    session: Session
    reader: Reader
    filling: _Filling
    watch: Watch

    def run(self, item: Task) -> None:
        # Of several things, the server would tell how far it is with the one that it has come to.
        with self.watch.on(self.session) if _is_one_thing(item) else contextlib.nullcontext():
            self._do(item)

    def _do(self, item: Task) -> None:
        match item:
            case CopyRows(tables, frozen):
                self._copy([self.filling.tables[name] for name in tables], frozen=frozen)
            case MakeObjects(entries):
                self._make(entries)
            case Analyze(tables):
                self._analyze(tables)
            case _:
                self._do_once(item)

    def cancel(self) -> None:
        self.reader.cancel()
        break_off(self.session)

    def _make(self, entries: t.Sequence[Entry]) -> None:
        if notes := self.filling.notes:
            entries = [
                dataclasses.replace(entry, statements=notes.note_entry(entry) + entry.statements) for entry in entries
            ]
        create_entries(self.session, entries)

    def _copy(self, tables: t.Sequence[ArchivedRows], *, frozen: bool) -> None:
        received = receive(self.session, [self._stream(table, frozen) for table in tables])
        self.filling.received |= zip(tables, received, strict=True)
        moved(rows=sum(received))

    def _stream(self, table: ArchivedRows, frozen: bool) -> Stream:
        relation = self.filling.relations[table.schema, table.name]
        encoding = self.filling.manifest.database.locale.encoding
        statements: list[sql.Composable] = [copy_in(relation, encoding, table.format, frozen=frozen)]
        if frozen:
            statements.insert(0, sql.SQL("TRUNCATE ONLY {}").format(relation.identifier))
        if self.filling.notes:
            # Committed only if so many are received.
            statements.insert(0, self.filling.notes.note(rows_part(table), table.rows))
        return Stream(f"table {relation}", statements, self.reader.read(table))

    def _analyze(self, tables: t.Iterable[Name]) -> None:
        near = [name for name in tables if not self.filling.relations[name].is_far]
        if not near:
            return
        names = sql.SQL(", ").join(sql.Identifier(*name) for name in near)
        try:
            self.session.execute(sql.SQL("ANALYZE {}").format(names))
        except psycopg.Error as error:
            raise MigrationError(f"Cannot take statistics: {describe(error, over_rows=True)}") from None

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
                forget = self.filling.notes.forget() if self.filling.notes else b""
                self.session.execute(forget + b"SET search_path = ''")
                self.filling.finish(self.session)
                use_search_path(self.session, manifest.database.serving_path)

    def _load_large_objects(self) -> None:
        """Load all large objects; there must be none of their OIDs."""
        objects, notes = self.filling.manifest.content.large_objects, self.filling.notes
        if LARGE_OBJECTS not in self.filling.done:
            statements = [notes.note(LARGE_OBJECTS)] if notes else []
            pieces = self.reader.read_large_objects()
            with self.session.transaction():
                self.session.execute(CREATE_PIECES)
                receive(self.session, [Stream("the large objects", [*statements, copy_pieces_in()], pieces)])
                make_large_objects(self.session, objects)
        # Not within that transaction: each comment locks its object, and the server has room for so many locks.
        comment_on(self.session, objects)


def _is_one_thing(item: Task) -> bool:
    match item:
        case CopyRows(tables) | Analyze(tables):
            return len(tables) == 1
        case MakeObjects(entries):
            return sum(entry.kind != "COMMENT" for entry in entries) == 1
        case _:
            return False
