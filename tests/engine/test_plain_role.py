# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No superuser (P7): a role with LOGIN and CREATEDB that owns the live database is enough."""

from __future__ import annotations

import typing as t

import pytest

from tests import corpus, oracle
from tests.case import execute, make_role, new_case
from tests.engine.test_corpus import PLAIN, create_roles
from tests.engine.test_pairs import MEDIUM
from tests.migration import Outcome, migrate
from tests.servers import PostgresServer, Servers

ROLE: t.Final = "plain_role"


@pytest.fixture(scope="module")
def target(servers: Servers) -> t.Iterator[PostgresServer]:
    """Give the target, on which the role may create databases."""
    server = servers.target()
    make_role(server, ROLE, "LOGIN CREATEDB")
    yield server
    execute(server, "postgres", f"drop role {ROLE}")


def migrate_plainly(source: PostgresServer, source_db: str, target: PostgresServer, target_db: str) -> Outcome:
    """Migrate over a live database of the role's."""
    target.create_database(target_db, owner=ROLE)
    execute(
        target, target_db, f"create table live(id int); insert into live values (1); alter table live owner to {ROLE}"
    )
    return migrate(source, source_db, target, target_db, target_user=(ROLE, "secret"))


def drop(target: PostgresServer, target_db: str) -> None:
    """Remove the live database and its predecessor."""
    for dbname in (target_db, f"{target_db}__pgconvoy_previous"):
        target.drop_database(dbname)


@pytest.mark.parametrize("name", PLAIN)
def test_what_needs_no_superuser(servers: Servers, target: PostgresServer, name: str) -> None:
    source = servers.source()
    source_db, target_db = corpus.shared(source, name), f"plain_{name}"
    outcome = migrate_plainly(source, source_db, target, target_db)
    assert outcome.status == "migrated", outcome
    oracle.assert_equal(source, source_db, target, target_db)
    owner = "select string_agg(distinct pg_get_userbyid(relowner), ' ') from pg_class where oid >= 16384"
    assert oracle.scalar(target, target_db, owner) == ROLE
    assert oracle.scalar(target, f"{target_db}__pgconvoy_previous", "select count(*) from live") == 1
    drop(target, target_db)


@pytest.fixture(scope="module")
def target_15(servers: Servers) -> t.Iterator[PostgresServer]:
    """Give a target that has all extensions."""
    server = servers.target("15")
    make_role(server, ROLE, "LOGIN CREATEDB")
    yield server
    execute(server, "postgres", f"drop role {ROLE}")


@pytest.mark.parametrize("name", ["apflora", "grafast", "kitchensink", "temporal_visibility"])
def test_trusted_extensions_need_no_superuser(servers: Servers, target_15: PostgresServer, name: str) -> None:
    source = servers.source("15")
    source_db, target_db = corpus.shared(source, name), f"plain_{name}"
    create_roles(source, target_15)
    outcome = migrate_plainly(source, source_db, target_15, target_db)
    assert outcome.status == "migrated", outcome
    oracle.assert_equal(source, source_db, target_15, target_db)
    drop(target_15, target_db)


@pytest.mark.parametrize(
    ("name", "refusals"),
    [
        ("danbooru", {("extension-untrusted", "extension pgstattuple")}),
        ("pgcopydb_unit", {("extension-untrusted", "extension pg_stat_statements")}),
        (
            "torture",
            {
                ("extension-untrusted", "extension postgres_fdw"),
                ("setting", "database setting tort.setting"),
                ("superuser-object", "event trigger et_block"),
                ("superuser-object", "event trigger et_log"),
                ("superuser-object", "operator family prog.int_rev"),
                ("superuser-object", "publication Pub All"),
                ("superuser-object", "publication pub_schema"),
                ("superuser-object", "type types.shell_only"),
            },
        ),
    ],
)
def test_databases_that_need_a_superuser(
    servers: Servers, target_15: PostgresServer, name: str, refusals: set[tuple[str, str]]
) -> None:
    source = servers.source("15")
    source_db = corpus.shared(source, name)
    create_roles(source, target_15)
    before = oracle.databases(target_15)
    outcome = migrate(source, source_db, target_15, f"plain_{name}", target_user=(ROLE, "secret"))
    assert outcome.refusals == refusals
    assert oracle.databases(target_15) == before


def test_plain_on_both_sides(servers: Servers) -> None:
    """The role that owns the source's database and objects need be no superuser there either."""
    with new_case(servers.source(), servers.target()) as case:
        case.make_roles()
        with case.source.connect(case.name, user=f"{case.name}_role", password="secret") as connection:
            connection.execute(MEDIUM.encode())
        execute(case.source, "postgres", f"alter database {case.name} set work_mem = '5MB'")
        execute(case.source, "postgres", f"comment on database {case.name} is 'x'")
        case.arrives()
        assert case.ask("show work_mem") == "5MB"
        case.run("alter table app.base add column later int; drop table app.derived")
        case.arrives()


