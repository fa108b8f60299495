# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canaries: no value of a row, of a setting or of an option is in what servers refuse, tools say and verdicts tell."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.schema import Entry
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.filling.objects import create_entries
from ansible_collections.pgconvoy.migrate.plugins.module_utils.filling.refresh import refresh
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.orphans import check_foreign_keys
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.chunks import Chunks
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.receiver import Stream, receive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.sender import Sender
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import tools_in
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from psycopg import sql

from tests.databases import Database
from tests.migration import endpoint, prepare
from tests.servers import Servers

CANARY: t.Final = "canary4711"
#: What refuses rows while they are loaded.
TABLES: t.Final = """
    CREATE DOMAIN short AS text CHECK (length(VALUE) < 5); CREATE TYPE mood AS ENUM ('glad');
    CREATE TABLE parent (mail text PRIMARY KEY);
    CREATE FUNCTION tell(text) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'not good: %', $1 USING ERRCODE = '23514', DETAIL = $1, HINT = $1; END $$;
    CREATE FUNCTION number(text) RETURNS boolean LANGUAGE sql AS 'SELECT $1::int > 0';
    CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'bad %', NEW; END $$;
    CREATE TABLE "unique" (v text UNIQUE); INSERT INTO "unique" VALUES ('canary4711');
    CREATE TABLE "check" (v text CHECK (length(v) < 5));
    CREATE TABLE domain (v short);
    CREATE TABLE enum (v mood);
    CREATE TABLE "int" (v int);
    CREATE TABLE "range" (v int4range); CREATE TABLE json (v json); CREATE TABLE "date" (v date);
    CREATE TABLE bytes (v bytea); CREATE TABLE narrow (v varchar(3)); CREATE TABLE net (v inet);
    CREATE TABLE bits (v bit(3));
    CREATE TABLE "array" (v int[]); CREATE TABLE query (v tsquery); CREATE TABLE class (v regclass);
    CREATE TABLE reference (v text REFERENCES parent);
    CREATE TABLE null_ (v text, w text NOT NULL);
    CREATE TABLE partitioned (v text) PARTITION BY LIST (v);
    CREATE TABLE raising (v text CHECK (tell(v))); CREATE TABLE casting (v text CHECK (number(v)));
    CREATE TABLE triggered (v text);
    CREATE TRIGGER shout BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION shout();
    CREATE TABLE generated (v text, g int GENERATED ALWAYS AS (v::int) STORED);
    CREATE TABLE excluded (v text, EXCLUDE USING hash (v WITH =)); INSERT INTO excluded VALUES ('canary4711');
"""
NAMES: t.Final = (
    *("unique", "check", "domain", "enum", "int", "range", "json", "date", "bytes", "narrow", "net", "bits", "array"),
    *("query", "class", "reference", "null_", "partitioned", "raising", "casting", "triggered", "generated"),
    "excluded",
)


