# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Materialized views are not copied: each is filled by its own query.

One process does that alone, since the order in which several bring rows together differs each time, and so do sums of
floating-point numbers and whatever else depends on it.
"""

from __future__ import annotations

import typing as t

import psycopg
from psycopg import sql

from ..catalog.selection import Name
from ..errors import MigrationError, describe
from ..server.batches import change
from ..server.endpoint import Session

_ALONE: t.Final = b"SET LOCAL max_parallel_workers_per_gather = 0;"
_AS_BEFORE: t.Final = b"; SET LOCAL max_parallel_workers_per_gather TO DEFAULT"


def refresh(session: Session, materialized_views: t.Collection[Name]) -> None:
    """Fill materialized views, each after those that it reads as far as that is known.

    What a function reads may not be: a view that fails because another one is empty is tried again after the others.

    :raises MigrationError: naming the one that failed
    """
    waiting = [*materialized_views]
    while waiting:
        failed: dict[Name, psycopg.Error] = {}
        for name in waiting:
            try:
                change(session, _ALONE + refresh_statement(*name).as_bytes(session) + _AS_BEFORE)
            except psycopg.errors.ObjectNotInPrerequisiteState as error:
                failed[name] = error
            except psycopg.Error as error:
                raise _cannot_refresh(name, error) from None
        if len(failed) == len(waiting):
            raise _cannot_refresh(*next(iter(failed.items())))
        waiting = [*failed]


def refresh_statement(schema: str, name: str) -> sql.Composed:
    """Return the statement that fills a materialized view."""
    return sql.SQL("REFRESH MATERIALIZED VIEW {}").format(sql.Identifier(schema, name))


def _cannot_refresh(name: Name, error: psycopg.Error) -> MigrationError:
    return MigrationError(f"Cannot refresh materialized view {'.'.join(name)}: {describe(error, over_rows=True)}")
