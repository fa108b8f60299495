# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether owners and grants are what they shall be: every deviation by name. Nothing here asks a server."""

from __future__ import annotations

import typing as t

from .acl import PUBLIC, Grants, rights
from .catalog import DefaultPrivileges, Privileges
from .wanted import Wishes


class Deviation(t.NamedTuple):
    """What is not as it shall be: the object, as one would allow it to differ, and how."""

    object: str
    message: str


def deviations(here: Privileges, wishes: Wishes) -> list[Deviation]:
    """Return where owners and grants are not what they shall be. Who has granted something is nobody's right."""
    found = []
    for securable in here.objects:
        wish = wishes.objects.get(securable.key)
        if wish is None:
            continue
        name = f"privileges of {securable}"
        if wish.owner != securable.owner:
            found.append(Deviation(name, f"it belongs to {securable.owner}, and must belong to {wish.owner}"))
        unsaid = wishes.unsaid.get(securable.kind, frozenset())
        said = _compare(here.grants(securable), securable.owner, wish.grants, wish.owner, unsaid)
        for column in sorted(securable.columns.keys() | wish.columns.keys()):
            there, wanted = securable.columns.get(column, frozenset()), wish.columns.get(column, frozenset())
            said += [f"column {column}: {m}" for m in _compare(there, securable.owner, wanted, wish.owner)]
        found += [Deviation(name, message) for message in said]
    there_by_key = {default.key: default for default in here.defaults}
    for key in sorted(there_by_key.keys() | wishes.defaults.keys()):
        nothing = DefaultPrivileges(*key, grants=frozenset())
        first = here.first_grants(nothing)
        now, shall = there_by_key.get(key), wishes.defaults.get(key)
        unsaid = wishes.unsaid.get(nothing.kind, frozenset())
        said = _compare(now.grants if now else first, key[0], shall.grants if shall else first, key[0], unsaid)
        found += [Deviation(str(nothing), message) for message in said]
    return found


def _compare(
    now: Grants, owner_now: str, wanted: Grants, owner: str, unsaid: t.Container[str] = frozenset()
) -> list[str]:
    """Return in words what roles lack and what they have too much of.

    :param unsaid: privileges that may be held by more roles, since nobody could say so
    """
    ours, theirs = rights(wanted, owner), rights(now, owner_now)
    said = []
    for role, privilege in sorted(ours.keys() | theirs.keys()):
        shall, has = ours.get((role, privilege)), theirs.get((role, privilege))
        name = "PUBLIC" if role == PUBLIC else role
        if shall == has or (has is not None and not shall and privilege in unsaid):
            continue
        if has is None:
            said.append(f"{name} lacks {privilege}" + (" with grant option" if shall else ""))
        elif shall is None:
            said.append(f"{name} has {privilege}, and shall not")
        else:
            said.append(f"{name} may{'' if has else ' not'} pass on {privilege}, and shall{' not' if has else ''}")
    return said
