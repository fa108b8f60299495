# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether generated columns hold what their server makes of the rows: no copy carries what each computes itself."""

from __future__ import annotations

import typing as t

import psycopg

from ..server.endpoint import Session, set_search_path
from .expressions import Expression, list_expressions
from .in_force import Settings, use_settings
from .selection import Name


def find_computed(
    session: Session, tables: t.Collection[Name], search_path: str, settings: Settings, *, own: bool = False
) -> frozenset[Name]:
    """Return those of the tables in which every generated column does, bit by bit.

    :param session: under an empty search_path, and left as it was
    :param search_path: under which the rows were loaded, with
    :param settings: these
    :param own: whether to look at those alone that are computed by what users can replace
    """
    if not tables:
        return frozenset()
    generated = [
        expression
        for expression in list_expressions(session, every=not own)
        if expression.kind == "generated" and (expression.schema, expression.table) in tables
    ]
    others = {(one.schema, one.table) for one in generated if not _is_computed(session, one, search_path, settings)}
    return frozenset(tables) - others


def find_replaceable(session: Session) -> frozenset[Name]:
    """Return the tables of which some generated column is computed by what users can replace."""
    return frozenset((one.schema, one.table) for one in list_expressions(session) if one.kind == "generated")


def _is_computed(session: Session, expression: Expression, search_path: str, settings: Settings) -> bool:
    try:
        with session.transaction(force_rollback=True):
            use_settings(session, settings, set_search_path(search_path))
            return session.execute(expression.query()).fetchone() == (0,)
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.Error:
        # What cannot be told is a difference.
        return False
