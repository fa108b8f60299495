# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked ahead for pg_dump: it gets what it would have got, and a far server is asked seldom."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import re
import subprocess
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.schema import (
    dump_schema,
    read_schema,
    read_section,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import (
    ExportedSnapshot,
    exported_snapshot,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools, tools_in
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint, tool_environment

from bench.line import Line
from tests.databases import APPLICATION, database
from tests.servers import NEWEST, PostgresServer, Servers

_MANY: t.Final = """
    CREATE EXTENSION hstore;
    CREATE SCHEMA "Odd; schema";
    CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
    CREATE TYPE pair AS (a int, b mood);
    CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1';
    CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
    CREATE RULE quiet AS ON UPDATE TO owner DO INSTEAD NOTHING;
    CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
    CREATE STATISTICS both_of ON id, owner FROM item;
    COMMENT ON TABLE owner IS 'one; two';
    DO $$ BEGIN
        FOR i IN 1..40 LOOP
            EXECUTE format('CREATE FUNCTION f%s(int) RETURNS int LANGUAGE sql AS $f$ SELECT $1 + %s; $f$', i, i);
            EXECUTE format('CREATE VIEW "Odd; schema"."v ''%s" AS SELECT *, 0.1::float8 AS tenth FROM owner', i);
            EXECUTE format('CREATE DOMAIN d%s AS int CHECK (VALUE > %s)', i, i);
            EXECUTE format('CREATE SEQUENCE s%s START %s', i, i);
            EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, d d%s DEFAULT %s)', i, i, i + 100);
        END LOOP;
    END $$;
"""


@pytest.mark.parametrize("major", ["15", NEWEST])
def test_same_schema(servers: Servers, tmp_path: Path, major: str) -> None:
    """Through a session that is asked ahead, pg_dump writes what it does by itself, in a few round trips."""
    server = servers.source(major)
    with database(server, APPLICATION + _MANY) as source, Line(server.port) as line:
        tools = choose_tools(int(major), int(major))
        with exported_snapshot(_endpoint(server, source.name, line.port)) as snapshot:
            before = line.counts.turns
            dump_schema(snapshot, tools, tmp_path / "ours.dump")
            turns = line.counts.turns - before
        by_itself = subprocess.run(
            [
                tools.program("pg_dump"),
                *("--schema-only", "--no-owner", "--no-privileges", "--no-tablespaces", "--no-subscriptions"),
                *("--format=custom", f"--file={tmp_path / 'theirs.dump'}", source.name),
            ],
            env=server.environment(),
            check=False,
        )
        assert by_itself.returncode == 0
    scripts = [_script(tools.program("pg_restore"), tmp_path / f"{whose}.dump") for whose in ("ours", "theirs")]
    assert scripts[0] == scripts[1]
    assert b'VIEW "Odd; schema"."v \'40"' in scripts[0]
    assert turns < 40


def test_few_programs(servers: Servers, tmp_path: Path) -> None:
    """What pg_dump asks of any database is found out once, and a schema's file is read once, however often it is."""
    server, started = servers.source(), tmp_path / "started"
    for name in ("pg_dump", "pg_restore"):
        log = f'test "$1" = --version || echo {name} >> {started}'
        (tmp_path / name).write_text(f'#!/bin/sh\n{log}\nexec {server.bindir / name} "$@"\n', encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "psql").symlink_to(server.bindir / "psql")
    tools = tools_in(str(tmp_path))
    for number, content in enumerate(("CREATE TABLE one ()", "CREATE TABLE two ()")):
        path = tmp_path / f"{number}.dump"
        with database(server, content) as source, exported_snapshot(_endpoint(server, source.name)) as snapshot:
            dump_schema(snapshot, tools, path)
        assert read_schema(tools, path) == read_section(tools, path, "pre-data")
    assert collections.Counter(started.read_text().split()) == {"pg_dump": 3 + 2, "pg_restore": 3 + 3}


def _script(pg_restore: str, path: Path) -> bytes:
    script = subprocess.run([pg_restore, "--file=-", str(path)], capture_output=True, check=True).stdout
    # pg_restore's own random word, of 15.14 and newer.
    return re.sub(rb"(?m)^\\(un)?restrict .*$", b"", script)


@dataclasses.dataclass(frozen=True)
class Entered:
    """A snapshot's session, and how psql enters it."""

    snapshot: ExportedSnapshot
    psql: str

    def command(self, statements: t.Iterable[str]) -> list[str]:
        return [self.psql, "-XAtq", *(f"--command={statement}" for statement in statements)]

    def tell(self, *statements: str, foreseen: t.Sequence[str]) -> list[str]:
        """Return what psql hears, in lines, where other statements of it were foreseen."""
        with self.snapshot.entrance(self.command(foreseen)) as server:
            done = subprocess.run(
                self.command(statements), env=tool_environment(server), capture_output=True, text=True, check=False
            )
        return [*done.stdout.splitlines(), *done.stderr.splitlines()]


@pytest.fixture
def entered(servers: Servers) -> t.Iterator[Entered]:
    """Give a session of a database with two tables, to be entered by psql."""
    server = servers.source()
    tables = "CREATE TABLE one (); CREATE TABLE two ()"
    with database(server, tables) as source, exported_snapshot(_endpoint(server, source.name)) as snapshot:
        yield Entered(snapshot, tools_in(str(server.bindir)).program("psql"))


_FLOAT: t.Final = "SELECT 1.0::float8 / 3"
_LONG, _SHORT = "0.3333333333333333", "0.333333333333333"


def test_settings_count(entered: Entered) -> None:
    """An answer is given under the settings only under which it was foreseen, whatever else has been set since."""
    short, long = "SET extra_float_digits TO 0", "SET extra_float_digits TO 3"
    assert entered.tell(short, _FLOAT, foreseen=[short, _FLOAT]) == [_SHORT]
    assert entered.tell(_FLOAT, foreseen=[short, _FLOAT]) == [_LONG]
    assert entered.tell(_FLOAT, short, foreseen=[short, _FLOAT]) == [_LONG]
    assert entered.tell(_FLOAT + " ", short, foreseen=[short]) == [_LONG]
    assert entered.tell(short, _FLOAT, long, _FLOAT, _FLOAT + " ", foreseen=[short, _FLOAT]) == [_SHORT, _LONG, _LONG]
    by_function = "SELECT set_config('extra_float_digits', '0', false)"
    assert entered.tell(_FLOAT, by_function, _FLOAT, foreseen=[by_function, _FLOAT]) == [_LONG, "0", _SHORT]


def test_patience_is_kept(entered: Entered) -> None:
    """A time limit is in force where the program has set it, and nowhere else."""
    show, limit, none = "SHOW statement_timeout", "SET statement_timeout = '7s'", "SET statement_timeout = 0"
    assert entered.tell(limit, show, none, show + " ", foreseen=[none]) == ["7s", "0"]
    assert entered.tell(show, foreseen=[limit, none, limit]) == ["0"]


def test_failure_is_asked_again(entered: Entered) -> None:
    """What fails ahead harms nobody who does not ask for it, and fails in its own words for who does."""
    wrong = "SELECT 1 / 0"
    assert entered.tell("SELECT 1", foreseen=["SELECT 1", wrong]) == ["1"]
    assert entered.tell("SELECT 1", wrong, foreseen=["SELECT 1", wrong]) == ["1", "ERROR:  division by zero"]
    assert entered.tell("SELECT 1; SELECT 2", "SELECT 3", foreseen=["SELECT 1; SELECT 2", "SELECT 3"])[-1] == "3"


def test_failing_sibling(entered: Entered) -> None:
    """Where the same question about another object fails, the answer about this one comes all the same."""
    listed = "SELECT tableoid, oid FROM pg_catalog.pg_class WHERE relname IN ('one', 'two') ORDER BY oid"
    one, two = (line.split("|")[1] for line in entered.tell(listed, foreseen=[listed]))
    about = "SELECT 1 / ('{}'::int8 - {})"
    assert entered.tell(listed, about.format(one, two), foreseen=[listed])[-1] == "0"
    assert entered.tell(listed, about.format(two, two), foreseen=[listed])[-1] == "ERROR:  division by zero"
    length = "SELECT pg_catalog.length('{}')"
    same = entered.tell(listed, length.format(one), length.format(two), foreseen=[listed])
    assert same[-2:] == [str(len(one)), str(len(two))]


def test_nothing_stays(entered: Entered) -> None:
    """What the program has set and prepared is undone, foreseen or not."""
    said = ["SET DateStyle TO German", "PREPARE mine AS SELECT 1", "LOCK TABLE public.one IN ACCESS SHARE MODE"]
    with entered.snapshot.another_session() as session:
        held = Entered(_Held(entered.snapshot.endpoint, session, entered.snapshot.name), entered.psql)
        for foreseen in ([], said):
            assert held.tell(*said, "EXECUTE mine", foreseen=foreseen) == ["1"]
            assert session.execute("SHOW DateStyle").fetchone() == ("ISO, MDY",)
            assert session.execute("SELECT name FROM pg_prepared_statements").fetchall() == []


@dataclasses.dataclass(frozen=True)
class _Held(ExportedSnapshot):
    """A snapshot whose readers all get the same session."""

    @contextlib.contextmanager
    def another_session(self, _: str = "") -> t.Iterator[psycopg.Connection[t.Any]]:
        yield self.session


def _endpoint(server: PostgresServer, dbname: str, port: int = 0) -> Endpoint:
    return Endpoint("source", server.host, port or server.port, dbname, server.user, server.password, "disable")
