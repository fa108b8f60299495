# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An equal copy is found equal, whatever the servers, roles and databases are set to, and while the source goes on."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import threading
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect

from bench.line import Line
from tests.case import Case, execute, new_case
from tests.engine.test_pairs import MEDIUM
from tests.migration import Migration, endpoint, prepare
from tests.playbooks import wait_until
from tests.servers import PostgresServer, Servers

#: What changes how values look, what names mean, or how long a statement may take.
ODD: t.Final = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "search_path": "app, pg_temp",
    "statement_timeout": "300ms",
    "lock_timeout": "300ms",
    "idle_in_transaction_session_timeout": "300ms",
    "extra_float_digits": "-15",
    "lc_monetary": "C.UTF-8",
    "xmlbinary": "hex",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "row_security": "off",
    "array_nulls": "off",
}
#: What changes the words of pg_dump besides.
ODD_FOR_TOOLS: t.Final = {
    "bytea_output": "escape",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
}

#: Values whose text depends on a setting, in places where text is compared: rows, definitions, arrays of user types.
VALUES: t.Final = """
    CREATE TYPE app.reading AS (at timestamptz, value float8, span interval, bytes bytea, price money, day date);
    CREATE TABLE app.readings (id int PRIMARY KEY, one app.reading, many app.reading[],
        checked date DEFAULT '2020-02-01' CHECK (checked > '2000-12-11'),
        since timestamptz DEFAULT '2020-01-01 00:00:00+00', f float8 DEFAULT 0.1,
        i interval DEFAULT '1 day 02:03:04', b bytea DEFAULT '\\x00ff');
    INSERT INTO app.readings SELECT g, r, ARRAY[r, NULL] FROM generate_series(3, 30) g, LATERAL (SELECT ROW(
        '2020-03-04 05:06:07.000001+00'::timestamptz + g * interval '1 day', 1.0::float8 / g,
        '-1 day -02:03:04'::interval, decode('00ff5c', 'hex'), 1234.56::money, '2020-01-02'::date + g
        )::app.reading r) made;
    CREATE INDEX ON app.readings (id) WHERE since > '2020-01-01 00:00:00+05:45';
    CREATE VIEW app.recent AS SELECT id FROM app.readings WHERE checked > '2021-02-03' AND i > '-1 day -02:03:04';
    CREATE MATERIALIZED VIEW app.slow AS SELECT 1 AS one FROM pg_sleep(0.35);
    CREATE TABLE app.by_time (at timestamptz) PARTITION BY RANGE (at);
    CREATE TABLE app.by_time_1 PARTITION OF app.by_time
        FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2021-01-01 00:00:00+00');
    INSERT INTO app.by_time VALUES ('2020-06-07 08:09:10+00')
"""


@contextlib.contextmanager
def odd_database(source: PostgresServer, target: PostgresServer) -> t.Iterator[Case]:
    """Give a database for roles of its own on both sides."""
    with new_case(source, target, MEDIUM) as case:
        case.run(VALUES)
        case.make_roles("LOGIN SUPERUSER")
        yield case


def set_odd(server: PostgresServer, subject: str, settings: t.Mapping[str, str] = ODD) -> None:
    for name, value in settings.items():
        values = ", ".join(f"'{part}'" for part in value.split(", ")) if name == "search_path" else f"'{value}'"
        execute(server, "postgres", f"ALTER {subject} SET {name} TO {values}")


def reset(server: PostgresServer, subject: str) -> None:
    execute(server, "postgres", f"ALTER {subject} RESET ALL")


def prepared(case: Case, folder: Path) -> Migration:
    migration = prepare(
        case.source,
        case.name,
        case.target,
        case.name,
        folder / "archive",
        source_user=case.source_user,
        target_user=case.target_user,
    )
    migration.preflight()
    return migration


