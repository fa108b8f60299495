# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results and errors that psycopg has received, as messages once more (docs: 55.7 Message Formats)."""

from __future__ import annotations

import dataclasses
import struct
import typing as t

import psycopg
from psycopg import pq

from .protocol import message


@dataclasses.dataclass(frozen=True)
class Answer:
    """A statement's result."""

    #: the message that describes the columns; empty where there are none
    description: bytes
    names: tuple[bytes, ...]
    types: tuple[int, ...]
    rows: t.Sequence[t.Sequence[bytes | None]]
    #: how the statement has ended; nothing where there was none
    status: bytes

    def tell(self) -> bytes:
        """Return it as messages."""
        options = [column for column, name in enumerate(self.names) if name == b"attoptions"]
        rows = self.rows if not options else [_without_own(row, options) for row in self.rows]
        told = [
            message(b"D", _counted([_NULL if value is None else _length(len(value)) + value for value in row]))
            for row in rows
        ]
        return b"".join([self.description, *told, message(b"C", self.status + b"\0") if self.status else _NOTHING])


_NOTHING: t.Final = message(b"I", b"")
# What is done for each value of each row, as thousands of objects have many.
_length: t.Final = struct.Struct("!i").pack
_NULL: t.Final = _length(-1)


def read_answer(result: pq.abc.PGresult) -> Answer:
    """Return a result as it came."""
    columns = range(result.nfields)
    description = b""
    if result.status == pq.ExecStatus.TUPLES_OK:
        description = message(b"T", _counted([_describe_column(result, column) for column in columns]))
    return Answer(
        description,
        tuple(result.fname(column) or b"" for column in columns),
        tuple(result.ftype(column) for column in columns),
        [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)],
        b"" if result.status == pq.ExecStatus.EMPTY_QUERY else result.command_status or b"",
    )


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


def _without_own(row: t.Sequence[bytes | None], columns: t.Container[int]) -> list[bytes | None]:
    """Return a row without what a server of 15.20 keeps for itself among a column's options.

    A pg_dump that is older takes it for the user's, and a server that is older refuses it.
    """
    return [
        b", ".join(option for option in value.split(b", ") if not option.startswith(b"pg_attver="))
        if value is not None and column in columns
        else value
        for column, value in enumerate(row)
    ]
