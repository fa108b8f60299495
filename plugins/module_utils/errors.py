# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that the engine raises on purpose, and how a server's message is told."""

from __future__ import annotations

import typing as t

import psycopg


class MigrationError(Exception):
    """A run cannot go on; the message says what is wrong, where, and what to do.

    ``result`` is what the stage found out all the same, for its record.
    """

    def __init__(self, message: str, result: dict[str, t.Any] | None = None) -> None:
        super().__init__(message)
        self.result = result or {}


def describe(error: psycopg.Error) -> str:
    """Return the server's message whole: SQLSTATE, text, detail, hint and context, one a line."""
    diagnostic = error.diag
    if diagnostic.message_primary is None:
        return str(error).strip()
    lines = [f"{diagnostic.severity} {diagnostic.sqlstate}: {diagnostic.message_primary}"]
    for label, text in (
        ("DETAIL", diagnostic.message_detail),
        ("HINT", diagnostic.message_hint),
        ("CONTEXT", diagnostic.context),
    ):
        if text:
            lines.append(f"{label}: {text}")
    return "\n".join(lines)
