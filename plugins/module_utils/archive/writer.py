# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dump: schema, rows, large objects and sequences of one instant, written as an archive or described for it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import pathlib
import typing as t

from ..catalog.bindings import read_bindings
from ..catalog.computed import find_computed
from ..catalog.content import Content, Measured, refresh_order
from ..catalog.database import DatabaseProperties, read_database
from ..catalog.earlier import Earlier, ask_instant
from ..catalog.expressions import find_reads
from ..catalog.formats import Format, choose_formats
from ..catalog.identity import ask_identity
from ..catalog.members import read_members
from ..catalog.queries import Query, ask
from ..catalog.reading import Reading, read_content
from ..catalog.relations import list_relations
from ..catalog.requirements import read_requirements
from ..catalog.selection import EVERYTHING, Name, Patterns, select, tables_to_hold
from ..catalog.snapshot import ExportedSnapshot, Snapshot, exported_snapshot
from ..catalog.unsaid import read_unsaid
from ..errors import MigrationError
from ..privileges.reading import read_privileges
from ..rows.binary import RowCounter
from ..rows.chunks import Chunks, pour
from ..schedule.progress import Step, doing, moved
from ..schedule.threads import run_parallel
from ..server.client_tools import ClientTools
from ..server.endpoint import Endpoint
from ..server.inquiry import answer, together
from .archive import Archive
from .compression import SUFFIXES, Compression, SummedFile, packing, require_library
from .folder import create_private, describe_file, new_folder, read_archive
from .manifest import FILE_NAME, FORMAT, ArchivedFile, ArchivedRows, Manifest, encode
from .origin import Reader
from .reuse import holds_the_same
from .schema import dump_schema
from .streams import SnapshotStreams

SCHEMA_FILE: t.Final = "schema.dump"
LARGE_OBJECTS_FILE: t.Final = "large_objects.copy"


def write_archive(
    source: Endpoint,
    tools: ClientTools,
    folder: pathlib.Path,
    jobs: int,
    queries: t.Sequence[Query] = (),
    patterns: Patterns = EVERYTHING,
    *,
    summed: bool = False,
    earlier: Archive | None = None,
    compression: Compression = "none",
) -> Archive:
    """Write an archive of the source; the folder appears only when everything is in it.

    Where an earlier one holds the same, no other is written, and it is returned.

    :param patterns: the tables whose rows are written, with the sequences they own; the schema is always whole
    :param summed: whether the manifest tells the sums of columns
    :param compression: of the files of rows and of large objects; pg_dump packs the schema by itself
    :raises MigrationError: when anything at all fails
    """
    require_library(compression)
    try:
        with exported_snapshot(source, tables_to_hold(patterns)) as snapshot, new_folder(folder) as partial:
            manifest = _describe(snapshot, tools, partial, jobs, queries, patterns, streamed=False, summed=summed)
            if earlier and holds_the_same(earlier, tools, Archive(partial, manifest)):
                raise _SameError
            manifest = _write_rows(SnapshotStreams(snapshot, tools, manifest), partial, jobs, compression)
            write_manifest(manifest, partial)
    except _SameError:
        assert earlier
        return earlier
    return read_archive(folder)


class _SameError(Exception):
    """There is an archive of the same already: what was begun is given up."""


def write_description(
    snapshot: ExportedSnapshot,
    tools: ClientTools,
    folder: pathlib.Path,
    jobs: int,
    queries: t.Sequence[Query] = (),
    patterns: Patterns = EVERYTHING,
    *,
    summed: bool = False,
    before: Archive | None = None,
    earlier: Earlier | None = None,
) -> Archive:
    """Write what an archive of the snapshot would be but for its rows, which are to be streamed.

    :param before: an earlier archive or description of the same database; if no definition has changed since, its
        schema is taken, which spares a pg_dump
    :param earlier: what that database held before; of a table that has not been written since, the rows are not read
    :param summed: whether the manifest tells the sums of columns
    :raises MigrationError: when anything at all fails
    """
    with new_folder(folder) as partial:
        manifest = _describe(
            snapshot, tools, partial, jobs, queries, patterns, before, earlier, streamed=True, summed=summed
        )
        write_manifest(manifest, partial)
    return read_archive(folder)


def _describe(
    snapshot: ExportedSnapshot,
    tools: ClientTools,
    folder: pathlib.Path,
    jobs: int,
    queries: t.Sequence[Query],
    patterns: Patterns,
    before: Archive | None = None,
    earlier: Earlier | None = None,
    *,
    streamed: bool,
    summed: bool,
) -> Manifest:
    """Write the schema; return the manifest, in which no rows have a file."""
    taken_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    database = read_database(snapshot.session)
    selection = select(list_relations(snapshot.session), patterns) if patterns else None
    identity, instant = answer(snapshot.session, together(ask_identity(), ask_instant()))
    reading = Reading(
        snapshot,
        jobs,
        database.serving_path,
        selection=selection,
        evaluated=True,
        summed=summed,
        settings=database.begun_with,
        earlier=earlier and earlier.of(identity.hash),
    )
    content = _as_computed(read_content(reading), snapshot, database)
    content = _with_reads(content, find_reads(snapshot, database.serving_path))
    with doing(Step("the schema")):
        if before and before.manifest.identity == identity.hash:
            with create_private(folder / SCHEMA_FILE) as stream:
                stream.write(before.schema.read_bytes())
        else:
            dump_schema(snapshot, tools, folder / SCHEMA_FILE)
    return Manifest(
        format=FORMAT,
        taken_at=taken_at,
        tools_version=tools.version,
        database=database,
        requirements=read_requirements(snapshot.session),
        content=content,
        answers=ask(snapshot, queries, database.search_path, database.begun_with),
        refresh_order=refresh_order(content.relations) if selection is None else (),
        schema=describe_file(folder / SCHEMA_FILE),
        tables=_list_filled(snapshot, content.relations, database.locale.encoding, streamed=streamed),
        large_objects=None,
        large_object_pieces=0,
        partial=selection is not None,
        bindings=read_bindings(snapshot.session),
        unsaid=read_unsaid(snapshot.session),
        members=read_members(snapshot.session),
        privileges=read_privileges(snapshot.session),
        streamed=streamed,
        unseen_from=instant.unseen_from,
        life=instant.life,
        identity=identity.hash,
    )