def test_rows_that_are_refused(servers: Servers, target: Database) -> None:
    """Each way in which a server refuses a row; the table is told, and the line where there is one."""
    target.execute(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {TABLES}")
    value = {"bytes": f"\\\\x{CANARY}", "query": f"& {CANARY}", "json": f'{{"a": {CANARY}}}'}
    told = {}
    with connect(endpoint("target", target.server, target.name)) as session:
        session.execute("SET search_path TO public")
        for name in NAMES:
            columns = sql.SQL("(v, w)" if name == "null_" else "(v)")
            statement = sql.SQL("COPY {}{} FROM STDIN").format(sql.Identifier("public", name), columns)
            line = value.get(name, CANARY) + ("\t\\N" if name == "null_" else "")
            with pytest.raises(MigrationError) as raised, session.transaction():
                receive(session, [Stream(f"table public.{name}", [statement], one_row(line))])
            told[name] = str(raised.value)
    assert {name: message for name, message in told.items() if "4711" in message} == {}
    # What helps is still there.
    assert 'unique constraint "unique_v_key"\nDETAIL: Key (v)=(...)\nCONTEXT: COPY unique, line 1' in told["unique"]
    assert told["int"].endswith("integer: ...\nCONTEXT: COPY int, line 1, column v")
    assert "PL/pgSQL function tell(text) line 1 at RAISE" in told["raising"]
    assert all("ERROR" in message and f"table public.{name}" in message for name, message in told.items())


def one_row(line: str) -> Chunks:
    yield line.encode() + b"\n"
    return 1


def test_objects_that_cannot_be_made(servers: Servers, target: Database) -> None:
    """Over complete rows: keys, casts, checks, what a view's function or a default says."""
    target.execute("CREATE TABLE t (v text, w text)")
    target.execute(f"INSERT INTO t VALUES ('{CANARY}', '{CANARY}'), ('{CANARY}', NULL)")
    statements = [
        "CREATE UNIQUE INDEX i ON public.t (v)",
        "CREATE UNIQUE INDEX i ON public.t (lower(v))",
        "ALTER TABLE public.t ADD PRIMARY KEY (v)",
        "ALTER TABLE public.t ALTER w SET NOT NULL",
        "ALTER TABLE public.t ADD CHECK (length(v) < 3)",
        "ALTER TABLE public.t ALTER v TYPE int USING v::int",
        "ALTER TABLE public.t ADD FOREIGN KEY (v) REFERENCES public.owner (name)",
        "CREATE INDEX i ON public.t ((v::int))",
        "CREATE MATERIALIZED VIEW public.m AS SELECT v::date FROM public.t",
        f"ALTER TABLE public.t ADD x int DEFAULT '{CANARY}'",
        f"CREATE FUNCTION public.f() RETURNS int LANGUAGE sql SET work_mem TO '{CANARY}' AS 'SELECT 1'",
        f"ALTER DATABASE {target.name} SET log_min_messages = '{CANARY}'",
    ]
    with connect(endpoint("target", target.server, target.name)) as session:
        for statement in statements:
            with pytest.raises(MigrationError, match=r"ERROR \w{5}: ") as raised:
                create_entries(session, [Entry("OBJECT", "x", statement.encode())])
            assert CANARY not in str(raised.value), statement


@pytest.mark.parametrize(
    "expression", ["tell(v)", "v::regclass::text", "v::regrole::text", "to_tsquery('& ' || v)::text", "v::int::text"]
)
def test_what_is_evaluated_for_rows(servers: Servers, source: Database, target: Database, expression: str) -> None:
    """By preflight on the source, a refresh, an index; whatever code a message has, and whoever words it."""
    source.execute(f"""
        CREATE FUNCTION tell(v text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN v; END $$;
        CREATE FUNCTION said(v text) RETURNS text IMMUTABLE LANGUAGE sql SET search_path = pg_catalog, public AS
            $$ SELECT CASE WHEN v LIKE '%4711' THEN {expression} END $$;
        CREATE TABLE t (v text); CREATE MATERIALIZED VIEW m AS SELECT said(v) FROM t;
        CREATE OR REPLACE FUNCTION tell(v text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'not %', v; END $$;
    """)
    source.execute(f"INSERT INTO t VALUES ('{CANARY}')")
    found = prepare(source.server, source.name, target.server, target.name, Path("unused")).preflight().findings
    told = [finding for finding in found if finding.object == "materialized view public.m"]
    assert [finding.code for finding in told] == ["expression"]
    index = Entry("INDEX", "x", b"CREATE INDEX i ON public.t (public.said(v))")
    with connect(endpoint("source", source.server, source.name)) as session:
        session.execute("SET default_transaction_read_only = off")
        with pytest.raises(MigrationError) as refreshed:
            refresh(session, [("public", "m")])
        with pytest.raises(MigrationError) as made:
            create_entries(session, [index])
    assert CANARY not in str(found) + str(refreshed.value) + str(made.value)


def test_rows_that_cannot_be_sent(servers: Servers, source: Database) -> None:
    """What psql passes on."""
    source.execute(f"""CREATE TABLE t (v text); INSERT INTO t VALUES (E'"{CANARY}\\nHINT:  {CANARY}')""")
    with exported_snapshot(endpoint("source", source.server, source.name)) as snapshot:
        for query in ("SELECT v::int FROM public.t", "SELECT v::json FROM public.t"):
            tools = tools_in(str(source.server.bindir))
            with Sender(snapshot, tools) as sender, pytest.raises(MigrationError) as raised:
                list(sender.stream(sql.SQL(f"COPY ({query}) TO STDOUT").format()))
            assert CANARY not in str(raised.value)
            assert "ERROR 22" in str(raised.value)
            assert "ended with status 3" in str(raised.value)


DIFFERENT: t.Final = """
    CREATE TABLE keyless (v text, w text); INSERT INTO keyless VALUES ('{0}', 'a{0}'), ('same', NULL);
    CREATE TABLE keyed (id int PRIMARY KEY, v text); INSERT INTO keyed VALUES (1, '{0}');
    CREATE TABLE void (id int PRIMARY KEY);
    CREATE FUNCTION f() RETURNS int LANGUAGE sql SET app.key = '{0}' SET search_path = '{0}', "x y" AS 'SELECT 1';
    CREATE FOREIGN DATA WRAPPER wrapper OPTIONS (secret '{0}');
    CREATE SERVER remote FOREIGN DATA WRAPPER wrapper OPTIONS (host '{0}''s');
    CREATE USER MAPPING FOR PUBLIC SERVER remote OPTIONS (password '{0}', "user" E'{0}\\nline');
    CREATE FOREIGN TABLE far (a int OPTIONS (name '{0}')) SERVER remote OPTIONS (name '{0}');
"""


def test_what_differs(servers: Servers, source: Database, target: Database, tmp_path: Path) -> None:
    """Everything differs, and no value is told but a primary key's."""
    for side, value in ((source, f"{CANARY}s"), (target, f"{CANARY}t")):
        side.execute(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {DIFFERENT.format(value)}")
        side.execute(f"ALTER DATABASE {side.name} SET app.secret = '{value}'; UPDATE keyed SET v = v || random()")
    migration = prepare(source.server, source.name, target.server, target.name, tmp_path / "archive")
    found = migration.preflight()
    verdict = migration.compare()
    told = {difference.object: difference.message for difference in verdict.differences}
    assert CANARY not in str(told) + str(verdict) + str(found.findings)
    assert told["database setting app.secret"] == "another value on the target than on the source"
    assert "1 changed in v: (1)" in told["table public.keyed"]
    assert "1 missing: #" in told["table public.keyless"]
    for name in ("function public.f()", "server remote", "foreign table public.far", "foreign data wrapper wrapper"):
        assert told[name] == "defined otherwise on the target, in a value that is not shown", name
    assert any(name.startswith("user mapping ") for name in told)


def test_orphans(servers: Servers, source: Database, tmp_path: Path) -> None:
    source.execute(f"""
        CREATE TABLE p (v text PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, v text REFERENCES p);
        CREATE TABLE k (v text REFERENCES p);
        SET session_replication_role = replica; INSERT INTO c VALUES (7, '{CANARY}'); INSERT INTO k VALUES ('{CANARY}')
    """)
    migration = prepare(source.server, source.name, source.server, "nowhere", tmp_path / "archive")
    found = migration.preflight()
    key = "fk constraint public.c c_v_fkey"
    assert CANARY not in str(found.findings) + str(check_foreign_keys(found.census, {key: ""}, 18))
    told = {finding.object: finding.message for finding in found.findings if finding.code == "orphans"}
    assert "1 rows refer to a row of public.p that is not there, (7) for instance." in told[key]
    assert "not there, #" in told["fk constraint public.k k_v_fkey"]
