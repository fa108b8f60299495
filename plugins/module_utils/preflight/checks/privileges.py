# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether owners and grants can be what was asked for, and what of them is lost."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from psycopg import sql

from ...privileges.acl import Grants
from ...privileges.catalog import PLACES, PUBLIC_SCHEMA, Privileges, Securable
from ...privileges.plan import after_owner, commands
from ...privileges.wanted import Policy, Wishes, want
from ...verdict.findings import Finding
from .roles import NAMED, check_roles, name_some


def check_privileges(
    policy: Policy,
    source: Privileges | None,
    live: Privileges | None,
    server: Privileges,
    *,
    in_place: bool,
    allowed: t.Container[str],
) -> list[Finding]:
    """Return what stands in the way of the owners and grants that were asked for, and what they will lack.

    :param source: the source's, None where an archive of an older version does not hold them
    :param live: the live database's, if there is one
    :param server: those of any database of the target's server, for its roles
    """
    if source is None:
        return [_unknown()] if policy.needs_source else []
    findings = check_roles(policy, source, server) if policy.needs_source else []
    if any(finding.severity == "error" for finding in findings):
        return findings
    here = _imagined(source, live, server, in_place, policy)
    wishes = want(policy, here, live, source)
    return [
        *findings,
        *_check_owners(here, wishes),
        *_check_granting(here, wishes, allowed),
        *_tell_homeless(wishes),
        *_tell_grantors(here, wishes),
        *_tell_gone(source if policy.grants == "source" else live if policy.grants == "live" else None),
        *_tell_former_owners(here, live, policy),
        *_tell_extensions(policy, source, live, server, in_place=in_place),
        *_tell_left_behind(policy, source, live),
    ]


def check_kept_privileges(policy: Policy) -> list[Finding]:
    """Return that a schema which is kept keeps its owners and grants."""
    if not policy.needs_source:
        return []
    return [
        Finding(
            "error",
            "grants-kept-schema",
            "grants and owners",
            "the live database's schema is kept, with its owners and grants: the source's cannot be carried.",
            "Leave out grants and owners, or fk_strategy and the selection of tables.",
        )
    ]


def _unknown() -> Finding:
    return Finding(
        "error",
        "grants-unknown",
        "archive",
        "it does not hold the source's owners and grants: an older version has written it.",
        "Dump again, or leave out grants: source and owners: source.",
    )


def _imagined(
    source: Privileges, live: Privileges | None, server: Privileges, in_place: bool, policy: Policy
) -> Privileges:
    """Return the copy as it will be made: everything is the target user's, and nothing is granted."""
    changed = source if policy.grants == "source" else live if policy.grants == "live" else None
    own = [_made(o, server.user) for o in source.objects if o.made_with is None and o.kind not in PLACES]
    places = [o for o in live.objects if o.kind == "DATABASE"] if live and in_place else []
    if not places:
        places = [Securable("DATABASE", "", "database", "", server.user, None, {})]
    there = {o.key: o for o in live.objects} if live and in_place else {}
    theirs = [
        there.get(o.key) or _made_anew(o, o.made_with, server)
        for o in (changed.objects if changed else ())
        if o.made_with is not None
    ]
    defaults = live.defaults if live and in_place else ()
    return dataclasses.replace(server, objects=(*own, *places, *theirs), defaults=defaults)


def _made(securable: Securable, user: str) -> Securable:
    public = securable.key == PUBLIC_SCHEMA
    return dataclasses.replace(
        securable,
        owner="pg_database_owner" if public else user,
        acl=None,
        columns=dict.fromkeys(securable.columns, frozenset()),
    )


def _made_anew(securable: Securable, made_with: Grants, server: Privileges) -> Securable:
    """Return what an extension or the server makes: as a rule it is a superuser's, who may have another name here."""
    owner = securable.owner
    if securable.given_away or owner not in server.roles:
        owner = next((name for name, role in server.roles.items() if role.superuser), owner)
    return dataclasses.replace(
        securable,
        owner=owner,
        acl=after_owner(made_with, securable.owner, owner),
        columns=dict.fromkeys(securable.columns, frozenset()),
    )


def _check_owners(here: Privileges, wishes: Wishes) -> list[Finding]:
    """Return the roles to whom the target user may give nothing: it must be a member of them."""
    given = collections.defaultdict(list)
    for securable in here.objects:
        if (owner := wishes.objects[securable.key].owner) != securable.owner:
            given[owner].append(str(securable))
    return [
        Finding(
            "error",
            "owner-forbidden",
            f"role {owner}",
            f"it is to own {name_some(names)}, and {here.user} is not a member of it, with its rights.",
            f"GRANT {sql.Identifier(owner).as_string()} TO {sql.Identifier(here.user).as_string()}; on the target, "
            "or leave out owners, or use a superuser as target_user.",
        )
        for owner, names in sorted(given.items())
        if not (role := here.roles.get(owner)) or not (role.assumable and role.inherited)
    ]


