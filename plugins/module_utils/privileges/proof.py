# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be known of the live database before it is replaced, and the proof by it that nobody has lost a right."""

from __future__ import annotations

import dataclasses

from ..server.endpoint import Session
from .catalog import Privileges
from .effective import Able, Change, changes, read_abilities, roles_to_ask
from .reading import read_privileges


@dataclasses.dataclass(frozen=True)
class Before:
    """Owners, grants and default privileges of the live database, and what roles can do by them."""

    privileges: Privileges
    able: Able


def read_before(session: Session) -> Before:
    """Read what the session's database has, before anything is done to it."""
    privileges = read_privileges(session)
    return Before(privileges, _ask(session, privileges, privileges))


def prove(session: Session, before: Before, here: Privileges) -> list[Change]:
    """Return what roles could do before and can do now in the session's database, whose privileges are ``here``."""
    return changes(before.able, _ask(session, here, before.privileges))


def _ask(session: Session, here: Privileges, before: Privileges) -> Able:
    with_columns = [o.identity for o in before.objects if any(o.columns.values())]
    return read_abilities(session, here.initial, roles_to_ask(before), with_columns)
