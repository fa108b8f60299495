# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on owners and grants: by the catalogs, and by what the server says that roles can do."""

from __future__ import annotations

import collections

from ..privileges.catalog import Privileges
from ..privileges.comparison import deviations
from ..privileges.proof import Before, prove
from ..privileges.reading import ask_privileges
from ..privileges.wanted import Policy, want
from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer
from .comparison import Verdict
from .findings import Difference


def ask_judged(policy: Policy, before: Before | None, source: Privileges | None) -> Inquiry[Privileges]:
    """Ask for the owners and grants that are judged; see `judge_privileges`."""
    live = before.privileges if before else None
    return ask_privileges(like=source if policy.grants == "source" else live)


def judge_privileges(
    session: Session,
    policy: Policy,
    before: Before | None,
    source: Privileges | None,
    made: bool = False,
    asked: Privileges | None = None,
) -> Verdict:
    """Return the verdict on owners and grants of the session's database.

    :param before: the live database as it was, if there was one and this is what takes its place
    :param source: the source's, where they are carried
    :param made: whether all of it was made by the session's user just now
    :param asked: what `ask_judged` has told, if it was asked with other things
    """
    live = before.privileges if before else None
    here = asked or answer(session, ask_judged(policy, before, source))
    messages: dict[str, list[str]] = collections.defaultdict(list)
    for name, message in deviations(here, want(policy, here, live, source, made)):
        messages[name].append(message)
    changes = prove(session, before, here) if before else []
    if policy.grants == "live":
        for change in changes:
            for identity in change.lost:
                messages[f"privileges of {change.kind} {identity}"].append(
                    f"{change.role} could {change.privilege} in the live database, and cannot"
                )
    return Verdict(
        differences=tuple(Difference(name, "; ".join(dict.fromkeys(said))) for name, said in messages.items()),
        privileges=tuple(changes),
    )