@pytest.mark.parametrize(("source", "target"), [("15", "18"), ("18", "18")])
def test_odd_settings_after_the_migration(servers: Servers, tmp_path: Path, source: str, target: str) -> None:
    """Of the roles, of both or one of them; of the target's database, which has them of its own."""
    with odd_database(servers.source(source), servers.target(target)) as case:
        assert case.migrate().status == "migrated"
        migration = prepared(case, tmp_path)
        role, database = f'ROLE "{case.name}_role"', f'DATABASE "{case.name}"'
        set_odd(case.source, role)
        assert migration.compare().differences == ()
        set_odd(case.target, role)
        assert migration.compare().differences == ()
        reset(case.source, role)
        assert migration.compare().differences == ()
        reset(case.target, role)
        set_odd(case.target, database)
        assert migration.compare().differences == ()
        assert case.migrate().status == "unchanged"


@pytest.mark.parametrize(("source", "target"), [("15", "15"), ("15", "18")])
def test_odd_settings_of_the_source_from_the_start(servers: Servers, tmp_path: Path, source: str, target: str) -> None:
    """The copy is made under them, and gets the database's."""
    with odd_database(servers.source(source), servers.target(target)) as case:
        set_odd(case.source, f'ROLE "{case.name}_role"')
        set_odd(case.source, f'DATABASE "{case.name}"')
        outcome = case.migrate()
        assert outcome.status == "migrated", outcome
        assert prepared(case, tmp_path).compare().differences == ()
        assert case.migrate().status == "unchanged"


def test_statement_timeout_is_lifted_first(servers: Servers) -> None:
    """What pins a session takes longer than a statement of the role's may."""
    server = servers.target()
    with (
        new_case(servers.source(), server) as case,
        server.connect() as other,
        concurrent.futures.ThreadPoolExecutor() as beside,
    ):
        case.make_roles("LOGIN SUPERUSER")
        execute(server, "postgres", f'ALTER ROLE "{case.name}_role" SET statement_timeout = 100')
        with other.transaction():
            other.execute("LOCK TABLE pg_catalog.pg_settings IN ACCESS EXCLUSIVE MODE")
            begun = beside.submit(connect, endpoint("target", server, "postgres", case.target_user))
            waiting = """
                SELECT FROM pg_locks WHERE NOT granted AND relation = 'pg_settings'::regclass
                AND clock_timestamp() - waitstart > interval '300 ms'
            """
            wait_until(lambda: begun.done() or other.execute(waiting).fetchall())
        with begun.result() as session:
            assert session.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_timeout_that_is_too_short_to_be_lifted(servers: Servers) -> None:
    """By a far line, a session is idle for longer before it is told anything."""
    server = servers.target()
    with new_case(servers.source(), server) as case, Line(server.port, one_way=0.05) as line:
        case.make_roles("LOGIN SUPERUSER")
        execute(server, "postgres", f'ALTER ROLE "{case.name}_role" SET idle_session_timeout = 1')
        target = dataclasses.replace(endpoint("target", server, "postgres", case.target_user), port=line.port)
        with pytest.raises(MigrationError, match="ended before its settings were made"):
            connect(target)


@pytest.mark.parametrize("subject", ["role", "database"])
def test_settings_that_change_the_words_of_pg_dump(
    servers: Servers, tmp_path: Path, subject: t.Literal["role", "database"]
) -> None:
    with odd_database(servers.source(), servers.target()) as case:
        named = {"role": f'ROLE "{case.name}_role"', "database": f'DATABASE "{case.name}"'}[subject]
        set_odd(case.source, named, ODD_FOR_TOOLS)
        outcome = case.migrate()
        assert outcome.status == "migrated", outcome
        # The default is what it was, not what its text would be under another setting.
        case.equal_answers(
            "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef d WHERE adbin::text LIKE '%consttype 17 %'"
        )
        assert prepared(case, tmp_path).compare().differences == ()
        assert case.migrate().status == "unchanged"


@pytest.mark.parametrize(("options", "kept"), [("pg_attver=7", ""), ("pg_attver=7,n_distinct=5", "n_distinct=5")])
def test_what_a_server_keeps_for_itself_with_a_column(servers: Servers, options: str, kept: str) -> None:
    """A server of 15.20 does so to each column; here it is done to one, as another server's pg_dump will see it."""
    script = f"""
        CREATE TABLE t (a int); INSERT INTO t VALUES (1);
        UPDATE pg_attribute SET attoptions = '{{{options}}}' WHERE attrelid = 't'::regclass AND attname = 'a'
    """
    with new_case(servers.source(), servers.target(), script) as case:
        assert case.migrate().status == "migrated"
        options_of_a = "SELECT array_to_string(attoptions, ',') FROM pg_attribute WHERE attrelid = 't'::regclass"
        assert (case.ask(f"{options_of_a} AND attname = 'a'") or "") == kept
        case.stays()


