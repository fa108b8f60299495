# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight finds on the source: each finding while there is a cause for it, and none when the cause is gone."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg
import pytest

from tests.case import execute, new_case
from tests.playbooks import wait_until
from tests.servers import Servers

PARTITIONED: t.Final = """
    create table p(id int primary key) partition by range(id);
    create table p1 partition of p for values from (0) to (100);
    create table c(id int, pid int references p) partition by range(id);
    create table c1 partition of c for values from (0) to (100);
    insert into p values (1); insert into c values (1, 1);
"""


@pytest.mark.parametrize(
    ("script", "finding", "cure"),
    [
        pytest.param(
            "create table t(id int); drop extension plpgsql",
            ("warning", "builtin-dropped", "extension plpgsql"),
            "create extension plpgsql",
            id="extension of the server's own",
        ),
        pytest.param(
            "create unlogged table t(id int)",
            ("notice", "unlogged-table", "table public.t"),
            "alter table t set logged",
            id="unlogged table",
        ),
        pytest.param(
            "create table t(id int); create function f() returns event_trigger language plpgsql as 'begin end';"
            "create event trigger e on ddl_command_end execute function f()",
            ("notice", "event-trigger", "event trigger e"),
            "drop event trigger e",
            id="event trigger",
        ),
        pytest.param(
            "create table seen(at timestamptz); create function f() returns event_trigger language plpgsql as"
            " 'begin insert into public.seen values (now()); end';"
            " create event trigger e on login execute function f()",
            ("error", "login-trigger", "event trigger e"),
            "alter event trigger e disable",
            id="event trigger at login",
        ),
        pytest.param(
            "create table seen(at timestamptz); create function g() returns void language plpgsql as"
            " 'begin insert into public.seen values (now()); end';"
            "create function f() returns event_trigger language plpgsql as 'declare x text = public.g(); begin end';"
            " create event trigger e on login execute function f()",
            ("error", "login-trigger", "event trigger e"),
            "alter event trigger e enable replica",
            id="event trigger at login, by a function that it calls",
        ),
        pytest.param(
            "create table seen(at timestamptz); create function f() returns event_trigger language plpgsql as"
            " 'begin perform set_config(''a.b'', ''c'', false); if session_user = ''app'' then"
            " insert into public.seen values (now()); end if; end';"
            " create event trigger e on login execute function f()",
            ("notice", "login-trigger", "event trigger e"),
            "create or replace function f() returns event_trigger language plpgsql as"
            " 'begin perform set_config(''a.b'', ''c'', false); end'",
            id="event trigger at login that writes for others",
        ),
        pytest.param(
            "create table t(id int); create foreign data wrapper w; create server far foreign data wrapper w",
            ("notice", "foreign-server", "foreign server far"),
            "drop server far",
            id="foreign server",
        ),
        pytest.param(
            "create table t(id int); alter table t owner to pg_monitor; create policy odd on t using (id % 2 = 1);"
            "alter table t enable row level security, force row level security; create view v as select * from t;"
            "alter view v owner to pg_monitor; create materialized view m as select * from v",
            ("warning", "matview-row-security", "materialized view public.m"),
            "alter table t no force row level security",
            id="materialized view over rows that its owner may not see",
        ),
        pytest.param(
            PARTITIONED + "alter table c1 disable trigger all",
            ("error", "disabled-key", "table public.c1"),
            "alter table c1 enable trigger all",
            id="key of a partition",
        ),
        pytest.param(
            PARTITIONED + "alter table p1 disable trigger all",
            ("error", "disabled-key", "table public.p1"),
            "alter table p disable trigger all",
            id="key that refers to a partition",
        ),
        pytest.param(
            "create table t(a text); create collation c (locale = 'C.UTF-8');"
            "update pg_collation set collversion = '1' where collname = 'c'",
            ("warning", "collation-version", "collation public.c (1 when it was made, none now)"),
            "update pg_collation set collversion = null where collname = 'c'",
            id="collation version",
        ),
        pytest.param(
            "create function f(int) returns bool immutable language sql as 'select true';"
            "create table t(a int check (f(a))); insert into t values (1), (2);"
            "create or replace function f(int) returns bool immutable language sql as 'select $1 > 1'",
            ("error", "expression-rows", "check constraint public.t t_a_check"),
            "delete from t where a = 1",
            id="check of a function that was replaced",
        ),
        pytest.param(
            "create function f(int) returns int immutable language sql as 'select $1';"
            "create table t(a int, b int generated always as (f(a)) stored); insert into t(a) values (1), (2);"
            "create or replace function f(int) returns int immutable language sql as 'select $1 + 1'",
            ("error", "expression-rows", "column public.t.b"),
            "update t set a = a",
            id="generated column of a function that was replaced",
        ),
        pytest.param(
            "create text search configuration c (copy = simple); create table t(a text, b tsvector generated always as"
            " (to_tsvector('c', a)) stored); insert into t(a) values ('adding');"
            "alter text search configuration c alter mapping for asciiword with english_stem",
            ("error", "expression-rows", "column public.t.b"),
            "update t set a = a",
            id="generated column of a text search configuration that was altered",
        ),
        pytest.param(
            "create text search dictionary d (template = simple); create table t(a text check"
            " (ts_lexize('d', a) <> '{}')); insert into t(a) values ('the');"
            "alter text search dictionary d (stopwords = 'english')",
            ("error", "expression-rows", "check constraint public.t t_a_check"),
            "delete from t",
            id="check of a text search dictionary that was altered",
        ),
        pytest.param(
            "create function f(int, int) returns bool immutable language sql as 'select true';"
            "create operator <<<< (leftarg = int, rightarg = int, function = f);"
            "create table t(a int check (a <<<< 9)); insert into t values (10);"
            "create or replace function f(int, int) returns bool immutable language plpgsql as"
            " 'begin return $1 < $2; end'",
            ("error", "expression-rows", "check constraint public.t t_a_check"),
            "delete from t",
            id="check of an operator whose function was replaced",
        ),
        pytest.param(
            "create function f(int) returns bool immutable language sql as 'select true';"
            "create domain d as int check (f(value)); create table t(a d); insert into t values (1), (2);"
            "create or replace function f(int) returns bool immutable language sql as 'select $1 > 1'",
            ("error", "expression", "column public.t.a"),
            "delete from t where a::int = 1",
            id="domain of a function that was replaced",
        ),
        pytest.param(
            "create function f(int) returns bool immutable language sql as 'select true';"
            "create domain d as int check (f(value)); create domain e as d; create table t(a e);"
            "insert into t values (1), (2);"
            "create or replace function f(int) returns bool immutable language sql as 'select $1 > 1'",
            ("error", "expression", "column public.t.a"),
            "delete from t where a::int = 1",
            id="domain over a domain of a function that was replaced",
        ),
        pytest.param(
            "create table t(a timestamptz check (a >= now())); insert into t values (now())",
            ("error", "expression-rows", "check constraint public.t t_a_check"),
            "delete from t",
            id="check that asks for the time",
        ),
        pytest.param(
            "create function f(int) returns int immutable language sql as 'select 1';"
            "create table t(a int); insert into t values (1), (0); create index i on t(f(a));"
            "create or replace function f(int) returns int immutable language sql as 'select 1 / $1'",
            ("error", "expression", "index public.i"),
            "delete from t where a = 0",
            id="index of a function that was replaced",
        ),
        pytest.param(
            "create table other(id int); insert into other values (1);"
            "create function known(int) returns bool language sql as"
            " 'select exists (select from public.other where id = $1)';"
            "create table t(id int check (known(id))); insert into t values (1)",
            ("notice", "expression-reads", "check constraint public.t t_id_check"),
            "alter table t drop constraint t_id_check",
            id="check that reads a table",
        ),
    ],
)
def test_found_and_gone(servers: Servers, script: str, finding: tuple[str, str, str], cure: str) -> None:
    """Once it is gone, the copy arrives."""
    severity, code, object_ = finding
    with new_case(servers.source(), servers.target(), script) as case:
        assert case.finds(code) == [(severity, object_)]
        case.run(cure)
        assert case.finds(code) == []
        case.arrives()


