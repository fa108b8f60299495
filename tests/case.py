# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One database to migrate from one server to another; all that a test makes for it is gone when the test ends."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import typing as t
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.privileges.wanted import AS_BEFORE, Policy
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.findings import Finding
from psycopg import sql

from tests import oracle
from tests.migration import Credentials, Outcome, migrate, prepare
from tests.servers import PostgresServer


@dataclasses.dataclass
class Case:
    """The pair of servers, and the database of this name on the source which is to arrive under the same name."""

    source: PostgresServer
    target: PostgresServer
    name: str
    source_user: Credentials = None
    target_user: Credentials = None
    #: partitions that are compared as one, see `oracle.picture`
    merge: tuple[str, ...] = ()
    #: what owners and grants shall be
    policy: Policy = AS_BEFORE
    #: how the rows come to the target
    transfer: t.Literal["archive", "stream"] = "archive"

    def run(self, script: str) -> None:
        """Run SQL in the source's database, as superuser."""
        execute(self.source, self.name, script)

    def examine(self) -> list[Finding]:
        """Return what preflight finds."""
        migration = prepare(
            self.source,
            self.name,
            self.target,
            self.name,
            Path("unused"),
            source_user=self.source_user,
            target_user=self.target_user,
            policy=self.policy,
        )
        return migration.preflight().findings

    def finds(self, code: str) -> list[tuple[str, str]]:
        """Return severity and object of the findings of a code."""
        return [(finding.severity, finding.object) for finding in self.examine() if finding.code == code]

    def migrate(self) -> Outcome:
        """Migrate, and make sure that no other database than the live one and its predecessor has come into being."""
        before = oracle.databases(self.target).keys()
        outcome = migrate(
            self.source,
            self.name,
            self.target,
            self.name,
            source_user=self.source_user,
            target_user=self.target_user,
            policy=self.policy,
            transfer=self.transfer,
        )
        new = oracle.databases(self.target).keys() - before
        assert new <= {self.name, f"{self.name}__pgconvoy_previous"}, outcome
        return outcome

    def arrives(self) -> Outcome:
        """Migrate, and make sure that the copy is equal by the oracle."""
        outcome = self.migrate()
        assert outcome.status == "migrated", outcome
        oracle.assert_equal(self.source, self.name, self.target, self.name, merge=self.merge)
        return outcome

    def stays(self) -> None:
        """Migrate again, and make sure that there is nothing to do."""
        before = oracle.databases(self.target)
        outcome = self.migrate()
        assert outcome.status == "unchanged", outcome
        assert oracle.databases(self.target) == before

    def ask(self, query: str, *, side: t.Literal["source", "target"] = "target") -> t.Any:
        """Return the one value of a query in the database of a side."""
        with (self.target if side == "target" else self.source).connect(self.name) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]

    def equal_answers(self, query: str) -> t.Any:
        """Ask both sides, make sure that they agree, and return what they say."""
        answer = self.ask(query, side="source")
        assert self.ask(query) == answer
        return answer

    def make_roles(self, attributes: str = "LOGIN CREATEDB") -> None:
        """Make a role on each side, which owns the source's database, for the migration to use."""
        for server in (self.source, self.target):
            make_role(server, f"{self.name}_role", attributes)
        self.source_user = self.target_user = (f"{self.name}_role", "secret")
        execute(self.source, "postgres", f'ALTER DATABASE "{self.name}" OWNER TO "{self.name}_role"')

    def clean(self) -> None:
        """Remove databases and roles."""
        for server in (self.source, self.target):
            for dbname in (self.name, f"{self.name}__pgconvoy_previous"):
                server.drop_database(dbname)
            with server.connect() as connection:
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(f"{self.name}_role")))


@contextlib.contextmanager
def new_case(source: PostgresServer, target: PostgresServer, script: str = "", **options: str) -> t.Iterator[Case]:
    """Give a case whose database holds what the script makes; options are those of CREATE DATABASE."""
    case = Case(source, target, f"case_{secrets.token_hex(4)}")
    source.create_database(case.name, **{"template": "template0", **options})
    try:
        case.run(script)
        yield case
    finally:
        case.clean()


def execute(server: PostgresServer, dbname: str, script: str) -> None:
    """Run SQL as superuser; several statements make one transaction."""
    with server.connect(dbname) as connection:
        connection.execute("SET client_encoding = 'UTF8'")
        connection.execute(script.encode())


def make_role(server: PostgresServer, name: str, attributes: str) -> None:
    """Make a role whose password is ``secret``."""
    execute(server, "postgres", f"""CREATE ROLE "{name}" {attributes} PASSWORD 'secret'""")