@dataclasses.dataclass
class Writer:
    """A client that changes the source as long as it is let; how often it has is told."""

    case: Case
    written: int = 0
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    progress: threading.Condition = dataclasses.field(default_factory=threading.Condition)
    failure: BaseException | None = None

    def run(self) -> None:
        try:
            with self.case.source.connect(self.case.name) as session:
                while not self.stop.is_set():
                    self._write(session)
                    with self.progress:
                        self.written += 1
                        self.progress.notify_all()
        except BaseException as error:  # noqa: BLE001 - the test's own thread tells it
            self.failure = error
            with self.progress:
                self.progress.notify_all()

    def _write(self, session: psycopg.Connection[t.Any]) -> None:
        number = self.written
        with session.transaction():
            session.execute("UPDATE account SET balance = balance - 1 WHERE id = %s", (1 + number % 1000,))
            session.execute("UPDATE account SET balance = balance + 1 WHERE id = %s", (1 + (number * 7 + 1) % 1000,))
            session.execute("INSERT INTO history (account, note) VALUES (%s, repeat('x', 100))", (1 + number % 1000,))
            session.execute("DELETE FROM history WHERE id = (SELECT min(id) FROM history)")
            session.execute("INSERT INTO part SELECT %s", (number,))
            session.execute("SELECT lo_put(70001, 0, %s::text::bytea)", (str(number),))
        if number % 50 == 0:
            session.execute(f"CREATE TABLE IF NOT EXISTS new_{number} AS SELECT {number} AS number".encode())

    def wait_for_more(self) -> None:
        """Return when more has been written since the call."""
        with self.progress:
            seen = self.written
            assert self.progress.wait_for(lambda: self.written > seen or self.failure, timeout=60)
        assert self.failure is None, self.failure


BANK: t.Final = """
    CREATE TABLE account (id int PRIMARY KEY, balance numeric NOT NULL);
    CREATE TABLE history (id bigserial PRIMARY KEY, account int REFERENCES account, note text);
    CREATE TABLE part (n int) PARTITION BY HASH (n);
    CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO account SELECT g, 100 FROM generate_series(1, 1000) g;
    INSERT INTO history (account, note) SELECT g, 'first' FROM generate_series(1, 1000) g;
    CREATE MATERIALIZED VIEW total AS SELECT sum(balance) FROM account;
    SELECT lo_from_bytea(70001, 'start')
"""


@pytest.mark.parametrize(("source", "target"), [("15", "18"), ("18", "18")])
def test_source_that_is_written_to(servers: Servers, tmp_path: Path, source: str, target: str) -> None:
    """All of the copy is of one instant (P2): no transfer is seen half, and nothing that came later is missed."""
    with new_case(servers.source(source), servers.target(target), BANK) as case:
        migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
        writer = Writer(case)
        thread = threading.Thread(target=writer.run)
        thread.start()
        try:
            writer.wait_for_more()
            found = migration.preflight()
            assert not [finding for finding in found.findings if finding.severity == "error"]
            writer.wait_for_more()
            manifest = migration.dump()
            for stage in (migration.restore_schema, migration.restore_data, migration.verify, migration.switch):
                writer.wait_for_more()
                stage()
            writer.wait_for_more()
        finally:
            writer.stop.set()
            thread.join()
        assert writer.failure is None
        assert {table.name for table in manifest.tables} >= {"account", "history"}
        assert case.ask("SELECT sum(balance) FROM account") == 100_000
        assert case.ask("SELECT sum FROM total") == 100_000
        assert case.ask("SELECT count(*) FROM history") == 1000
        # The position of a sequence may be ahead of the rows, never behind.
        assert case.ask("SELECT nextval('history_id_seq') > max(id) FROM history")
        # What the source has become since is told as a difference.
        assert not migration.compare().equal