def test_collation_version_of_the_database(servers: Servers) -> None:
    """The server says so to every session that begins, and that alone fails no run."""
    with new_case(servers.source(), servers.target(), "create table t(a text); insert into t values ('x')") as case:
        assert case.finds("collation-version") == []
        case.run("update pg_database set datcollversion = '1' where datname = current_database()")
        assert case.finds("collation-version") == [
            ("warning", f'database "{case.name}" (1 when it was made, none now)')
        ]
        assert case.migrate().status == "migrated"
        execute(case.target, "postgres", f"update pg_database set datcollversion = '1' where datname = '{case.name}'")
        assert case.migrate().status == "unchanged"


def test_collation_version_of_the_target(servers: Servers) -> None:
    """Of the live database, and of the one that new ones are made of."""
    set_version = "update pg_database set datcollversion = {} where datname in ('template1', '{}')"
    with new_case(servers.source(), servers.target(), "create table t(a text)") as case:
        case.arrives()
        assert case.finds("target-collation-version") == []
        execute(case.target, "postgres", set_version.format("'1'", case.name))
        try:
            assert case.finds("collation-version") == []
            live, template = (f for f in case.examine() if f.code == "target-collation-version")
        finally:
            execute(case.target, "postgres", set_version.format("null", case.name))
        assert (live.severity, live.object) == (
            "warning",
            f'target database "{case.name}" (1 when it was made, none now)',
        )
        assert f'REINDEX DATABASE "{case.name}", then ALTER DATABASE "{case.name}" REFRESH COLL' in live.remedy
        assert template.object == 'target database "template1" (1 when it was made, none now)'
        assert 'ALTER DATABASE "template1" REFRESH COLLATION VERSION' in template.remedy


