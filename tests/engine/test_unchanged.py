# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In place: what clients write between the backup and the lock is not lost, since the run refuses to go on."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import EVERYTHING, Patterns
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.transaction import begin
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.backup import back_up
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.unchanged import require_unchanged
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests.case import execute, make_role
from tests.databases import Database
from tests.migration import endpoint
from tests.servers import Servers

LIVE: t.Final = """
    CREATE TABLE owner (id serial PRIMARY KEY, name text NOT NULL);
    CREATE TABLE item (id int, owner int REFERENCES owner);
    CREATE TABLE "odd %s ""x" (id int);
    CREATE MATERIALIZED VIEW names AS SELECT count(*), now() FROM owner;
    CREATE SEQUENCE lone;
    CREATE TABLE tree (k int) PARTITION BY LIST (k); CREATE TABLE leaf PARTITION OF tree FOR VALUES IN (1, 2);
    INSERT INTO owner (name) VALUES ('Ana'), ('Bea'); INSERT INTO item VALUES (1, 1); INSERT INTO leaf VALUES (1);
    SELECT lo_from_bytea(70001, 'large');
"""


@dataclasses.dataclass(frozen=True)
class Place:
    """A live database, and what a run in place does with it before it replaces anything."""

    live: Database
    target: Endpoint
    backup: Path

    def judge(self, patterns: Patterns = EVERYTHING) -> Judge:
        tools = choose_tools(18, 18, "")
        return Judge(self.target, False, tools, 1, patterns=patterns)

    def back_up(self, patterns: Patterns = EVERYTHING) -> None:
        assert back_up(self.target, self.judge().tools, self.backup, 1, patterns)

    def check(self, backup: Path | None, patterns: Patterns = EVERYTHING) -> None:
        """Do what the stage replace does first, and no more."""
        with begin(self.target) as transaction:
            require_unchanged(transaction, self.judge(patterns), backup)


