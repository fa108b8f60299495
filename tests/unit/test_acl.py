# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements that are planned make of any list of grants any other one."""

from __future__ import annotations

import typing as t

from ansible_collections.pgconvoy.migrate.plugins.module_utils.privileges.acl import Grant, Grants, Step, plan, rights
from hypothesis import given, settings
from hypothesis import strategies as st

_OWNER: t.Final = "owner"
_ROLES: t.Final = ("a", "b", "c", "d")
_PRIVILEGES: t.Final = ("SELECT", "INSERT")


class Simulated:
    """A list of grants as a server keeps it: what is passed on falls with what it was passed on from."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str, str], bool] = {}

    def grant(self, by: str, grantee: str, privilege: str, grantable: bool) -> bool:
        """Grant, if the grantor may; return whether it may."""
        holds = any(g == by and p == privilege and option for (_, g, p), option in self.entries.items())
        if by != _OWNER and not holds:
            return False
        if grantable and grantee == "public":
            return False
        key = (by, grantee, privilege)
        self.entries[key] = self.entries.get(key, False) or (grantable and grantee != _OWNER)
        return True

    def revoke(self, by: str, grantee: str, privilege: str) -> None:
        """Revoke with CASCADE."""
        if self.entries.pop((by, grantee, privilege), None) is None:
            return
        if not any(g == grantee and p == privilege and option for (_, g, p), option in self.entries.items()):
            for granted in [key for key in self.entries if key[0] == grantee and key[2] == privilege]:
                if granted[0] != _OWNER:
                    self.revoke(*granted)

    def obey(self, step: Step) -> None:
        """Do what a step says; what a server would refuse fails the test."""
        for privilege in step.privileges:
            if step.verb == "GRANT":
                assert self.grant(step.by or _OWNER, step.grantee, privilege, step.grantable), step
            else:
                self.revoke(step.by or _OWNER, step.grantee, privilege)

    @property
    def grants(self) -> Grants:
        """Return the list as the catalogs tell it."""
        return frozenset(Grant(grantee, p, option, by) for (by, grantee, p), option in self.entries.items())


@st.composite
def _lists(draw: st.DrawFn) -> Simulated:
    simulated = Simulated()
    for privilege in draw(st.sets(st.sampled_from(_PRIVILEGES))):
        simulated.grant(_OWNER, _OWNER, privilege, grantable=False)
    entry = st.tuples(
        st.sampled_from((_OWNER, _OWNER, *_ROLES)),
        st.sampled_from((*_ROLES, "public")),
        st.sampled_from(_PRIVILEGES),
        st.booleans(),
    )
    for by, grantee, privilege, grantable in draw(st.lists(entry, max_size=12)):
        # In a circle, two who have it from the owner as well keep it by each other when the owner revokes it: a server
        # does not notice (recursive_revoke in acl.c), and no statement of the owner's helps.
        if by == _OWNER or by < grantee:
            simulated.grant(by, grantee, privilege, grantable)
    return simulated


@settings(max_examples=500, deadline=None)
@given(_lists(), _lists(), st.sets(st.sampled_from(_ROLES)))
def test_the_plan_leads_from_any_list_to_any_other(now: Simulated, wanted: Simulated, may_become: set[str]) -> None:
    """Whoever can be assumed; who has granted is kept where all can."""
    goal = rights(wanted.grants, _OWNER)
    touched = rights(now.grants, _OWNER) != goal
    steps = plan(_OWNER, now.grants, wanted.grants, may_become)
    for step in steps:
        assert not step.by or step.by in may_become
        now.obey(step)
    assert rights(now.grants, _OWNER) == goal
    assert bool(steps) == touched
    assert not plan(_OWNER, now.grants, wanted.grants, may_become)


def test_grants_of_grantors_that_are_assumed_are_theirs() -> None:
    wanted = frozenset(
        [Grant("a", "SELECT", True, _OWNER), Grant("b", "SELECT", True, "a"), Grant("c", "SELECT", False, "b")]
    )
    assert plan(_OWNER, frozenset(), wanted, {"a", "b"}) == [
        Step("GRANT", "a", ("SELECT",), True),
        Step("GRANT", "b", ("SELECT",), True, "a"),
        Step("GRANT", "c", ("SELECT",), False, "b"),
    ]
    assert {step.by for step in plan(_OWNER, frozenset(), wanted, {"a"})} == {"", "a"}
