# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners and grants on their way from the live database, or from an archive, to the copy."""

from __future__ import annotations

import dataclasses
import typing as t

from ..errors import MigrationError
from ..privileges.applying import carry_privileges
from ..privileges.catalog import Privileges
from ..privileges.wanted import Policy
from ..server.endpoint import Endpoint, Session, connect
from .databases import database_exists, maintenance_session

Told = t.TypeVar("Told")


@dataclasses.dataclass(frozen=True)
class Carriage:
    """What is carried, and from where: the live database as it was before, if there was one, or the source."""

    policy: Policy
    live: Privileges | None
    source: Privileges | None
    #: differences that are allowed, by object
    allowed: t.Collection[str] = ()

    def finish(self, session: Session) -> int:
        """Give the copy its owners and grants; return how many statements that took.

        :raises MigrationError: naming the object that failed
        """
        return carry_privileges(session, self.policy, self.live, self.source, self.allowed)


def ask_live(target: Endpoint, read: t.Callable[[Session], Told]) -> Told | None:
    """Return what a session of the live database tells, if there is one."""
    try:
        live = connect(target)
    except MigrationError:
        with maintenance_session(target) as session:
            if database_exists(session, target.dbname):
                raise
        return None
    with live:
        return read(live)