@pytest.fixture
def place(target: Database, tmp_path: Path) -> Place:
    """Give a live database that is filled."""
    target.execute(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {LIVE}")
    return Place(target, endpoint("target", target.server, target.name), tmp_path / "backup")


#: What is changed, and the object that the refusal then names besides those before.
WRITES: t.Final = {
    "INSERT INTO owner VALUES (7, 'Cleo')": "table public.owner",
    "DELETE FROM item": "table public.item",
    "UPDATE tree SET k = 2": "table public.leaf",
    "SELECT nextval('lone')": "sequence public.lone",
    "SELECT lo_put(70001, 0, 'L')": "large object 70001",
    "SELECT lo_from_bytea(70002, '')": "large object 70002",
    "ALTER TABLE item DISABLE TRIGGER ALL": "fk constraint public.item item_owner_fkey",
}
DEFINITIONS: t.Final = {
    "CREATE TABLE added (id int)": "table public.added",
    "ALTER TABLE item ADD note text": "table public.item",
    'DROP TABLE "odd %s ""x"': 'table public.odd %s "x',
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'": "function public.f()",
    "CREATE INDEX ON item (owner)": "index public.item_owner_idx",
    "COMMENT ON DATABASE {} IS 'new'": "database comment",
}


def refusal(place: Place, patterns: Patterns = EVERYTHING) -> str:
    """Return why the live database may not be replaced."""
    with pytest.raises(MigrationError, match=r"^Nothing was changed\. Since .* would be lost: ") as raised:
        place.check(place.backup, patterns)
    return str(raised.value)


@pytest.mark.parametrize("changes", [WRITES, DEFINITIONS], ids=["writes", "definitions"])
def test_what_clients_change_is_noticed(place: Place, changes: dict[str, str]) -> None:
    """Each kind of change refuses the run and is named; without one, there is no false alarm."""
    place.live.execute(f"COMMENT ON DATABASE {place.live.name} IS 'old'")
    place.back_up()
    place.live.execute("REFRESH MATERIALIZED VIEW names")
    place.check(place.backup)
    before = ""
    for statement, named in changes.items():
        place.live.execute(statement.format(place.live.name))
        told = refusal(place)
        assert named in told, statement
        assert named not in before, statement
        assert "Cleo" not in told
        before = told


def test_whatever_isolation_the_users_sessions_begin_with(place: Place) -> None:
    """What clients commit while a lock is waited for is seen, although the transaction has begun before."""
    place.live.execute(f"ALTER DATABASE {place.live.name} SET default_transaction_isolation = 'repeatable read'")
    place.back_up()

    def go_on() -> None:
        with begin(place.target) as transaction:
            place.live.execute("INSERT INTO owner VALUES (7, 'Cleo')")
            require_unchanged(transaction, place.judge(), place.backup)

    with pytest.raises(MigrationError, match=r"would be lost: table public\.owner"):
        go_on()


def test_of_selected_tables_alone(place: Place) -> None:
    """What is not selected stays, and clients go on with it; a sequence goes with its table."""
    selected = Patterns(("owner",), ())
    place.back_up(selected)
    place.live.execute("DELETE FROM item; SELECT nextval('lone'); SELECT lo_unlink(70001); CREATE TABLE added (id int)")
    place.check(place.backup, selected)
    place.live.execute("SELECT nextval('owner_id_seq')")
    assert "would be lost: sequence public.owner_id_seq." in refusal(place, selected)
    place.live.execute("DELETE FROM owner")
    assert "would be lost: table public.owner, sequence public.owner_id_seq." in refusal(place, selected)


def test_database_that_was_empty(target: Database, tmp_path: Path) -> None:
    """There is no backup of it, and what has come since would be lost all the same."""
    target.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    place = Place(target, endpoint("target", target.server, target.name), tmp_path / "backup")
    assert back_up(place.target, place.judge().tools, place.backup, 1) is None
    place.check(None)
    target.execute("SELECT lo_create(1)")
    with pytest.raises(MigrationError, match="it was empty then"):
        place.check(None)
    target.execute("SELECT lo_unlink(1); CREATE TABLE owner (id int)")
    with pytest.raises(MigrationError, match="it was empty then"):
        place.check(None)


def test_nobody_writes_while_it_is_compared(place: Place) -> None:
    """The comparison comes after the locks, which last until the transaction ends."""
    place.back_up()
    with begin(place.target) as transaction:
        require_unchanged(transaction, place.judge(), place.backup)
        with place.live.server.connect(place.live.name) as client:
            client.execute("SET lock_timeout = '100ms'")
            for statement in ("INSERT INTO owner VALUES (9, '')", "INSERT INTO leaf VALUES (1)", "SELECT lo_create(0)"):
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    client.execute(statement.encode())


def test_tables_of_others_that_may_be_written(place: Place, servers: Servers) -> None:
    """Who may write to a table may lock it, although it is somebody else's."""
    make_role(place.live.server, "lodger_unchanged", "LOGIN")
    try:
        execute(
            place.live.server,
            place.live.name,
            f"ALTER DATABASE {place.live.name} OWNER TO lodger_unchanged;"
            "ALTER SCHEMA public OWNER TO lodger_unchanged;"
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO lodger_unchanged;"
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO lodger_unchanged; SELECT lo_unlink(70001)",
        )
        plain = dataclasses.replace(
            place, target=endpoint("target", place.live.server, place.live.name, ("lodger_unchanged", "secret"))
        )
        plain.back_up()
        plain.check(plain.backup)
        with begin(plain.target) as transaction:
            require_unchanged(transaction, plain.judge(), plain.backup)
            with place.live.server.connect(place.live.name) as client:
                client.execute("SET lock_timeout = '100ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    client.execute("INSERT INTO owner VALUES (9, '')")
        client_only = f"REVOKE ALL ON item FROM {plain.target.user}; REVOKE ALL ON leaf FROM {plain.target.user}"
        place.live.execute(client_only)
        with pytest.raises(MigrationError, match=r"may not lock public\.item, public\.leaf"):
            plain.check(plain.backup)
    finally:
        place.live.server.drop_database(place.live.name)
        with place.live.server.connect() as session:
            session.execute("DROP ROLE lodger_unchanged")
