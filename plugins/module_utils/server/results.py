# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results and errors that psycopg has received, as messages once more (docs: 55.7 Message Formats)."""

from __future__ import annotations

import struct
import typing as t

import psycopg
from psycopg import pq

from .protocol import message


def tell_result(result: pq.abc.PGresult) -> bytes:
    """Return the messages that tell a statement's result."""
    if result.status == pq.ExecStatus.EMPTY_QUERY:
        return message(b"I", b"")
    return b"".join([*_tell_rows(result), message(b"C", (result.command_status or b"") + b"\0")])


def _tell_rows(result: pq.abc.PGresult) -> t.Iterator[bytes]:
    if result.status == pq.ExecStatus.TUPLES_OK:
        columns = range(result.nfields)
        yield message(b"T", _counted([_describe_column(result, column) for column in columns]))
        options = [column for column in columns if result.fname(column) == b"attoptions"]
        for row in range(result.ntuples):
            values = [result.get_value(row, column) for column in columns]
            for column in options:
                values[column] = _without_own(values[column])
            yield message(b"D", _counted(list(map(_spell, values))))


def tell_error(error: psycopg.Error) -> bytes:
    """Return the message that tells an error."""
    result = error.pgresult
    told = [(field, result.error_field(field)) for field in pq.DiagnosticField] if result else []
    fields = [bytes([field]) + value + b"\0" for field, value in told if value is not None]
    return message(b"E", b"".join(fields or [b"SFATAL\0C08006\0M" + str(error).encode() + b"\0"]) + b"\0")


def _counted(parts: list[bytes]) -> bytes:
    return struct.pack("!H", len(parts)) + b"".join(parts)


def _describe_column(result: pq.abc.PGresult, column: int) -> bytes:
    return (
        (result.fname(column) or b"")
        + b"\0"
        + struct.pack(
            "!IhIhih",
            result.ftable(column),
            result.ftablecol(column),
            result.ftype(column),
            result.fsize(column),
            result.fmod(column),
            result.fformat(column),
        )
    )


def _without_own(options: bytes | None) -> bytes | None:
    """Return a column's options without the one that a server of 15.20 keeps there for itself.

    A pg_dump that is older takes it for the user's, and a server that is older refuses it.
    """
    if options is None:
        return None
    return b", ".join(option for option in options.split(b", ") if not option.startswith(b"pg_attver="))


def _spell(value: bytes | None) -> bytes:
    return struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