def test_duplicates_that_a_changed_collation_leaves(servers: Servers) -> None:
    """The copy's index could not be built. NULLs are no duplicates, unless the index says so."""
    script = """
        create table t(a text, b int); create unique index i on t(a, b); insert into t values ('x', 1), ('y', null);
        create table u(a text); create unique index j on u(a) nulls not distinct; insert into u values (null);
        update pg_database set datcollversion = '1' where datname = current_database()
    """
    unknown, known = (
        f"update pg_index set indisready = {value}, indislive = {value}"
        " where indexrelid in ('i'::regclass, 'j'::regclass)"
        for value in ("false", "true")
    )
    with new_case(servers.source(), servers.target(), script) as case:
        assert case.finds("duplicates") == []
        case.run(unknown)
        case.run("insert into t values ('x', 1), ('y', null); insert into u values (null)")
        case.run(known)
        assert case.finds("duplicates") == [("error", "index public.i"), ("error", "index public.j")]


def test_large_object_of_somebody_else(servers: Servers) -> None:
    script = "create table t(id int); select lo_from_bytea(7001, 'x'), lo_from_bytea(7002, 'y')"
    with new_case(servers.source(), servers.target(), script) as case:
        case.make_roles()
        case.run(f'grant select on t to "{case.name}_role"; grant select on large object 7001 to public')
        assert case.finds("not-readable") == [("error", "large object 7002")]
        case.run(f'grant select on large object 7002 to "{case.name}_role"')
        assert case.finds("not-readable") == []
        case.arrives()


def test_user_mapping_that_may_not_be_seen(servers: Servers) -> None:
    """Without its password the copy's mapping would be another one."""
    script = """
        create table t(id int); create foreign data wrapper w; create server far foreign data wrapper w;
        create user mapping for public server far options (password 'x')
    """
    with new_case(servers.source(), servers.target(), script) as case:
        assert case.finds("user-mapping") == []
        case.make_roles()
        case.run(f'grant select on t to "{case.name}_role"')
        assert case.finds("user-mapping") == [("warning", "user mapping public for server far")]
        case.run("drop user mapping for public server far")
        assert case.finds("user-mapping") == []


