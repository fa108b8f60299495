# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the live database serves, now that it has its new content: who enters it by its name gets answers."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..archive.manifest import Manifest
from ..catalog.queries import Query, ask_in
from ..errors import MigrationError, describe
from ..server.endpoint import Endpoint, connect
from .comparison import compare_answers

# A policy that hides rows from the role is no error, as it would be with the pinned settings.
_CONNECT: t.Final = (
    "SELECT pg_catalog.has_database_privilege({}, pg_catalog.current_database(), 'CONNECT'); SET ROLE {}; "
    "SET row_security = on"
)


@dataclasses.dataclass(frozen=True)
class Serving:
    """What is asked of the live database, and by whom."""

    queries: tuple[Query, ...]
    #: the application's; if empty, the target's user
    role: str
    #: the host in the inventory
    host: str
    #: objects that may differ
    allowed: t.Container[str] = ()

    def require(self, live: Endpoint, manifest: Manifest) -> None:
        """Ask through the live name what the copy was asked before.

        :param manifest: of what the database has got
        :raises MigrationError: when a query fails, or its answer is not what it must be; with the way back
        """
        if not (self.queries or self.role):
            return
        try:
            faults = self._ask(live, manifest)
        except (MigrationError, psycopg.Error) as error:
            faults = [describe(error) if isinstance(error, psycopg.Error) else str(error)]
        if faults:
            asked = f" asked by the role {self.role}" if self.role else " asked by its name"
            raise MigrationError(
                f"The {live} is live, and{asked} it does not serve as it must:\n"
                + "\n".join(f"- {fault}" for fault in faults)
                + "\nIf clients have not written since, which may change an answer, go back by: ansible-playbook "
                f"playbooks/rollback.yml -l {self.host}"
            )

    def _ask(self, live: Endpoint, manifest: Manifest) -> list[str]:
        source = manifest.database
        with connect(live) as session:
            if self.role:
                role = sql.Identifier(self.role)
                may = session.execute(sql.SQL(_CONNECT).format(self.role, role)).fetchone()
                if not (may and may[0]):
                    return [f"{self.role} may not connect to it: GRANT CONNECT ON DATABASE, or name another role."]
            with session.transaction(force_rollback=True):
                session.execute("SET TRANSACTION READ ONLY")
                answers = ask_in(session, live, self.queries, source.search_path, source.begun_with)
        differences = compare_answers(self.queries, manifest.answers, answers)
        return [str(difference) for difference in differences if difference.object not in self.allowed]
