# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What owners and grants of a copy shall be, by those of the live database or of the source. No server is asked."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from .acl import PUBLIC, Grant, Grants
from .catalog import PLACES, PUBLIC_SCHEMA, DefaultPrivileges, Key, Privileges, Securable

GrantsOf = t.Literal["live", "source", "none"]
OwnersOf = t.Literal["target_user", "live", "source"]


@dataclasses.dataclass(frozen=True)
class Policy:
    """What the user has asked for; ``role_map`` names the target's roles by the source's, where they differ."""

    grants: GrantsOf = "live"
    owners: OwnersOf = "target_user"
    role_map: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def needs_source(self) -> bool:
        """Whether the source's owners or grants are carried."""
        return "source" in (self.grants, self.owners)


#: What holds unless the user asks for something else.
AS_BEFORE: t.Final = Policy()
#: What is there stays, and nothing is judged.
UNTOUCHED: t.Final = Policy("none")
#: All is as it was.
KEPT: t.Final = Policy("live", "live")


@dataclasses.dataclass(frozen=True)
class Wish:
    """What an object's owner and grants shall be, and those on its columns."""

    owner: str
    grants: Grants
    columns: dict[str, Grants]


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What shall be, by what objects and default privileges are known by."""

    objects: dict[Key, Wish]
    defaults: dict[tuple[str, str, str], DefaultPrivileges]
    #: what somebody was granted that has no object any more, or no column: the object's name, and the roles
    homeless: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: by kind of object, the privileges that are not known where the grants come from, which says nothing of them
    unsaid: t.Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)


def want(
    policy: Policy, here: Privileges, live: Privileges | None, source: Privileges | None, made: bool = False
) -> Wishes:
    """Return what owners and grants shall be.

    :param here: the copy as it was made, or any other state of it
    :param live: the live database as it was before, if there is one
    :param source: the source, where anything of it is carried
    :param made: whether all of it was made by the session's user just now, whose it must be if it is nobody else's
    """
    mapped = _mapped(source, policy.role_map, here) if source and policy.needs_source else None
    owners = {"live": live, "source": mapped, "target_user": None}[policy.owners]
    grants = {"live": live, "source": mapped, "none": None}[policy.grants]
    wishes = {}
    for securable in here.objects:
        owner = _owner(securable, owners, here.user if made else securable.owner)
        wish = Wish(owner, _reown(here.grants(securable), securable.owner, owner), securable.columns)
        if grants is not None and not _left_alone(securable, policy, live):
            wish = _granted(securable, owner, grants, here, policy, made)
        wishes[securable.key] = wish
    if grants is None:
        return Wishes(wishes, {default.key: default for default in here.defaults})
    schemas = {o.identity for o in here.objects if o.kind == "SCHEMA"} | {""}
    defaults = {default.key: default for default in grants.defaults if default.schema in schemas and default.role}
    unsaid = {kind: here.known(kind) - grants.known(kind) for kind in here.initial}
    return Wishes(wishes, defaults, tuple(_homeless(here, grants)), unsaid)


def _left_alone(securable: Securable, policy: Policy, live: Privileges | None) -> bool:
    """Whether grants on it are none of the copy's: a server's own, or the live database's, which the switch carries."""
    if policy.grants == "live":
        return live is None or securable.kind in PLACES
    return False


def _owner(securable: Securable, owners: Privileges | None, maker: str) -> str:
    there = None
    if owners:
        there = owners.followed_by(securable) if securable.follows else owners.by_key.get(securable.key)
    if securable.keeps_owner:
        return securable.owner
    if there is None or not there.owner:
        # initdb gives the schema public to whoever owns the database.
        return securable.owner if securable.key == PUBLIC_SCHEMA else maker
    return there.owner


