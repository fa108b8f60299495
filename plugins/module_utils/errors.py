# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stage comes to, the one error that the engine raises on purpose, and how a server's message is told."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg

from .redaction import Message


@dataclasses.dataclass
class Outcome:
    """What a stage has come to, or had when it failed."""

    #: whether anything of what is managed is not as it was
    changed: bool = False
    #: whether nobody knows if the live database was replaced
    uncertain: bool = False
    #: what the report is made of; it stays in the run's folder
    record: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    #: what the next task gets
    returned: dict[str, t.Any] = dataclasses.field(default_factory=dict)


class MigrationError(Exception):
    """A run cannot go on; the message says what is wrong, where, and what to do.

    ``outcome`` is what the stage has come to all the same.
    """

    def __init__(self, message: str, outcome: Outcome | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome or Outcome()


class ConnectionLostError(MigrationError):
    """What was under way ended with its session: somebody or something has ended that."""


def describe(error: psycopg.Error, *, over_rows: bool = False) -> str:
    """Return the server's message: SQLSTATE, text, detail, hint and context, one a line; no value is in it.

    What psycopg says by itself is told whole unless it is about a value.

    :param over_rows: whether the statement has evaluated something for rows, of whose values any message may tell then
    """
    diagnostic = error.diag
    if diagnostic.message_primary is None:
        # Of a value that it cannot read or write (psycopg.DataError), psycopg quotes it.
        return type(error).__name__ if isinstance(error, psycopg.DataError) else str(error).strip()
    return _message(diagnostic, over_rows=over_rows).told


def summarize(error: psycopg.Error) -> str:
    """Return the text of the server's message alone; no value is in it."""
    return describe(error) if error.diag.message_primary is None else _message(error.diag).summary


def _message(diagnostic: psycopg.errors.Diagnostic, *, over_rows: bool = False) -> Message:
    # What has a place in a statement's text, the server says of that, before it reads a row.
    is_placed = diagnostic.statement_position is not None or diagnostic.internal_position is not None
    return Message(
        diagnostic.severity or "",
        diagnostic.sqlstate or "",
        diagnostic.message_primary or "",
        diagnostic.message_detail or "",
        diagnostic.message_hint or "",
        diagnostic.context or "",
        diagnostic.source_file or "",
        over_rows and not is_placed,
    )