def _check_granting(here: Privileges, wishes: Wishes, allowed: t.Container[str]) -> list[Finding]:
    """Return the grants that the target user may not give: on what others own, and as what others grant by default."""
    owners = {str(o): o.owner for o in here.objects if o.keeps_owner}
    owners |= {str(d): d.role for d in (*here.defaults, *wishes.defaults.values())}
    said = dict.fromkeys(command.object for command in commands(here, wishes, ""))
    return [
        Finding(
            "error",
            "grant-forbidden",
            name if name.startswith("default ") else f"privileges of {name}",
            f"they are to be what they are elsewhere, and {here.user} may not change them: only {owner} may, or a "
            "superuser.",
            f"Make {here.user} a member of {owner}, use a superuser as target_user, or name this in "
            "allowed_differences with a reason.",
        )
        for name in said
        if (owner := owners.get(name)) is not None
        and name not in allowed
        and f"privileges of {name}" not in allowed
        and not ((role := here.roles.get(owner)) and role.inherited)
    ]


def _tell_homeless(wishes: Wishes) -> list[Finding]:
    return [
        Finding(
            "warning",
            "grant-without-object",
            name,
            f"{', '.join(roles) or 'a role'} has grants on it, and the source has no such object: they go.",
            "Where it has another name now, grant anew after the run.",
        )
        for name, roles in wishes.homeless
    ]


def _tell_grantors(here: Privileges, wishes: Wishes) -> list[Finding]:
    """Tell whose grants to others will be the owner's instead, since that role cannot be assumed."""
    found = collections.defaultdict(list)
    for securable in here.objects:
        wish = wishes.objects[securable.key]
        for grants in (wish.grants, *wish.columns.values()):
            for role in {grant.grantor for grant in grants} - {wish.owner, ""}:
                if not ((known := here.roles.get(role)) and known.assumable) and here.grants(securable) != grants:
                    found[role].append(str(securable))
    return [
        Finding(
            "notice",
            "grantor-changed",
            f"role {role}",
            f"what it has passed on of {name_some(names)} is granted by the owner instead: {here.user} cannot assume "
            "it.",
        )
        for role, names in sorted(found.items())
    ]


def _tell_gone(there: Privileges | None) -> list[Finding]:
    names = [
        str(securable)
        for securable in (there.objects if there else ())
        if any("" in (g.grantee, g.grantor) for c in (securable.acl or (), *securable.columns.values()) for g in c)
    ]
    if not names:
        return []
    return [
        Finding(
            "notice",
            "grant-without-role",
            name_some(names),
            "a role is gone that was granted something or has granted it: its rights go, what it granted is the "
            "owner's.",
        )
    ]


def _tell_former_owners(here: Privileges, live: Privileges | None, policy: Policy) -> list[Finding]:
    """Tell which owners will be owners no more: no grant lets a role alter or drop something."""
    if live is None or policy.owners != "target_user":
        return []
    owned = collections.defaultdict(list)
    for securable in live.objects:
        found = here.by_key.get(securable.key)
        if found and not securable.keeps_owner and not securable.follows and securable.owner != found.owner:
            owned[securable.owner].append(str(securable))
    kept = "what an owner can be granted it is granted" if policy.grants == "live" else "it loses its rights to them"
    return [
        Finding(
            "warning",
            "owner-changed",
            f"role {owner}",
            f"it owns {name_some(names)} in the live database, which {here.user} will own; {kept}, and it can no "
            "longer alter or drop them.",
            "Set owners to live to keep it their owner.",
        )
        for owner, names in sorted(owned.items())
        if owner and not ((role := here.roles.get(owner)) and role.superuser)
    ]


def _tell_extensions(
    policy: Policy, source: Privileges, live: Privileges | None, server: Privileges, *, in_place: bool
) -> list[Finding]:
    """Tell who owns extensions, and will not: whoever makes one owns it, and no command gives it away."""
    there = source if policy.owners == "source" else live
    kept = {o.key for o in live.objects} if live and in_place else set()
    owned = collections.defaultdict(list)
    for extension in there.objects if there else ():
        if extension.kind == "EXTENSION" and extension.key in source.by_key and extension.key not in kept:
            owner = policy.role_map.get(extension.owner, extension.owner) if there is source else extension.owner
            owned[owner].append(str(extension))
    return [
        Finding(
            "warning",
            "owner-changed",
            f"role {owner}",
            f"it owns {name_some(names)}, which {server.user} makes in the copy: no command gives extensions away, and "
            "it can no longer update or drop them.",
            f"Have {server.user} or a superuser do so.",
        )
        for owner, names in sorted(owned.items())
        if owner != server.user and not ((role := server.roles.get(owner)) and role.superuser)
    ]


def _tell_left_behind(policy: Policy, source: Privileges, live: Privileges | None) -> list[Finding]:
    """Tell what of the source's owners and grants stays behind; a live database has its own grants."""
    owners = {
        o.owner
        for o in source.objects
        if (policy.owners != "source" and not o.keeps_owner and o.kind != "SCHEMA")
        or (policy.grants != "source" and o.given_away)
    } - {source.user}
    granted = [
        o
        for o in source.objects
        if (o.kind not in PLACES or (o.kind == "DATABASE" and live is None))
        and o.key != PUBLIC_SCHEMA
        and (any(o.columns.values()) or source.grants(o) != (o.made_with or source.initial_grants(o.kind, o.owner)))
    ]
    said = []
    if owners:
        said.append(f"{len(owners)} other roles own objects of the source ({', '.join(sorted(owners)[:NAMED])})")
    if granted and policy.grants != "source":
        said.append(f"{len(granted)} of its objects carry grants ({name_some([str(o) for o in granted])})")
    if not said:
        return []
    return [
        Finding(
            "warning",
            "owners-and-grants",
            "source database",
            f"{' and '.join(said)}, which are not carried.",
            "If the target is to have them, set owners or grants to source.",
        )
    ]