@pytest.mark.parametrize("side", ["source", "target"])
def test_database_whose_sessions_take_another_role(servers: Servers, side: t.Literal["source", "target"]) -> None:
    """ALTER DATABASE ... SET role is for its clients: a run has the rights of the user that it is given."""
    with new_case(servers.source(), servers.target()) as case:
        case.make_roles()
        role, other = f"{case.name}_role", f"{case.name}_x"
        with case.source.connect(case.name, user=role, password="secret") as connection:
            connection.execute("create table t(id int primary key); insert into t values (1)")
        server = case.source if side == "source" else case.target
        if side == "target":
            server.create_database(case.name, owner=role)
        try:
            for each in (case.source, case.target):
                execute(each, "postgres", f"create role {other}; grant {other} to {role}")
            execute(server, "postgres", f"alter database {case.name} set role = {other}")
            outcome = case.migrate()
            assert outcome.status == "migrated", outcome
            case.stays()
            assert case.ask("select current_user") == other
            for each in (case.source, case.target):
                execute(each, "postgres", f"alter database {case.name} reset role")
            oracle.assert_equal(case.source, case.name, case.target, case.name)
        finally:
            for each in (case.source, case.target):
                execute(each, "postgres", f"drop role {other}")


@pytest.mark.parametrize(
    ("script", "code", "object_"),
    [
        (
            "create function f() returns event_trigger language plpgsql as 'begin end';"
            "create event trigger e on ddl_command_end execute function f()",
            "superuser-object",
            "event trigger e",
        ),
        (
            "create function f(internal) returns internal language internal as 'int4in'",
            "superuser-object",
            "function public.f(internal)",
        ),
        (
            "create function f() returns int language sql leakproof as 'select 1'",
            "superuser-object",
            "function public.f()",
        ),
        (
            "create function f() returns int language sql set log_min_messages = 'error' as 'select 1'",
            "superuser-object",
            "function public.f()",
        ),
        (
            "create aggregate g(numeric) (sfunc = numeric_accum, stype = internal, finalfunc = numeric_avg)",
            "superuser-object",
            "aggregate public.g(numeric)",
        ),
        ("create cast (int as circle) with inout", "superuser-object", "cast (integer AS circle)"),
        (
            "create transform for int language sql (from sql with function prsd_lextype(internal))",
            "superuser-object",
            "transform FOR integer LANGUAGE sql",
        ),
        ("create type shell", "superuser-object", "type public.shell"),
        ("create publication everything for all tables", "superuser-object", "publication everything"),
        ("create publication s for tables in schema public", "superuser-object", "publication s"),
        ("create foreign data wrapper w", "superuser-object", "foreign data wrapper w"),
        ("create extension pg_stat_statements", "extension-untrusted", "extension pg_stat_statements"),
    ],
)
def test_what_needs_a_superuser(servers: Servers, target: PostgresServer, script: str, code: str, object_: str) -> None:
    with new_case(servers.source(), target, f"create table t(id int); insert into t values (1); {script}") as case:
        outcome = migrate_plainly(case.source, case.name, target, case.name)
        assert outcome.refusals == {(code, object_)}, outcome
        assert oracle.scalar(target, case.name, "select count(*) from live") == 1
        # A superuser may.
        case.arrives()


def test_not_allowed_to_create_databases(servers: Servers) -> None:
    with new_case(servers.source(), servers.target(), "create table t(id int)") as case:
        case.make_roles("LOGIN NOCREATEDB")
        case.source_user = None
        before = oracle.databases(case.target)
        outcome = case.migrate()
        assert outcome.refusals == {("no-createdb", f"role {case.name}_role")}
        assert f'ALTER ROLE "{case.name}_role" CREATEDB' in str(outcome)
        assert oracle.databases(case.target) == before


def test_not_the_owner_of_the_live_database(servers: Servers, target: PostgresServer) -> None:
    with new_case(servers.source(), target, "create table t(id int)") as case:
        target.create_database(case.name)
        case.target_user = (ROLE, "secret")
        before = oracle.databases(target)
        refusals = case.migrate().refusals
        assert refusals == {
            ("not-owner", f'database "{case.name}"'),
            # And in place is no way, either.
            ("no-create", f'database "{case.name}"'),
            ("no-create", "schema public"),
        }
        assert oracle.databases(target) == before


def test_live_database_that_cannot_be_read(servers: Servers, target: PostgresServer) -> None:
    """Its owner may replace it without a look at tables that belong to somebody else; that is told."""
    with new_case(servers.source(), target) as case:
        case.run("create table t(id int primary key); insert into t values (1)")
        target.create_database(case.name, owner=ROLE)
        execute(target, case.name, "create table t(id int); insert into t values (2)")
        outcome = migrate(case.source, case.name, target, case.name, target_user=(ROLE, "secret"))
        assert outcome.status == "migrated", outcome
        assert [f.severity for f in outcome.findings if f.code == "target-not-readable"] == ["warning"]
        with target.connect(case.name) as connection:
            assert connection.execute("select id from t").fetchall() == [(1,)]
