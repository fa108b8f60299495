# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a COPY's stream in the binary form, counted where it is written, not where it was sent."""

from __future__ import annotations

import struct
import typing as t

# Docs: COPY, Binary Format.
#: A signature of 11 bytes, flags, and the length of an extension of the header, which no server writes.
_HEADER: t.Final = struct.Struct("!11sii")
_FIELDS: t.Final = struct.Struct("!h")
_LENGTH: t.Final = struct.Struct("!i")


class RowCounter:
    """Counts the rows in chunks of a stream, wherever these are cut."""

    def __init__(self) -> None:
        """Begin a stream."""
        self.rows = 0
        #: whether the stream has come to the end that COPY gives it
        self.ended = False
        self._held = b""
        #: how many bytes of the chunks to come are values
        self._skipped = 0
        self._fields = 0
        self._begun = False

    def count(self, chunk: bytes) -> None:
        """Take the next chunk."""
        held = self._held + chunk
        place = min(self._skipped, len(held))
        self._skipped -= place
        while not self._skipped and not self.ended:
            part = _LENGTH if self._fields else _FIELDS if self._begun else _HEADER
            if len(held) - place < part.size:
                break
            *_, number = part.unpack_from(held, place)
            place += part.size
            if self._fields:
                self._fields -= 1
            elif self._begun:
                self.ended = number < 0
                self.rows += not self.ended
                self._fields, number = max(number, 0), 0
            self._begun = True
            value = min(max(number, 0), len(held) - place)
            self._skipped = max(number, 0) - value
            place += value
        self._held = held[place:]
