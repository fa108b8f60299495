# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where rows come from: the files of an archive, or the streams of a snapshot."""

from __future__ import annotations

import contextlib
import typing as t

from ..rows.chunks import Chunks
from .manifest import ArchivedRows


class Reader(t.Protocol):
    """What one session that loads rows reads them from, one stream at a time."""

    def read(self, table: ArchivedRows) -> Chunks:
        """Yield a table's rows, in the form that is said of it; return their number by the sender's own count.

        :raises MigrationError: at the latest at its end when it is not what it must be: nothing of it may be kept then
        """

    def read_large_objects(self) -> Chunks:
        """Yield the pieces of all large objects, in text form, likewise."""

    def cancel(self) -> None:
        """Make what is being read fail soon; called from another thread."""


class Origin(t.Protocol):
    """Rows that are described by a manifest."""

    def open(self) -> contextlib.AbstractContextManager[Reader]:
        """Give a reader, for as long as the block lasts."""
