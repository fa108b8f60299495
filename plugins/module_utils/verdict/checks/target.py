# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the target's server can hold the copy: checks against what the source's database needs."""

from __future__ import annotations

import typing as t

from ...catalog.database import DatabaseProperties
from ...catalog.requirements import Requirements
from ...endpoint import Session
from ...staging.databases import database_exists
from ...staging.names import NAME_BYTES, Generations
from ..findings import Finding
from .asking import is_superuser, is_true
from .build import check_build, check_locale
from .live import check_clients, check_live
from .load_mode import check_swap
from .names import check_names, check_roles
from .settings import check_settings


def check_target(
    session: Session, source: DatabaseProperties, needs: Requirements, present: t.Container[str] = ()
) -> list[Finding]:
    """Return what the target's server lacks that the source's database needs, however it gets there.

    :param session: one of the target's server, which is left as it was
    :param present: extensions that need not be created
    """
    if is_true(session, "SELECT pg_is_in_recovery()"):
        return [
            Finding(
                "error",
                "target-replica",
                "target server",
                "it is a replica in recovery, and nothing can be written to it.",
                "Name the primary server in target_host and target_port.",
            )
        ]
    superuser = is_superuser(session)
    return [
        *check_versions(session, source),
        *_check_extensions(session, needs, superuser, present),
        *_check_superuser_objects(needs, superuser),
        *check_roles(session, needs),
        *check_names(session, needs),
        *check_settings(session, source, needs),
        *check_build(session, source.locale, needs),
    ]


def check_beside(
    session: Session, generations: Generations, source: DatabaseProperties, may_disconnect: bool
) -> list[Finding]:
    """Return what stands in the way of a copy beside the live database, and of the switch to it."""
    return [
        *check_name(generations),
        *check_locale(session, source.locale),
        *check_live(session, generations, may_disconnect),
    ]


def check_rollback(session: Session, generations: Generations, may_disconnect: bool) -> list[Finding]:
    """Return what stands in the way of the previous database's return."""
    findings = [*check_swap(session, generations.live), *check_clients(session, generations, may_disconnect)]
    if not database_exists(session, generations.previous):
        findings.append(
            Finding(
                "error",
                "previous-missing",
                f'database "{generations.previous}"',
                f'there is none to go back to: no switch has replaced "{generations.live}" yet, or it was dropped.',
                "Check target_dbname; or name the backup of a run in place, or any archive, with -e archive=PATH.",
            )
        )
    return findings


def check_name(generations: Generations) -> list[Finding]:
    name = generations.live
    if name in ("", "template0", "template1", "postgres"):
        return [
            Finding(
                "error",
                "target-name",
                f'database "{name}"',
                "it is the server's own and cannot be replaced.",
                "Name the application's database in target_dbname.",
            )
        ]
    if len(name.encode()) > NAME_BYTES:
        return [
            Finding("error", "target-name", f'database "{name}"', f"the name is longer than {NAME_BYTES} bytes.", "")
        ]
    return []


def check_versions(session: Session, source: DatabaseProperties) -> list[Finding]:
    """Return whether the target's server is too old, or older than the source's."""
    target_major = session.info.server_version // 10000
    if target_major < 15:
        return [
            Finding(
                "error",
                "old-target",
                "target server",
                f"it is PostgreSQL {target_major}; 15 is the oldest that is supported.",
                "Upgrade it.",
            )
        ]
    if target_major < source.major:
        return [
            Finding(
                "warning",
                "older-target",
                "target server",
                f"it is PostgreSQL {target_major}, older than the source ({source.major}): what is new in "
                f"{source.major} cannot be created there.",
                "The run fails, with the live database untouched, if the schema uses any of it.",
            )
        ]
    return []


def _check_extensions(
    session: Session, needs: Requirements, superuser: bool, present: t.Container[str]
) -> list[Finding]:
    rows = session.execute(
        "SELECT e.name, e.default_version, coalesce(v.trusted, false) FROM pg_available_extensions e"
        " LEFT JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version"
    ).fetchall()
    available = {name: (version, trusted) for name, version, trusted in rows}
    findings = []
    for extension in needs.extensions:
        name = f"extension {extension.name}"
        if extension.name in present:
            continue
        if extension.name not in available:
            findings.append(
                Finding(
                    "error",
                    "extension-missing",
                    name,
                    f"the source has it (version {extension.version}), the target's server does not offer it.",
                    "Install it on the target's server, or drop it on the source if nothing uses it.",
                )
            )
            continue
        version, trusted = available[extension.name]
        if not superuser and not trusted:
            findings.append(
                Finding(
                    "error",
                    "extension-untrusted",
                    name,
                    f"only a superuser may create it, and {session.info.user} is none.",
                    "Use a superuser as target_user; or have an administrator create it in the live database, and set "
                    "load_mode to in_place.",
                )
            )
        if version != extension.version:
            findings.append(
                Finding(
                    "notice",
                    "extension-version",
                    name,
                    f"version {extension.version} on the source, {version} on the target.",
                )
            )
    return findings


def _check_superuser_objects(needs: Requirements, superuser: bool) -> list[Finding]:
    if superuser:
        return []
    return [
        Finding(
            "error",
            "superuser-object",
            need.object,
            f"only a superuser may create it ({need.what}), and the target user is none.",
            "Use a superuser as target_user, or drop it on the source.",
        )
        for need in needs.superuser
    ]