def _granted(
    securable: Securable, owner: str, grants: Privileges, here: Privileges, policy: Policy, made: bool
) -> Wish:
    there = grants.by_key.get(securable.key)
    if there is None and securable.is_implied and (whole := grants.followed_by(securable)):
        # It is there, and nothing is granted on it.
        there = dataclasses.replace(securable, owner=whole.owner, acl=None)
    if securable.made_with is not None or (there and there.made_with is not None):
        if there is None and securable.made_with is not None and made:
            return Wish(owner, securable.made_with, dict.fromkeys(securable.columns, frozenset()))
        if there is None or there.made_with is None:
            return Wish(owner, _reown(here.grants(securable), securable.owner, owner), securable.columns)
        return _changed_likewise(securable, there, here, grants)
    if there is None and policy.grants == "live" and securable.key != PUBLIC_SCHEMA:
        return Wish(owner, _initial(securable, owner, grants, here), {})
    if there is None:
        return Wish(owner, _reown(here.grants(securable), securable.owner, owner), securable.columns)
    wanted = _translated(securable.kind, grants.grants(there), grants, here)
    columns = {
        name: _handed_over(granted, there.owner, owner, here)
        for name, granted in there.columns.items()
        if securable.has_column(name)
    }
    wanted = _handed_over(wanted, there.owner, owner, here)
    if owner != there.owner:
        # What the old owner has taken from itself, it has not taken from this one.
        wanted |= {grant for grant in here.initial_grants(securable.kind, owner) if grant.grantee == owner}
    return Wish(owner, frozenset(_merged(wanted, owner)), columns)


def _reown(grants: Grants, old: str, new: str) -> Grants:
    """Return the grants after a change of the owner (aclnewowner in acl.c)."""
    return grants if old == new else frozenset(_merged(_renamed(grants, {old: new}), new))


def _handed_over(grants: Grants, old: str, new: str, here: Privileges) -> Grants:
    """Return the grants of an object that gets another owner: what the old one could do, it still can."""
    if old == new:
        return frozenset(_merged(grants, new))
    others = {
        dataclasses.replace(grant, grantor=new if grant.grantor == old else grant.grantor)
        for grant in grants
        if grant.grantee != old
    }
    return frozenset(_merged(others | _still(grants, old, new, here), new))


def _still(grants: Grants, old: str, new: str, here: Privileges) -> set[Grant]:
    """Return what must be granted to an owner that is none any more, so that it still can what it could.

    An owner may pass on all of its rights, so it may go on to. Superusers need no grant.
    """
    role = here.roles.get(old)
    if old == new or role is None or role.superuser:
        return set()
    return {Grant(old, grant.privilege, True, new) for grant in grants if grant.grantee == old}


def _merged(grants: t.Iterable[Grant], owner: str) -> list[Grant]:
    """Return the grants without those of roles that are gone; a grantor that is gone gives way to the owner."""
    found: dict[tuple[str, str, str], bool] = collections.defaultdict(bool)
    for grant in grants:
        if grant.grantee:
            by = owner if grant.grantee == owner or not grant.grantor else grant.grantor
            found[by, grant.grantee, grant.privilege] |= grant.grantable and grant.grantee != owner
    return [Grant(grantee, privilege, option, by) for (by, grantee, privilege), option in found.items()]


def _renamed(grants: t.Iterable[Grant], names: t.Mapping[str, str]) -> list[Grant]:
    return [
        Grant(names.get(g.grantee, g.grantee), g.privilege, g.grantable, names.get(g.grantor, g.grantor))
        for g in grants
    ]


def _changed_likewise(securable: Securable, there: Securable, here: Privileges, grants: Privileges) -> Wish:
    """Return what an object that an extension or the server makes must be granted: what was changed there, here too."""
    owner = securable.owner
    now, made_with = (
        _translated(securable.kind, some, grants, here)
        for some in (grants.grants(there), there.made_with or frozenset())
    )
    added = set(_renamed(now - made_with, {there.owner: owner}))
    taken = {(g.grantee, g.privilege) for g in _renamed(made_with - now, {there.owner: owner})}
    kept = [g for g in here.grants(securable) if (g.grantee, g.privilege) not in taken]
    columns = {name: frozenset(_merged(_renamed(c, {there.owner: owner}), owner)) for name, c in there.columns.items()}
    # An extension's or the server's own owner is a superuser as a rule, who needs to own nothing.
    by_owning = there.owner in grants.roles and not grants.roles[there.owner].superuser
    still = _still(now, there.owner, owner, here) if by_owning else ()
    return Wish(owner, frozenset(_merged([*kept, *added, *still], owner)), columns)


