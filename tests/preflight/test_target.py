# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight finds that the target's server lacks or refuses, and what the switch would meet there."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.in_place import ask_clients_in_place
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Session, connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.inquiry import answer
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.locks import lock_name
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.findings import Finding

from tests.case import execute, make_role, new_case
from tests.migration import endpoint
from tests.playbooks import wait_until
from tests.servers import Servers

UPPER = "create function u(text) returns text immutable language sql as 'select upper($1)';"


@pytest.mark.parametrize(
    ("pair", "script", "finding", "cure"),
    [
        pytest.param(
            ("15", "18"),
            "create table t(a text compression lz4)",
            ("lz4", "column public.t.a"),
            "alter table t alter a set compression pglz",
            id="compression",
        ),
        pytest.param(
            ("15", "18"),
            'create table t(a text collate "de-x-icu")',
            ("collation", "table column public.t.a"),
            'alter table t alter a type text collate "C"',
            id="collation that the server has not",
        ),
        pytest.param(
            ("18", "18"),
            'create table t(a text collate "unicode"); insert into t values (1), (2)',
            ("icu", "column public.t.a"),
            'alter table t alter a type text collate "C"',
            id="column sorted by ICU, which the server is built without",
        ),
        pytest.param(
            ("18", "18"),
            "create collation c (locale = 'C.UTF-8'); create table t(a text collate c);"
            "update pg_collation set collcollate = 'xx_YY', collctype = 'xx_YY' where collname = 'c'",
            ("locale", "collation public.c"),
            "update pg_collation set collcollate = 'C.UTF-8', collctype = 'C.UTF-8' where collname = 'c'",
            id="collation of a locale that the machine has not",
        ),
        pytest.param(
            ("18", "15"),
            "create table t(a int); create function f() returns int language sql set transaction_timeout = 5"
            " as 'select 1'",
            ("setting", "function public.f()"),
            "alter function f() reset all",
            id="setting of a function",
        ),
        pytest.param(
            ("15", "18"),
            "create table t(a int); create function f() returns text language c as '$libdir/pgcrypto',"
            " 'pg_random_uuid'",
            ("library", "function public.f()"),
            "drop function f()",
            id="library",
        ),
        pytest.param(
            ("15", "18"),
            f"{UPPER} create table t(a text); insert into t values ('x');"
            "create function f(text) returns text immutable language plpgsql as 'begin return u($1); end';"
            "create index i on t(f(a)); create index j on t(a) where u(a) > 'a'",
            ("expression", "index public.i"),
            "alter function f(text) set search_path = public",
            id="index that needs a search_path",
        ),
        pytest.param(
            ("15", "18"),
            f"{UPPER} create table t(a text); insert into t values ('x');"
            "create function f(text) returns text immutable language plpgsql as 'begin return u($1); end';"
            "create materialized view m as select f(a) from t",
            ("expression", "materialized view public.m"),
            "alter function f(text) set search_path = public",
            id="materialized view that needs a search_path",
        ),
    ],
)
def test_found_and_gone(
    servers: Servers, pair: tuple[str, str], script: str, finding: tuple[str, str], cure: str
) -> None:
    """Once it is gone, the copy arrives."""
    code, object_ = finding
    with new_case(servers.source(pair[0]), servers.target(pair[1]), script) as case:
        assert case.finds(code) == [("error", object_)]
        case.run(cure)
        assert case.finds(code) == []
        case.arrives()


def test_what_a_search_path_is_not_needed_for(servers: Servers) -> None:
    """A server older than 17 builds indexes under the session's own."""
    script = f"""
        {UPPER} create table t(a text); insert into t values ('x');
        create function f(text) returns text immutable language plpgsql as 'begin return u($1); end';
        create index i on t(f(a)); create materialized view m as select f(a) from t
    """
    with new_case(servers.source("15"), servers.target("15"), script) as case:
        assert case.finds("expression") == []
        case.arrives()


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("app.tenant", "'x'", True),
        ("timezone", "'Europe/Vienna'", False),
        ("session_preload_libraries", "'auto_explain'", False),
    ],
)
def test_settings_that_are_accepted(servers: Servers, name: str, value: str, plain: bool) -> None:
    """A plain role may not make up settings for a database; the run would fail at the switch."""
    with new_case(servers.source("15"), servers.target("15"), "create table t(a int)") as case:
        execute(case.source, "postgres", f"alter database {case.name} set {name} = {value}")
        assert case.finds("setting") == []
        if plain:
            case.make_roles()
            case.source_user = None
            assert [severity for severity, _ in case.finds("setting")] == ["error"]
            case.target_user = None
        case.arrives()


