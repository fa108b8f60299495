# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows enter the target: one transaction a stream, committed only when the stream ended well and the counts agree."""

from __future__ import annotations

import typing as t

import psycopg
from psycopg import sql

from ..endpoint import Session, break_off, use_search_path
from ..errors import MigrationError, describe


class Receiver:
    """A session on the target that loads one stream after the other."""

    def __init__(self, session: Session, search_path: str) -> None:
        self.session = session
        # Functions behind generated columns, checks and domains may rely on the search_path that their database has.
        use_search_path(self.session, search_path)

    def cancel(self) -> None:
        """Make a running COPY fail."""
        break_off(self.session)

    def load(self, what: str, statement: sql.Composed, chunks: t.Iterable[bytes], sent: int) -> int:
        """Load a stream and return how many rows the target received, which is how many were sent.

        :param what: the object, for messages
        :param sent: how many rows the stream holds
        :raises MigrationError: when the server refuses a row, the stream breaks or a row is missing: none is kept
        """
        try:
            with self.session.transaction(), self.session.cursor() as cursor:
                with cursor.copy(statement) as copy:
                    for chunk in chunks:
                        copy.write(chunk)
                if cursor.rowcount != sent:
                    raise MigrationError(f"{what}: {sent} rows were sent, but the target received {cursor.rowcount}")
                return cursor.rowcount
        except psycopg.Error as error:
            raise MigrationError(f"Cannot load the rows of {what}: {describe(error)}") from None