def _initial(securable: Securable, owner: str, live: Privileges, here: Privileges) -> Grants:
    """Return what a new object is granted: by the default privileges of its owner, and of those in whose place it owns.

    In a schema of the live database, these are the owners of what is there.
    """
    makers = {o.owner for o in live.objects if o.schema == securable.schema and o.kind not in PLACES} | {owner}
    wanted = set(here.initial_grants(securable.kind, owner))
    relevant = [
        default
        for default in live.defaults
        if default.kind == securable.kind and default.role in makers and default.schema in ("", securable.schema)
    ]
    for default in relevant:
        gone = live.first_grants(default) - default.grants
        taken = {(g.grantee, g.privilege) for g in _renamed(gone, {default.role: owner})}
        wanted = {grant for grant in wanted if (grant.grantee, grant.privilege) not in taken}
    for default in relevant:
        added = default.grants - live.first_grants(default)
        wanted.update(_renamed(added, {default.role: owner}))
    return frozenset(_merged(wanted, owner))


def _translated(kind: str, grants: Grants, there: Privileges, here: Privileges) -> Grants:
    """Return the grants in the privileges that the target's version knows: who had all of them has all again."""
    ours, theirs = there.known(kind), here.known(kind)
    if ours == theirs:
        return grants
    held: dict[tuple[str, str, bool], set[str]] = collections.defaultdict(set)
    for grant in grants:
        held[grant.grantee, grant.grantor, grant.grantable].add(grant.privilege)
    return frozenset(
        Grant(grantee, privilege, option, grantor)
        for (grantee, grantor, option), privileges in held.items()
        for privilege in (theirs if privileges == ours else privileges & theirs)
    )


def _mapped(source: Privileges, names: t.Mapping[str, str], here: Privileges) -> Privileges:
    """Return the source's privileges in the target's roles."""

    def mapped(grants: Grants) -> Grants:
        return frozenset(_renamed(grants, names))

    return dataclasses.replace(
        source,
        roles={names.get(name, name): role for name, role in source.roles.items()},
        objects=tuple(
            dataclasses.replace(
                o,
                owner=names.get(o.owner, o.owner),
                acl=None if o.acl is None else mapped(o.acl),
                columns={name: mapped(grants) for name, grants in o.columns.items()},
                made_with=None if o.made_with is None else mapped(o.made_with),
            )
            for o in source.objects
        ),
        defaults=tuple(
            dataclasses.replace(
                d,
                role=names.get(d.role, d.role),
                grants=_translated(d.kind, mapped(d.grants), source, here),
            )
            for d in source.defaults
            if d.kind in here.initial
        ),
    )


def _homeless(here: Privileges, there: Privileges) -> t.Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what others than the owner were granted on objects, columns and schemas that are not here."""
    schemas = {o.identity for o in here.objects if o.kind == "SCHEMA"}
    for securable in there.objects:
        found = here.followed_by(securable) if securable.is_implied else here.by_key.get(securable.key)
        if found is None and securable.made_with is None and securable.kind not in PLACES:
            granted = [there.grants(securable) - there.initial_grants(securable.kind, securable.owner)]
            granted += securable.columns.values()
            if roles := _roles(granted, securable.owner):
                yield str(securable), roles
        elif found is not None and found.made_with is None:
            for name, grants in securable.columns.items():
                if not found.has_column(name) and (roles := _roles([grants], securable.owner)):
                    yield f"column {name} of {securable}", roles
    for default in there.defaults:
        if default.schema and default.schema not in schemas:
            yield str(default), _roles([default.grants], default.role)


def _roles(grants: t.Iterable[Grants], owner: str) -> tuple[str, ...]:
    found = {grant.grantee for some in grants for grant in some if grant.grantee not in (owner, "")}
    return tuple(sorted("PUBLIC" if role == PUBLIC else role for role in found))
