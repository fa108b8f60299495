# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dump: schema, rows, large objects and sequences of one instant, written as an archive."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import itertools
import pathlib
import typing as t

from psycopg import sql

from ..catalog.bindings import read_bindings
from ..catalog.content import Measured, refresh_order
from ..catalog.database import read_database
from ..catalog.large_objects import LargeObject
from ..catalog.members import read_members
from ..catalog.queries import Query, ask
from ..catalog.reading import Reading, read_content
from ..catalog.relations import Relation, list_relations
from ..catalog.requirements import read_requirements
from ..catalog.selection import EVERYTHING, Patterns, select, tables_to_hold
from ..catalog.snapshot import ExportedSnapshot, exported_snapshot
from ..catalog.wide_rows import Format, choose_formats
from ..errors import MigrationError
from ..privileges.reading import read_privileges
from ..rows.binary import RowCounter
from ..rows.sender import Sender
from ..rows.statements import copy_large_objects_out, copy_out
from ..schedule.progress import Step, doing, moved
from ..schedule.threads import run_parallel
from ..server.client_tools import ClientTools
from ..server.endpoint import Endpoint
from .folder import create_private, describe_file, new_folder
from .manifest import FILE_NAME, FORMAT, ArchivedFile, ArchivedRows, Manifest, encode
from .schema import dump_schema

_SCHEMA_FILE: t.Final = "schema.dump"
_LARGE_OBJECTS_FILE: t.Final = "large_objects.copy"


def write_archive(
    source: Endpoint,
    tools: ClientTools,
    folder: pathlib.Path,
    jobs: int,
    queries: t.Sequence[Query] = (),
    patterns: Patterns = EVERYTHING,
    *,
    summed: bool = False,
) -> Manifest:
    """Write an archive of the source; the folder appears only when everything is in it.

    :param patterns: the tables whose rows are written, with the sequences they own; the schema is always whole
    :param summed: whether the manifest tells the sums of columns
    :raises MigrationError: when anything at all fails
    """
    with exported_snapshot(source, tables_to_hold(patterns)) as snapshot, new_folder(folder) as partial:
        manifest = _describe(snapshot, tools, partial, jobs, queries, patterns, summed=summed)
        content, encoding = manifest.content, manifest.database.locale.encoding
        tables = _write_rows(snapshot, tools, partial, jobs, content.relations, encoding)
        large_objects, pieces = None, 0
        if content.large_objects:
            large_objects, pieces = _write_large_objects(snapshot, tools, partial, content.large_objects)
        manifest = dataclasses.replace(manifest, tables=tables, large_objects=large_objects, large_object_pieces=pieces)
        _write_manifest(manifest, partial)
    return manifest


def write_description(
    snapshot: ExportedSnapshot,
    tools: ClientTools,
    folder: pathlib.Path,
    jobs: int,
    queries: t.Sequence[Query] = (),
    patterns: Patterns = EVERYTHING,
    *,
    summed: bool = False,
) -> Manifest:
    """Write what an archive of the snapshot would be but for its rows.

    :param summed: whether the manifest tells the sums of columns
    :raises MigrationError: when anything at all fails
    """
    with new_folder(folder) as partial:
        manifest = _describe(snapshot, tools, partial, jobs, queries, patterns, summed=summed)
        _write_manifest(manifest, partial)
    return manifest


def _describe(
    snapshot: ExportedSnapshot,
    tools: ClientTools,
    folder: pathlib.Path,
    jobs: int,
    queries: t.Sequence[Query],
    patterns: Patterns,
    *,
    summed: bool,
) -> Manifest:
    """Write the schema; return the manifest, in which there are no files of rows."""
    taken_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    database = read_database(snapshot.session)
    selection = select(list_relations(snapshot.session), patterns) if patterns else None
    reading = Reading(snapshot, jobs, database.serving_path, selection=selection, evaluated=True, summed=summed)
    content = read_content(reading)
    with doing(Step("the schema")):
        dump_schema(snapshot, tools, folder / _SCHEMA_FILE)
    return Manifest(
        format=FORMAT,
        taken_at=taken_at,
        tools_version=tools.version,
        database=database,
        requirements=read_requirements(snapshot.session),
        content=content,
        answers=ask(snapshot, queries, database.search_path),
        refresh_order=refresh_order(content.relations) if selection is None else (),
        schema=describe_file(folder / _SCHEMA_FILE),
        tables=(),
        large_objects=None,
        large_object_pieces=0,
        partial=selection is not None,
        bindings=read_bindings(snapshot.session),
        members=read_members(snapshot.session),
        privileges=read_privileges(snapshot.session),
    )


