# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive: the folder that it lies in, and what its manifest says of it."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import typing as t

from ..errors import MigrationError
from ..rows.chunks import Chunks
from .compression import DamagedError, SummedFile, unpack
from .manifest import ArchivedFile, ArchivedRows, Manifest
from .origin import Reader


@dataclasses.dataclass(frozen=True)
class Archive:
    """What a dump has left, or the description of what is streamed.

    It is an Origin of rows; each file is summed up while it is read.
    """

    folder: pathlib.Path
    manifest: Manifest

    @property
    def schema(self) -> pathlib.Path:
        """pg_dump's file of the definitions."""
        return self.folder / self.manifest.schema.name

    def open(self) -> contextlib.AbstractContextManager[Reader]:
        """Give a reader.

        :raises MigrationError: when the rows are not in the archive
        """
        self.manifest.require_rows()
        return contextlib.nullcontext(self)

    def read(self, table: ArchivedRows) -> Chunks:
        """Yield a table's rows; return how many were written.

        :raises MigrationError: at its end when it is not what was written
        """
        assert table.file
        yield from self._read(table.file)
        return table.rows

    def read_large_objects(self) -> Chunks:
        """Yield the pieces of all large objects, likewise."""
        assert self.manifest.large_objects
        yield from self._read(self.manifest.large_objects)
        return self.manifest.large_object_pieces

    def cancel(self) -> None:
        """Do nothing: a file's next chunk is soon there."""

    def _read(self, file: ArchivedFile) -> t.Iterator[bytes]:
        with (self.folder / file.name).open("rb") as stream:
            summed = SummedFile(stream)
            try:
                yield from unpack(summed, file.compression)
            except DamagedError as error:
                raise self._altered(file, f" ({error})") from None
        if summed.sha256 != file.sha256:
            raise self._altered(file)

    def _altered(self, file: ArchivedFile, how: str = "") -> MigrationError:
        return MigrationError(f"The archive's file {self.folder / file.name} was altered{how}. Dump again.")
