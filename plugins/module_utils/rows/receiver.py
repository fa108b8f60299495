# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows enter the target: kept only when the stream ended well and the counts agree."""

from __future__ import annotations

import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, describe
from ..schedule.progress import moved
from ..server.endpoint import Session


def receive(session: Session, what: str, statement: sql.Composed, chunks: t.Iterable[bytes], sent: int) -> int:
    """Load a stream and return how many rows the target received, which is how many were sent.

    :param session: in a transaction, which is to be rolled back on failure: then none of the rows is kept
    :param what: the object, for messages
    :param sent: how many rows the stream holds
    :raises MigrationError: when the server refuses a row, the stream breaks or a row is missing
    """
    try:
        with session.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for chunk in chunks:
                    copy.write(chunk)
                    moved(len(chunk))
            received = cursor.rowcount
    except psycopg.Error as error:
        raise MigrationError(f"Cannot load the rows of {what}: {describe(error)}") from None
    if received != sent:
        raise MigrationError(f"{what}: {sent} rows were sent, but the target received {received}")
    return received