def test_check_of_who_asks(servers: Servers) -> None:
    """Whoever reads on the source, it is the target's user for whom it must hold."""
    script = "create table t(u text default current_user check (u = current_user)); insert into t values (default)"
    with new_case(servers.source(), servers.target(), script) as case:
        case.make_roles()
        case.run(f'grant select on t to "{case.name}_role"')
        case.target_user = None
        case.arrives()


def test_schema_of_the_server_that_was_dropped(servers: Servers) -> None:
    """The copy has it, as each new database."""
    with new_case(
        servers.source(), servers.target(), "create table t(id int); drop schema information_schema cascade"
    ) as case:
        assert case.finds("builtin-dropped") == [("warning", "schema information_schema")]
        case.arrives()


def test_view_whose_rules_name_it(servers: Servers) -> None:
    """What is done instead of changing a view may look at it; only what it shows may not."""
    script = """
        create table t(id int); insert into t values (1); create view v as select id from t;
        create rule gone as on delete to v do instead delete from t where id in (select v.id from v where v.id = old.id)
    """
    with new_case(servers.source(), servers.target(), script) as case:
        assert case.finds("self-referring-view") == []
        case.arrives()
        case.run("create or replace view v as select id from v")
        assert case.finds("self-referring-view") == [("error", "view public.v")]


def test_xml_where_it_cannot_be(servers: Servers) -> None:
    """A server that is built without libxml has the type, and no values of it: so can the other."""
    with new_case(
        servers.source(), servers.target(), "create table t(id int, x xml); insert into t values (1)"
    ) as case:
        case.arrives()


@pytest.mark.parametrize("side", ["source", "target"])
def test_locked_relation(servers: Servers, side: str) -> None:
    """Reading would wait for as long as the lock is held, or waited for, and nobody would be told why."""
    with new_case(servers.source(), servers.target(), "create table t(id int)") as case:
        case.arrives()
        server = case.source if side == "source" else case.target
        with contextlib.closing(server.connect(case.name)) as holder:
            holder.execute("set application_name = 'nightly vacuum'")
            holder.execute("begin; create table unseen(id int); lock table t")
            (found,) = [finding for finding in case.examine() if finding.code == "locked"]
            assert (found.severity, found.object) == ("error", f"{side} relation public.t")
            assert f"session {holder.info.backend_pid} of postgres (nightly vacuum) holds" in found.message
            holder.execute("rollback")
        assert case.finds("locked") == []


def test_lock_that_is_waited_for(servers: Servers) -> None:
    """A reader would queue behind it."""
    with new_case(servers.source(), servers.target(), "create table t(id int)") as case:
        with (
            contextlib.closing(case.source.connect(case.name)) as reader,
            contextlib.closing(case.source.connect(case.name)) as waiter,
        ):
            reader.execute("begin; select from t")
            waiter.pgconn.send_query(b"begin; lock table t")
            wait_until(lambda: case.ask("select count(*) from pg_locks where not granted", side="source"))
            (found,) = [finding for finding in case.examine() if finding.code == "locked"]
            assert f"session {waiter.info.backend_pid} of postgres waits for" in found.message
        assert case.finds("locked") == []


def test_detach_that_was_broken_off(servers: Servers) -> None:
    """Its rows are counted in the partitioned table or not, by whoever asks."""
    script = """
        create table log(id int not null, at date not null) partition by range(at);
        create table log_2023 partition of log for values from ('2023-01-01') to ('2024-01-01');
        insert into log values (1, '2023-01-01')
    """
    with new_case(servers.source(), servers.target(), script) as case:
        with contextlib.closing(case.source.connect(case.name)) as reader:
            reader.execute("begin isolation level repeatable read; select from log")
            with case.source.connect(case.name) as detaching:
                detaching.execute("set lock_timeout = '100ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    detaching.execute("alter table log detach partition log_2023 concurrently")
        assert case.finds("detach-pending") == [("error", "table public.log_2023")]
        case.run("alter table log detach partition log_2023 finalize")
        assert case.finds("detach-pending") == []
        case.arrives()
