# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the live database gets its new content: a copy takes its place, or it is filled in place.

In place, all of it is replaced, or with ``sync`` what differs from the source.
"""

from __future__ import annotations

import typing as t

from psycopg import sql

from ...server.endpoint import Session
from ...server.inquiry import Inquiry, answer
from ...verdict.findings import Finding
from ..goals import LoadMode


def check_swap(session: Session, live: str) -> list[Finding]:
    """Return why no copy can be built beside the live database and take its name."""
    return answer(session, ask_swap(live))


def ask_swap(live: str) -> Inquiry[list[Finding]]:
    """Ask why no copy can be built beside the live database and take its name."""
    role = "SELECT rolsuper, rolcreatedb, rolname FROM pg_roles WHERE rolname = current_user"
    owner = "SELECT pg_get_userbyid(datdba), pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = {}"
    ((superuser, may_create, user),), owners = yield [role, sql.SQL(owner).format(live)]
    if superuser:
        return []
    findings = []
    if not may_create:
        findings.append(
            Finding(
                "error",
                "no-createdb",
                f"role {user}",
                "it may not create databases on the target, so no copy can be built beside the live database.",
                f"Let an administrator run ALTER ROLE {sql.Identifier(user).as_string()} CREATEDB; or CREATE "
                f"DATABASE {sql.Identifier(live).as_string()} for it, which is then filled in place.",
            )
        )
    for name, may_rename in owners:
        if may_rename:
            continue
        findings.append(
            Finding(
                "error",
                "not-owner",
                f'database "{live}"',
                f"it belongs to {name}, and {user} may not rename it.",
                f"Use {name} as target_user, or make {user} a member of that role.",
            )
        )
    return findings


def choose_load_mode(
    wanted: str, obstacles: t.Sequence[Finding], live: str, exists: bool
) -> tuple[LoadMode, list[Finding]]:
    """Return the load mode, and what is to be said of it.

    :param wanted: ``auto`` or a load mode
    :param obstacles: why no copy can take the live database's place
    :param exists: whether there is a live database
    """
    name = f'database "{live}"'
    if wanted == "swap" or (wanted == "auto" and (not obstacles or not exists)):
        return "swap", list(obstacles)
    why = "load_mode says so."
    if wanted == "auto":
        why = " ".join(f"{obstacle.object}: {obstacle.message}" for obstacle in obstacles)
    how = "what differs in it is brought, and nothing else," if wanted == "sync" else "it is filled in place,"
    findings = [Finding("notice", "load-mode", name, f"{how} in one transaction. {why}")]
    if not exists:
        findings.append(
            Finding(
                "error",
                "target-missing",
                name,
                "the target has none of that name, so nothing can be filled in place.",
                f'Let an administrator run CREATE DATABASE "{live}", with the source\'s encoding and locale.',
            )
        )
    return "sync" if wanted == "sync" else "in_place", findings
