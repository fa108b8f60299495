# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the target's server can hold the copy: checks against what the source's database needs."""

from __future__ import annotations

from psycopg import sql

from ...catalog.database import DatabaseProperties
from ...catalog.requirements import Requirements
from ...endpoint import Session
from ...staging.databases import database_exists
from ...staging.names import NAME_BYTES, Generations
from ..findings import Finding
from .asking import is_true
from .live import check_clients, check_live
from .locales import check_locale, check_xml
from .settings import check_settings


def check_target(
    session: Session, generations: Generations, source: DatabaseProperties, needs: Requirements, may_disconnect: bool
) -> list[Finding]:
    """Return what stands in the way of a copy beside the live database.

    :param session: a maintenance session of the target's server, which is left as it was
    """
    superuser = is_true(session, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    return [
        *_check_name(generations),
        *_check_rights(session, generations, superuser),
        *_check_versions(session, source),
        *_check_extensions(session, needs, superuser),
        *_check_superuser_objects(needs, superuser),
        *_check_roles(session, needs),
        *check_settings(session, source, superuser),
        *check_locale(session, source.locale, needs),
        *check_xml(session, needs),
        *check_live(session, generations, may_disconnect),
    ]


def check_rollback(session: Session, generations: Generations, may_disconnect: bool) -> list[Finding]:
    """Return what stands in the way of the previous database's return."""
    superuser = is_true(session, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    findings = [*_check_rights(session, generations, superuser), *check_clients(session, generations, may_disconnect)]
    if not database_exists(session, generations.previous):
        findings.append(
            Finding(
                "error",
                "previous-missing",
                f'database "{generations.previous}"',
                f'there is none to go back to: no switch has replaced "{generations.live}" yet, or it was dropped.',
                "Check target_dbname, or restore an archive with playbooks/restore.yml.",
            )
        )
    return findings


def _check_name(generations: Generations) -> list[Finding]:
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


def _check_rights(session: Session, generations: Generations, superuser: bool) -> list[Finding]:
    user = session.info.user
    findings = []
    if not superuser and not is_true(session, "SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user"):
        findings.append(
            Finding(
                "error",
                "no-createdb",
                f"role {user}",
                "it may not create databases on the target, and the copy is built in one beside the live database.",
                f"Let an administrator run ALTER ROLE {sql.Identifier(user).as_string(session)} CREATEDB; "
                "filling a database in place is not supported yet.",
            )
        )
    row = session.execute(
        "SELECT pg_get_userbyid(datdba), pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = %s",
        (generations.live,),
    ).fetchone()
    if row and not row[1] and not superuser:
        findings.append(
            Finding(
                "error",
                "not-owner",
                f'database "{generations.live}"',
                f"it belongs to {row[0]}, and {user} may not rename it.",
                f"Use {row[0]} as target_user, or make {user} a member of that role.",
            )
        )
    return findings


def _check_versions(session: Session, source: DatabaseProperties) -> list[Finding]:
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


def _check_extensions(session: Session, needs: Requirements, superuser: bool) -> list[Finding]:
    rows = session.execute(
        "SELECT e.name, e.default_version, coalesce(v.trusted, false) FROM pg_available_extensions e"
        " LEFT JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version"
    ).fetchall()
    available = {name: (version, trusted) for name, version, trusted in rows}
    findings = []
    for extension in needs.extensions:
        name = f"extension {extension.name}"
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
                    "Let an administrator create it in template1's stead: use a superuser as target_user.",
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


def _check_roles(session: Session, needs: Requirements) -> list[Finding]:
    present = {name for (name,) in session.execute("SELECT rolname FROM pg_roles").fetchall()}
    return [
        Finding(
            "error",
            "role-missing",
            f"role {need.what}",
            f"{need.object} names it, and the target's server has no such role.",
            f"CREATE ROLE {sql.Identifier(need.what).as_string(session)}; on the target.",
        )
        for need in needs.roles
        if need.what not in present
    ]