def test_library_that_every_session_would_miss(servers: Servers) -> None:
    """The server takes the setting, and then nobody can enter the copy."""
    with new_case(servers.source("15"), servers.target(), "create table t(a int)") as case:
        execute(case.source, "postgres", f"alter database {case.name} set session_preload_libraries = pgcrypto")
        assert case.finds("setting") == [("error", "database setting session_preload_libraries")]
        execute(case.source, "postgres", f"alter database {case.name} reset session_preload_libraries")
        assert case.finds("setting") == []


def test_clients_of_other_roles(servers: Servers) -> None:
    """A plain role sees that they are there, and that it may not end their sessions."""
    with new_case(servers.source(), servers.target(), "create table t(a int)") as case:
        case.make_roles()
        case.source_user = None
        case.arrives()
        guest = f"{case.name}_guest"
        make_role(case.target, guest, "LOGIN")
        with contextlib.closing(case.target.connect(case.name, user=guest, password="secret")) as client:
            (found,) = [f for f in case.examine() if f.code == "target-clients"]
            assert f"1 in number: session {client.info.backend_pid} of {guest}" in found.message
        gone = f"select count(*) = 0 from pg_stat_activity where usename = '{guest}'"
        wait_until(lambda: case.ask(gone))
        assert case.finds("target-clients") == []
        execute(case.target, "postgres", f"drop role {guest}")


def clients(session: Session) -> list[Finding]:
    return answer(session, ask_clients_in_place(session.info.dbname))


def test_clients_in_place(servers: Servers) -> None:
    """They are named; the session that asks is none, nor is that which holds the run's claim."""
    with new_case(servers.source(), servers.target(), "create table t(a int)") as case:
        at = endpoint("target", case.source, case.name)
        with connect(at) as session:
            # Who made the table may still be leaving.
            wait_until(lambda: clients(session) == [])
            with connect(at) as other:
                (found,) = clients(session)
                assert f"1 in number: session {other.info.backend_pid} of postgres (pgconvoy)" in found.message
                lock_name(other, case.name)
                assert clients(session) == []


def test_what_only_the_live_database_has(servers: Servers) -> None:
    with new_case(servers.source(), servers.target(), "create table t(a int)") as case:
        case.arrives()
        assert case.finds("only-live") == []
        execute(
            case.target,
            case.name,
            "create table orders(id int); insert into orders select generate_series(1, 3);"
            "create table log(id int); insert into log select generate_series(1, 1500); create extension pg_trgm",
        )
        (found,) = [finding for finding in case.examine() if finding.code == "only-live"]
        assert found.severity == "warning"
        assert "tables, 2 in number: public.log (more than 1,000 rows), public.orders (3 rows)" in found.message
        assert "extensions, 1 in number: pg_trgm" in found.message
        case.arrives()
        assert case.finds("only-live") == []


def test_tablespaces_of_the_live_database(servers: Servers) -> None:
    """What is made anew lies where the server puts it, perhaps on a disk with less room."""
    target = servers.target()
    with new_case(servers.source(), target, "create table t(id int)") as case, contextlib.ExitStack() as stack:
        with target.connect() as connection:
            connection.execute("set allow_in_place_tablespaces = on")
            connection.execute("create tablespace t_space location ''")
        stack.callback(execute, target, "postgres", "drop tablespace t_space")
        stack.callback(target.drop_database, case.name)
        target.create_database(case.name, template="template0", tablespace="t_space")
        execute(target, case.name, "create table big(id int) tablespace pg_default")
        assert case.finds("tablespace") == [("warning", "tablespace t_space")]
        execute(target, case.name, "drop table big")
        execute(target, "postgres", f'alter database "{case.name}" set tablespace pg_default')
        assert case.finds("tablespace") == []
        execute(target, case.name, "create table t(id int) tablespace t_space; create index on t(id)")
        (found,) = [finding for finding in case.examine() if finding.code == "tablespace"]
        assert "has public.t in it" in found.message
