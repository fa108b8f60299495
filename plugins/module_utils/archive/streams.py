# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that a snapshot of the source sends while they are read."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from psycopg import sql

from ..catalog.snapshot import ExportedSnapshot, imported_snapshot
from ..errors import MigrationError
from ..rows.chunks import Chunks
from ..rows.sender import Sender
from ..rows.statements import copy_large_objects_out, copy_out
from ..server.client_tools import ClientTools
from ..server.endpoint import Endpoint
from .manifest import ArchivedRows, Manifest
from .origin import Reader


@dataclasses.dataclass(frozen=True)
class SnapshotStreams:
    """The rows of a snapshot, as a manifest describes them."""

    snapshot: ExportedSnapshot
    tools: ClientTools
    manifest: Manifest

    @contextlib.contextmanager
    def open(self) -> t.Iterator[Reader]:
        """Give a reader, which has a psql of its own from its first stream on."""
        with contextlib.ExitStack() as stack:
            yield _StreamReader(self, stack)


@contextlib.contextmanager
def open_streams(source: Endpoint, name: str, tools: ClientTools, manifest: Manifest) -> t.Iterator[SnapshotStreams]:
    """Give the rows of a snapshot that another process holds.

    :param name: the snapshot's
    :raises MigrationError: when it is gone
    """
    with imported_snapshot(source, name) as snapshot:
        yield SnapshotStreams(snapshot, tools, manifest)


class _StreamReader:
    def __init__(self, streams: SnapshotStreams, stack: contextlib.ExitStack) -> None:
        self._streams = streams
        self._stack = stack
        self._relations = {m.relation.full_name: m.relation for m in streams.manifest.content.relations}
        self._sender: Sender | None = None

    def read(self, table: ArchivedRows) -> Chunks:
        relation = self._relations[table.schema, table.name]
        encoding = self._streams.manifest.database.locale.encoding
        sent = yield from self._read(f"the rows of table {relation}", copy_out(relation, encoding, table.format))
        if sent != table.rows:
            raise MigrationError(f"Table {relation}: the snapshot holds {table.rows} rows, but {sent} were sent")
        return sent

    def read_large_objects(self) -> Chunks:
        sent = 0
        for statement in copy_large_objects_out(self._streams.manifest.content.large_objects):
            sent += yield from self._read("the large objects", statement)
        return sent

    def cancel(self) -> None:
        if self._sender:
            self._sender.cancel()

    def _read(self, what: str, statement: sql.Composed) -> Chunks:
        try:
            if self._sender is None:
                self._sender = self._stack.enter_context(Sender(self._streams.snapshot, self._streams.tools))
            return (yield from self._sender.stream(statement))
        except MigrationError as error:
            raise MigrationError(f"Cannot read {what}: {error}") from None
