# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two halves of a restore into the staging database: its schema, and then all that the schema holds."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import pathlib
import typing as t

import psycopg
from psycopg import sql

from ..archive.manifest import ArchivedFile, ArchivedRows, Manifest
from ..archive.schema import read_section
from ..catalog.large_objects import CREATE_PIECES, make_large_objects
from ..catalog.relations import Relation
from ..catalog.sequences import set_sequences
from ..endpoint import OpenSession, Session, use_search_path
from ..errors import MigrationError, describe
from ..parallel import run_parallel
from ..rows.receiver import Receiver
from ..rows.statements import copy_in, copy_pieces_in
from ..tools import ClientTools
from .schema import create_entries, create_post_data, create_pre_data, without_validation

_READ_BYTES: t.Final = 1 << 20


def restore_schema(session: Session, tools: ClientTools, folder: pathlib.Path, manifest: Manifest) -> int:
    """Create everything that must be there before the rows: types, functions, tables, views. Return how many objects.

    :raises MigrationError: naming the object that failed
    """
    manifest.require_whole()
    entries = read_section(tools, folder / manifest.schema.name, "pre-data")
    create_pre_data(session, entries, manifest.database.has_public)
    return len(entries)


def restore_data(
    open_session: OpenSession,
    tools: ClientTools,
    folder: pathlib.Path,
    manifest: Manifest,
    jobs: int,
    not_valid: t.Container[str] = (),
    finish: t.Callable[[Session], object] = lambda _: None,
) -> list[tuple[ArchivedRows, int]]:
    """Load rows, large objects and sequences, then make what must hold over complete rows.

    Event triggers come last of all: they fire at what anybody creates. Return, for each table of the archive, how many
    rows the target received.

    :param not_valid: foreign keys that are added without a look at the rows, as ``fk constraint <table> <name>``
    :param finish: what else is to be done when everything is made but event triggers, which would fire at it
    :raises MigrationError: naming the table or object that failed
    """
    search_path = manifest.database.search_path
    received = _load_rows(open_session, folder, manifest, jobs)
    entries = [
        without_validation(entry) if str(entry) in not_valid else entry
        for entry in read_section(tools, folder / manifest.schema.name, "post-data")
    ]
    event_triggers = next((i for i, entry in enumerate(entries) if entry.kind == "EVENT TRIGGER"), len(entries))
    with open_session() as session:
        if manifest.large_objects:
            load_large_objects(Receiver(session, search_path), folder, manifest, manifest.large_objects)
        set_sequences(session, manifest.content.sequences)
    create_post_data(open_session, entries[:event_triggers], jobs, search_path)
    with open_session() as session:
        use_search_path(session, search_path)
        refresh(session, manifest.refresh_order)
        session.execute("ANALYZE")
    with open_session() as session:
        finish(session)
        use_search_path(session, search_path)
        create_entries(session, entries[event_triggers:])
    return received


def _load_rows(
    open_session: OpenSession, folder: pathlib.Path, manifest: Manifest, jobs: int
) -> list[tuple[ArchivedRows, int]]:
    relations = {(c.relation.schema, c.relation.name): c.relation for c in manifest.content.relations}
    encoding = manifest.database.locale.encoding
    received: dict[ArchivedRows, int] = {}

    @contextlib.contextmanager
    def open_loader() -> t.Iterator[TableLoader]:
        with open_session() as session:
            yield TableLoader(Receiver(session, manifest.database.search_path), folder, relations, encoding, received)

    run_parallel(sorted(manifest.tables, key=lambda table: -table.file.size), jobs, open_loader)
    return [(table, received[table]) for table in manifest.tables]


@dataclasses.dataclass(frozen=True)
class TableLoader:
    """Loads archived tables, one after the other, and notes in ``received`` how many rows arrived."""

    receiver: Receiver
    folder: pathlib.Path
    relations: dict[tuple[str, str], Relation]
    encoding: str
    received: dict[ArchivedRows, int]

    def run(self, table: ArchivedRows) -> None:
        """Load a table.

        :raises MigrationError: when the server refuses a row, or one is missing
        """
        relation = self.relations[table.schema, table.name]
        chunks = read_file(self.folder, table.file)
        statement = copy_in(relation, self.encoding)
        self.received[table] = self.receiver.load(f"table {relation}", statement, chunks, table.rows)

    def cancel(self) -> None:
        """Make a running load fail."""
        self.receiver.cancel()


def read_file(folder: pathlib.Path, file: ArchivedFile) -> t.Iterator[bytes]:
    """Yield an archived file in chunks.

    :raises MigrationError: at its end when it is not what was written, so that nothing of it is committed
    """
    digest = hashlib.sha256()
    with (folder / file.name).open("rb") as stream:
        while chunk := stream.read(_READ_BYTES):
            digest.update(chunk)
            yield chunk
    if digest.hexdigest() != file.sha256:
        raise MigrationError(f"The archive's file {folder / file.name} was altered. Dump again.")


def load_large_objects(receiver: Receiver, folder: pathlib.Path, manifest: Manifest, file: ArchivedFile) -> None:
    """Load all large objects; there must be none of their OIDs.

    :raises MigrationError: when the server refuses, or a piece is missing
    """
    session = receiver.session
    with session.transaction():
        session.execute(CREATE_PIECES)
        receiver.load("the large objects", copy_pieces_in(), read_file(folder, file), manifest.large_object_pieces)
        make_large_objects(session, manifest.content.large_objects)


def refresh(session: Session, materialized_views: t.Iterable[tuple[str, str]]) -> None:
    """Fill materialized views, given in such an order that each comes after those that it reads.

    :raises MigrationError: naming the one that failed
    """
    for schema, name in materialized_views:
        try:
            session.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(sql.Identifier(schema, name)))
        except psycopg.Error as error:
            raise MigrationError(f"Cannot refresh materialized view {schema}.{name}: {describe(error)}") from None
