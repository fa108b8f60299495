# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where rows come from."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import typing as t

from ..errors import MigrationError
from .manifest import ArchivedFile, ArchivedRows

_READ_BYTES: t.Final = 1 << 20


@dataclasses.dataclass(frozen=True)
class ArchiveFiles:
    """Rows that lie in an archive's folder."""

    folder: pathlib.Path

    def read(self, part: ArchivedRows | ArchivedFile) -> t.Iterator[bytes]:
        """Yield the rows of a table, or another file, in chunks.

        :raises MigrationError: at its end when it is not what was written, so that nothing of it is committed
        """
        file = part.file if isinstance(part, ArchivedRows) else part
        digest = hashlib.sha256()
        with (self.folder / file.name).open("rb") as stream:
            while chunk := stream.read(_READ_BYTES):
                digest.update(chunk)
                yield chunk
        if digest.hexdigest() != file.sha256:
            raise MigrationError(f"The archive's file {self.folder / file.name} was altered. Dump again.")