def _write_manifest(manifest: Manifest, folder: pathlib.Path) -> None:
    with create_private(folder / FILE_NAME) as stream:
        stream.write(encode(manifest))


def _write_rows(
    snapshot: ExportedSnapshot,
    tools: ClientTools,
    folder: pathlib.Path,
    jobs: int,
    relations: t.Iterable[Measured],
    encoding: str,
) -> tuple[ArchivedRows, ...]:
    """Write each table that has rows to a file of its own, the largest first."""
    filled = [(m.relation, m.rows.count) for m in relations if m.relation.kind == "table" and m.rows and m.rows.count]
    formats = choose_formats(snapshot.session, [relation for relation, _ in filled])
    numbered = [
        _Task(f"rows-{number:06}.copy", relation, rows, formats[relation.full_name])
        for number, (relation, rows) in enumerate(filled, start=1)
    ]
    written: dict[str, ArchivedRows] = {}

    @contextlib.contextmanager
    def open_writer() -> t.Iterator[_RowsWriter]:
        with Sender(snapshot, tools) as sender:
            yield _RowsWriter(sender, folder, encoding, written)

    largest_first = sorted(numbered, key=lambda task: -task.relation.size)
    run_parallel(largest_first, jobs, open_writer, "write rows", lambda task: task.step)
    return tuple(written[task.file_name] for task in numbered)


@dataclasses.dataclass(frozen=True)
class _Task:
    file_name: str
    relation: Relation
    rows: int
    format: Format

    @property
    def step(self) -> Step:
        """What people are told of it."""
        return Step(f"table {self.relation}", self.relation.size, self.rows)


@dataclasses.dataclass(frozen=True)
class _RowsWriter:
    sender: Sender
    folder: pathlib.Path
    encoding: str
    written: dict[str, ArchivedRows]

    def run(self, task: _Task) -> None:
        relation = task.relation
        try:
            statement = copy_out(relation, self.encoding, task.format)
            path = self.folder / task.file_name
            file, sent = _write_stream(self.sender, [statement], path, task.format)
        except MigrationError as error:
            raise MigrationError(f"Cannot read the rows of table {relation}: {error}") from None
        if sent != task.rows:
            raise MigrationError(f"Table {relation}: the snapshot holds {task.rows} rows, but {sent} were sent")
        self.written[task.file_name] = ArchivedRows(relation.schema, relation.name, sent, file, task.format)

    def cancel(self) -> None:
        self.sender.cancel()


def _write_large_objects(
    snapshot: ExportedSnapshot, tools: ClientTools, folder: pathlib.Path, objects: t.Sequence[LargeObject]
) -> tuple[ArchivedFile, int]:
    with doing(Step("large objects")), Sender(snapshot, tools) as sender:
        return _write_stream(sender, copy_large_objects_out(objects), folder / _LARGE_OBJECTS_FILE)


def _write_stream(
    sender: Sender, statements: t.Iterable[sql.Composed], path: pathlib.Path, format_: Format = "text"
) -> tuple[ArchivedFile, int]:
    """Write the streams of COPYs to one file; return its entry and the number of its rows.

    In COPY's text form a row is a line: line breaks in values are escaped (docs: COPY, File Formats).
    """
    digest, rows, size, counter = hashlib.sha256(), 0, 0, RowCounter()
    with create_private(path) as stream:
        for chunk in itertools.chain.from_iterable(map(sender.stream, statements)):
            stream.write(chunk)
            digest.update(chunk)
            before = rows
            if format_ == "binary":
                counter.count(chunk)
                rows = counter.rows
            else:
                rows += chunk.count(b"\n")
            size += len(chunk)
            moved(len(chunk), rows - before)
    return ArchivedFile(path.name, size, digest.hexdigest()), rows
