# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the target's server can hold the copy: checks against what the source's database needs."""

from __future__ import annotations

import typing as t

from ...catalog.database import DatabaseProperties
from ...catalog.requirements import Requirements, ask_default_versions
from ...server.endpoint import Session
from ...server.inquiry import Inquiry, ask, together
from ...staging.databases import database_exists
from ...staging.names import NAME_BYTES, Generations
from ...verdict.findings import Finding
from .build import check_collations, check_icu, check_xml, collations_of
from .live import check_clients
from .load_mode import check_swap
from .names import check_names, check_roles, check_write_only
from .settings import check_settings

_RECOVERING: t.Final = "SELECT pg_is_in_recovery()"
_ROLES: t.Final = "SELECT rolname FROM pg_roles"


class Offers(t.NamedTuple):
    """What a target's server offers."""

    recovering: bool
    roles: frozenset[str]
    #: of those that are needed
    collations: frozenset[str]
    #: the versions of extensions, by name
    versions: t.Mapping[str, str]


def ask_offers(source: DatabaseProperties, needs: Requirements) -> Inquiry[Offers]:
    """Ask what the target's server offers of what the source's database needs."""
    (((recovering,),), roles, collations), versions = yield from together(
        ask(_RECOVERING, _ROLES, collations_of(source.locale, needs.predefined)), ask_default_versions()
    )
    return Offers(recovering, frozenset(name for (name,) in roles), frozenset(name for (name,) in collations), versions)


def check_target(
    session: Session,
    offers: Offers,
    source: DatabaseProperties,
    needs: Requirements,
    present: t.Container[str] = (),
    allowed: t.Mapping[str, str] | None = None,
) -> list[Finding]:
    """Return what the target's server lacks that the source's database needs, however it gets there.

    What it refuses of the schema, a rehearsal tells (staging/rehearsal.py).

    :param session: one of the target's server, which is left as it was
    :param present: extensions that need not be created
    :param allowed: reasons for differences that are allowed, by object
    """
    if offers.recovering:
        return [
            Finding(
                "error",
                "target-replica",
                "target server",
                "it is a replica in recovery, and nothing can be written to it.",
                "Name the primary server in target_host and target_port.",
            )
        ]
    return [
        *check_versions(session, source),
        *_check_extensions(offers.versions, needs, present),
        *check_roles(offers.roles, needs),
        *check_names(session, needs),
        *check_write_only(needs),
        *check_settings(session, source, allowed or {}),
        *check_collations(offers.collations, needs.predefined),
        *check_icu(session, needs.icu),
        *check_xml(session, needs.xml),
    ]


def check_rollback(session: Session, generations: Generations, may_disconnect: bool) -> list[Finding]:
    """Return what stands in the way of the previous database's return."""
    findings = [*check_swap(session, generations.live), *check_clients(session, generations.live, may_disconnect)]
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


def _check_extensions(versions: t.Mapping[str, str], needs: Requirements, present: t.Container[str]) -> list[Finding]:
    return [
        Finding(
            "notice",
            "extension-version",
            f"extension {extension.name}",
            f"version {extension.version} on the source, {versions[extension.name]} on the target.",
        )
        for extension in needs.extensions
        if extension.name not in present and versions.get(extension.name, extension.version) != extension.version
    ]
