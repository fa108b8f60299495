# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows on their way: chunks of a COPY's stream, and at its end how many rows they are by the sender's own count."""

from __future__ import annotations

import typing as t

#: Yields chunks of bytes, which may be cut anywhere; returns the number of rows. What raises has not ended well.
Chunks: t.TypeAlias = t.Generator[bytes, None, int]


def pour(chunks: Chunks, write: t.Callable[[bytes], object]) -> int:
    """Write all chunks, and return how many rows the sender says there were."""
    while True:
        try:
            chunk = next(chunks)
        except StopIteration as end:
            return int(end.value)
        write(chunk)
