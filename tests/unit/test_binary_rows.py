# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of COPY's binary form are counted, however the stream is cut."""

from __future__ import annotations

import struct

from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.binary import RowCounter
from hypothesis import given
from hypothesis import strategies as st

Rows = list[list[bytes | None]]


def stream(rows: Rows) -> bytes:
    """Write rows as the server does."""
    written = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
    for row in rows:
        written += struct.pack("!h", len(row))
        for value in row:
            written += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return written + struct.pack("!h", -1)


@given(
    st.lists(st.lists(st.none() | st.binary(max_size=40), max_size=3), max_size=6),
    st.lists(st.integers(1, 30), max_size=20),
)
def test_rows_are_counted(rows: Rows, cuts: list[int]) -> None:
    counter, written = RowCounter(), stream(rows)
    for cut in cuts:
        counter.count(written[:cut])
        written = written[cut:]
    counter.count(written)
    assert (counter.rows, counter.ended) == (len(rows), True)


def test_a_stream_that_breaks_has_no_end() -> None:
    counter = RowCounter()
    counter.count(stream([[b"one"], [b"two"]])[:-3])
    assert not counter.ended