def _as_computed(content: Content, snapshot: Snapshot, database: DatabaseProperties) -> Content:
    """Return the content without what rows were given of tables in which a user's function no longer makes the rest.

    What one that was replaced has made of a row, no copy is to take for something else of another server.
    """
    told = {name for m in content.relations if m.rows and m.rows.given for name in m.relation.stored_in}
    computed = find_computed(snapshot.session, told, database.serving_path, database.begun_with, own=True)
    relations = [
        m
        if computed.issuperset(m.relation.stored_in)
        else dataclasses.replace(m, rows=m.rows and dataclasses.replace(m.rows, given=""))
        for m in content.relations
    ]
    return dataclasses.replace(content, relations=tuple(relations))


def _with_reads(content: Content, reads: t.Mapping[Name, tuple[Name, ...]]) -> Content:
    """Return the content with what functions read that its tables' expressions call."""
    relations = [
        dataclasses.replace(m, relation=dataclasses.replace(m.relation, calls_for=reads.get(m.relation.full_name, ())))
        for m in content.relations
    ]
    return dataclasses.replace(content, relations=tuple(relations))


def _list_filled(
    snapshot: ExportedSnapshot, relations: t.Iterable[Measured], encoding: str, *, streamed: bool
) -> tuple[ArchivedRows, ...]:
    """Return the tables that have rows, and in which form these are copied."""
    filled = [(m.relation, m.rows.count) for m in relations if m.relation.kind == "table" and m.rows and m.rows.count]
    formats = choose_formats(snapshot.session, [relation for relation, _ in filled], encoding, streamed=streamed)
    return tuple(
        ArchivedRows(relation.schema, relation.name, rows, format=formats[relation.full_name])
        for relation, rows in filled
    )


def _write_rows(streams: SnapshotStreams, folder: pathlib.Path, jobs: int, compression: Compression) -> Manifest:
    """Write the rows of each table to a file of its own, the largest first, and the large objects to another."""
    manifest = streams.manifest
    sizes = {m.relation.full_name: m.relation.size for m in manifest.content.relations}
    suffix = SUFFIXES[compression]
    numbered = [(f"rows-{number:06}.copy{suffix}", table) for number, table in enumerate(manifest.tables, start=1)]
    written: dict[str, ArchivedFile] = {}

    @contextlib.contextmanager
    def open_writer() -> t.Iterator[_RowsWriter]:
        with streams.open() as reader:
            yield _RowsWriter(reader, folder, compression, written)

    largest_first = sorted(numbered, key=lambda task: -sizes[task[1].schema, task[1].name])

    def tell(task: tuple[str, ArchivedRows]) -> Step:
        table = task[1]
        return Step(f"table {table.schema}.{table.name}", sizes[table.schema, table.name], table.rows)

    run_parallel(largest_first, jobs, open_writer, "write rows", tell)
    manifest = dataclasses.replace(
        manifest, tables=tuple(dataclasses.replace(table, file=written[name]) for name, table in numbered)
    )
    if manifest.content.large_objects:
        with doing(Step("large objects")), streams.open() as reader:
            path = folder / f"{LARGE_OBJECTS_FILE}{suffix}"
            file, pieces = write_stream("Large objects", reader.read_large_objects(), path, compression=compression)
        manifest = dataclasses.replace(manifest, large_objects=file, large_object_pieces=pieces)
    return manifest


@dataclasses.dataclass(frozen=True)
class _RowsWriter:
    reader: Reader
    folder: pathlib.Path
    compression: Compression
    written: dict[str, ArchivedFile]

    def run(self, task: tuple[str, ArchivedRows]) -> None:
        name, table = task
        what, chunks = f"Table {table.schema}.{table.name}", self.reader.read(table)
        self.written[name], _ = write_stream(what, chunks, self.folder / name, table.format, self.compression)

    def cancel(self) -> None:
        self.reader.cancel()


def write_stream(
    what: str, chunks: Chunks, path: pathlib.Path, format_: Format = "text", compression: Compression = "none"
) -> tuple[ArchivedFile, int]:
    """Write a stream to a file; return its entry and the number of its rows.

    In COPY's text form a row is a line: line breaks in values are escaped (docs: COPY, File Formats).

    :param what: the object, for messages
    """
    rows, counter = 0, RowCounter()
    with create_private(path) as stream:
        file = SummedFile(stream)
        with packing(file, compression) as pack:

            def write(chunk: bytes) -> None:
                nonlocal rows
                pack(chunk)
                before = rows
                if format_ == "binary":
                    counter.count(chunk)
                    rows = counter.rows
                else:
                    rows += chunk.count(b"\n")
                moved(len(chunk), rows - before)

            sent = pour(chunks, write)
    if rows != sent:
        raise MigrationError(f"{what}: {sent} rows were sent, but {rows} have reached the archive")
    return ArchivedFile(path.name, file.size, file.sha256, compression), sent


def write_manifest(manifest: Manifest, folder: pathlib.Path) -> None:
    """Write the description of what is in a folder."""
    with create_private(folder / FILE_NAME) as stream:
        stream.write(encode(manifest))
