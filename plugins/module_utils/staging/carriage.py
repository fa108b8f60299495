# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners and grants on their way from the live database, or from an archive, to the copy."""

from __future__ import annotations

import dataclasses
import typing as t

from ..archive.manifest import Manifest
from ..endpoint import Endpoint, Session, connect
from ..privileges.applying import carry_privileges
from ..privileges.catalog import Privileges
from ..privileges.proof import Before, read_before
from ..privileges.wanted import Policy
from .databases import database_exists, maintenance_session


@dataclasses.dataclass(frozen=True)
class Carriage:
    """What is carried, and from where."""

    policy: Policy
    before: Before | None
    source: Privileges | None
    #: differences that are allowed, by object
    allowed: t.Container[str] = ()

    def finish(self, session: Session) -> int:
        """Give the copy its owners and grants; return how many statements that took.

        :raises MigrationError: naming the object that failed
        """
        live = self.before.privileges if self.before else None
        return carry_privileges(session, self.policy, live, self.source, self.allowed)


def prepare_carriage(live: Session | None, policy: Policy, manifest: Manifest, allowed: t.Container[str]) -> Carriage:
    """Read what is to be carried, before anything is done to the live database.

    :param live: a session of it, if there is one
    :raises MigrationError: when the archive does not hold what is asked for
    """
    source = manifest.require_privileges(policy.needs_source)
    return Carriage(policy, read_before(live) if live else None, source, allowed)


def read_live_before(target: Endpoint) -> Before | None:
    """Return what the live database has, if there is one."""
    with maintenance_session(target) as session:
        if not database_exists(session, target.dbname):
            return None
    with connect(target) as live:
        return read_before(live)
