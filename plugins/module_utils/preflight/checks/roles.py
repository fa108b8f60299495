# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the target's server has the roles that the source's owners and grants name."""

from __future__ import annotations

import collections
import typing as t

from psycopg import sql

from ...privileges.acl import PUBLIC
from ...privileges.catalog import Privileges
from ...privileges.wanted import Policy
from ...verdict.findings import Finding

#: How many objects are named.
NAMED: t.Final = 5


def check_roles(policy: Policy, source: Privileges, server: Privileges) -> list[Finding]:
    """Check role_map, and that the target has the roles."""
    findings = [
        Finding(
            "error",
            "role-map",
            f"role {role}",
            "role_map names it, and the source has no such role.",
            "Correct role_map: the source's role stands before the colon.",
        )
        for role in policy.role_map
        if role not in source.roles
    ]
    used = _used(policy, source)
    by_target = collections.defaultdict(list)
    for role in sorted(used.keys() | policy.role_map.keys()):
        by_target[policy.role_map.get(role, role)].append(role)
    for target, roles in by_target.items():
        mapped = [role for role in roles if role in policy.role_map]
        if len(roles) > 1 and mapped:
            findings.append(
                Finding(
                    "error" if len(mapped) > 1 else "warning",
                    "role-map",
                    f"role {target}",
                    f"several roles of the source would be this one: {', '.join(roles)}; it would have the rights of "
                    "all of them.",
                    "Map each role to one of its own.",
                )
            )
        if target not in server.roles and (needing := [use for role in roles for use in used.get(role, [])]):
            login = any(role in source.roles and source.roles[role].can_login for role in roles)
            findings.append(
                Finding(
                    "error",
                    "role-missing",
                    f"role {target}",
                    f"the source's owners and grants name it ({name_some(needing)}), and the target's server has no "
                    "such role.",
                    f"CREATE ROLE {sql.Identifier(target).as_string()}{' LOGIN' if login else ''}; on the target, or "
                    "name another one in role_map.",
                )
            )
    return findings


def _used(policy: Policy, source: Privileges) -> dict[str, list[str]]:
    """Return the source's roles that the target must have, and what for."""
    used: dict[str, list[str]] = collections.defaultdict(list)
    for securable in source.objects:
        if policy.owners == "source" and not securable.keeps_owner and securable.owner:
            used[securable.owner].append(str(securable))
        if policy.grants == "source":
            made_with = securable.made_with or frozenset()
            if securable.given_away:
                used[securable.owner].append(str(securable))
            for grants in (source.grants(securable) - made_with, *securable.columns.values()):
                for role in {g.grantee for g in grants} - {securable.owner, PUBLIC, ""}:
                    used[role].append(str(securable))
    for default in source.defaults if policy.grants == "source" else ():
        for role in {default.role, *(grant.grantee for grant in default.grants)} - {PUBLIC, ""}:
            used[role].append(str(default))
    return used


def name_some(names: t.Sequence[str]) -> str:
    """Return the first of the names, and how many more there are."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
