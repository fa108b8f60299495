# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what with one object, and by which steps one such list becomes another. Nothing here asks a server."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

#: The grantee that means everybody. No role can bear that name (docs: CREATE ROLE; "public" is reserved).
PUBLIC: t.Final = "public"


@dataclasses.dataclass(frozen=True, order=True)
class Grant:
    """One right of one role, as an aclitem says it; an owner's own rights are such entries, too."""

    grantee: str
    privilege: str
    grantable: bool
    grantor: str


Grants = frozenset[Grant]
#: What roles may do, whoever has let them: (role, privilege) and whether it may be passed on.
Rights = dict[tuple[str, str], bool]


@dataclasses.dataclass(frozen=True)
class Step:
    """One GRANT or REVOKE; ``by`` is who must say it, if not the object's owner."""

    verb: t.Literal["GRANT", "REVOKE"]
    grantee: str
    privileges: tuple[str, ...]
    #: with GRANT, whether they may be passed on
    grantable: bool = False
    by: str = ""


def rights(grants: t.Iterable[Grant], owner: str) -> Rights:
    """Return what roles may do. An owner may pass on everything: it is not said of it."""
    found: Rights = {}
    for grant in grants:
        key = (grant.grantee, grant.privilege)
        found[key] = found.get(key, False) or (grant.grantable and grant.grantee != owner)
    return found


def plan(owner: str, now: Grants, wanted: Grants, may_become: t.Container[str]) -> list[Step]:
    """Return the steps that make of the grants there are those that shall be.

    Who may do what is then exactly as wanted. Who has granted it, too, where that role can be assumed and may grant it;
    else the owner has.

    :param may_become: the roles that the session can assume
    """
    if rights(now, owner) == rights(wanted, owner):
        return []
    ordered = _in_order(owner, wanted, may_become)
    target = {(grant.grantor, grant.grantee, grant.privilege): grant.grantable for grant in ordered}
    surplus = [
        grant
        for grant in now
        if target.get((grant.grantor, grant.grantee, grant.privilege)) is None
        or (grant.grantable and grant.grantee != owner and not target[grant.grantor, grant.grantee, grant.privilege])
    ]
    steps: list[Step] = []
    kept = set(now)
    if surplus and any(grant.grantor != owner for grant in now):
        # What others have passed on falls with what they have it from: begin anew.
        surplus = [grant for grant in now if grant.grantor == owner and (grant.grantee != owner or grant in surplus)]
        kept = {grant for grant in now if grant.grantor == owner}
    steps += _steps("REVOKE", owner, sorted(surplus, key=_by_option))
    kept -= set(surplus)
    there = {(grant.grantor, grant.grantee, grant.privilege): grant.grantable for grant in kept}
    missing = [
        grant
        for grant in ordered
        if there.get((grant.grantor, grant.grantee, grant.privilege)) not in (True, grant.grantable)
    ]
    return steps + _steps("GRANT", owner, missing)


def _in_order(owner: str, wanted: Grants, may_become: t.Container[str]) -> list[Grant]:
    """Return the grants so that each comes after the one that lets its grantor grant it; the others are the owner's."""
    merged: dict[tuple[str, str, str], bool] = {}
    for grant in sorted(wanted):
        chained = grant.grantor != owner and grant.grantee != owner and grant.grantor in may_become
        key = (grant.grantor if chained else owner, grant.grantee, grant.privilege)
        merged[key] = merged.get(key, False) or (grant.grantable and grant.grantee != owner)
    grants = [Grant(grantee, privilege, option, by) for (by, grantee, privilege), option in merged.items()]
    ordered = sorted((grant for grant in grants if grant.grantor == owner), key=_by_option)
    waiting = sorted((grant for grant in grants if grant.grantor != owner), key=_by_option)
    holders = {(grant.grantee, grant.privilege) for grant in ordered if grant.grantable}
    while ready := [grant for grant in waiting if (grant.grantor, grant.privilege) in holders]:
        ordered += ready
        holders |= {(grant.grantee, grant.privilege) for grant in ready if grant.grantable}
        waiting = [grant for grant in waiting if grant not in ready]
    # Nobody of those who can be had may grant them.
    own = {(grant.grantee, grant.privilege): grant for grant in ordered if grant.grantor == owner}
    for grant in waiting:
        before = own.get((grant.grantee, grant.privilege))
        if before is None or (grant.grantable and not before.grantable):
            if before:
                ordered.remove(before)
            own[grant.grantee, grant.privilege] = dataclasses.replace(grant, grantor=owner)
            ordered.append(own[grant.grantee, grant.privilege])
    return ordered


def _by_option(grant: Grant) -> tuple[str, str, bool, str]:
    return grant.grantor, grant.grantee, grant.grantable, grant.privilege


def _steps(verb: t.Literal["GRANT", "REVOKE"], owner: str, grants: t.Iterable[Grant]) -> list[Step]:
    """Return steps in the grants' order; neighbours of one kind are one step."""

    def kind(grant: Grant) -> tuple[str, str, bool]:
        return grant.grantor if grant.grantor != owner else "", grant.grantee, verb == "GRANT" and grant.grantable

    return [
        Step(verb, grantee, tuple(sorted(grant.privilege for grant in group)), grantable, by)
        for (by, grantee, grantable), group in itertools.groupby(grants, kind)
    ]
