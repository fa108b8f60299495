# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the target's server knows the roles and objects that the source's rows and definitions name.

And whether any server reads the values at all.
"""

from __future__ import annotations

import collections
import typing as t

from psycopg import sql

from ...catalog.named_values import WRITE_ONLY, NamedValue
from ...catalog.requirements import Requirements
from ...server.endpoint import Session
from ...verdict.findings import Finding
from .check import refusal_of

_ROLES: t.Final = ("aclitem", "regrole")


def check_roles(present: t.Container[str], needs: Requirements) -> list[Finding]:
    """Return the roles that the target's server lacks, each with who names it."""
    wanted = [(need.what, f"{need.object} names it") for need in needs.roles]
    wanted += [
        (value.name, f"{value.values:,} values in column {value.column} name it")
        for value in needs.named
        if value.type in _ROLES
    ]
    return [
        Finding(
            "error",
            "role-missing",
            f"role {role}",
            f"{said}, and the target's server has no such role.",
            "On the source, that role was dropped, and its number is left: take it out of these values."
            if role.isdecimal()
            else f"CREATE ROLE {sql.Identifier(role).as_string()}; on the target.",
        )
        for role, said in wanted
        if role not in present
    ]


def check_names(session: Session, needs: Requirements) -> list[Finding]:
    """Return the columns with values that name something which cannot be found while rows are loaded."""
    unknown: collections.Counter[tuple[str, str]] = collections.Counter()
    for value in needs.named:
        if value.type not in (*_ROLES, *WRITE_ONLY) and not _is_known(session, value):
            unknown[value.column, value.type] += value.values
    return [
        Finding(
            "error",
            "name-unknown",
            f"column {column}",
            f"{count:,} of its values are of type {type_} and name what cannot be found by its name while rows are "
            "loaded: an index, which is made later, something temporary, one of several of a name, or something that "
            "the target's server does not have.",
            "Delete or change these rows on the source, or give the column the type text.",
        )
        for (column, type_), count in unknown.items()
    ]


def check_write_only(needs: Requirements) -> list[Finding]:
    """Return the columns with values that no server reads."""
    return [
        Finding(
            "error",
            "write-only",
            f"column {value.column}",
            f"{value.values:,} of its values are of type {value.type}, which a server writes and none reads.",
            "Give the column the type text on the source, or drop it.",
        )
        for value in needs.named
        if value.type in WRITE_ONLY
    ]


def _is_known(session: Session, value: NamedValue) -> bool:
    if not value.loadable:
        return False
    statement = sql.SQL("SELECT CAST({} AS {})").format(value.name, sql.Identifier("pg_catalog", value.type))
    return not value.builtin or refusal_of(session, statement) is None
