# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the target's server refuses of a schema is told before anything is read, all at once, and nothing is changed."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.folder import read_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.database import Locale
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import examine
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.outlook import look_ahead
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.scratch import open_scratch
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict import schema as schema_judge
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.findings import Finding
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests import oracle
from tests.case import Case, execute, new_case
from tests.migration import Migration, endpoint, prepare
from tests.servers import Servers

#: Each takes a superuser, or more; with what the finding's object is.
PRIVILEGED: t.Final[dict[str, tuple[str, str]]] = {
    "create extension pageinspect": ("extension-untrusted", "extension pageinspect"),
    "create function et() returns event_trigger language plpgsql as 'begin end';"
    "create event trigger e on ddl_command_end execute function et()": ("superuser-object", "event trigger e"),
    "create operator class oc for type int using btree as operator 1 <, function 1 btint4cmp(int, int)": (
        "superuser-object",
        "operator family public.oc",
    ),
    "create type base; create function bi(cstring) returns base immutable strict language internal as 'textin';"
    "create function bo(base) returns cstring immutable strict language internal as 'textout';"
    "create type base (input = bi, output = bo, like = text); create table holder(b base);"
    "create view over_holder as select b from holder": ("superuser-object", "shell type public.base"),
    "create function lp() returns int language sql leakproof as 'select 1'": (
        "superuser-object",
        "function public.lp()",
    ),
    "create function un(internal) returns internal language internal as 'int4in'": (
        "superuser-object",
        "function public.un(internal)",
    ),
    "create function se() returns int language sql set log_min_messages = error as 'select 1'": (
        "superuser-object",
        "function public.se()",
    ),
    "create cast (bit as boolean) with inout": ("superuser-object", "cast (bit AS boolean)"),
    "create publication everything for all tables": ("superuser-object", "publication everything"),
    "create foreign data wrapper w": ("superuser-object", "foreign data wrapper w"),
}

#: What no server makes, or not every one, whoever asks.
IMPOSSIBLE: t.Final[dict[str, tuple[str, str]]] = {
    "create function gone() returns text strict language c as '$libdir/pgcrypto', 'pg_random_uuid';"
    "update pg_proc set prosrc = 'nowhere_to_be_found' where proname = 'gone'": ("library", "function public.gone()"),
    "create function lib() returns text strict language c as '$libdir/pgcrypto', 'pg_random_uuid';"
    "update pg_proc set probin = '$libdir/nowhere' where proname = 'lib'": ("library", "function public.lib()"),
    "create function unknown() returns int language sql as 'select 1';"
    "update pg_proc set proconfig = '{no_such_setting=x}' where proname = 'unknown'": (
        "setting",
        "function public.unknown()",
    ),
    "create table labelled(id int);"
    "insert into pg_seclabel values ('labelled'::regclass, 'pg_class'::regclass, 0, 'nobody', 'x')": (
        "cannot-create",
        "security label public.TABLE labelled",
    ),
    "create function pg_catalog.text(integer) returns text strict immutable language sql"
    " as 'select textin(int4out($1))';"
    "create cast (integer as text) with function pg_catalog.text(integer) as implicit;"
    "create table invoice(id int); create view invoice_ref as select 'R' || substr(id, 1, 2) as r from invoice": (
        "cannot-create",
        "cast (integer AS text)",
    ),
    "create function pg_catalog.helper() returns int immutable language sql as 'select 1';"
    "create table helped(a int default pg_catalog.helper(), b int)": ("cannot-create", "table public.helped"),
}


@pytest.fixture
def case(servers: Servers) -> t.Iterator[Case]:
    """Give a database of 15 for a server of 15, which has all extensions."""
    with new_case(servers.source("15"), servers.target("15"), "create table t(id int primary key)") as made:
        yield made


def errors(findings: t.Iterable[Finding]) -> set[tuple[str, str]]:
    """Return code and object of what is refused."""
    return {(finding.code, finding.object) for finding in findings if finding.severity == "error"}


def become(case: Case, attributes: str) -> None:
    """Have the target's side done by a role of its own; the source's stays with the superuser."""
    case.make_roles(attributes)
    case.source_user = None


def migration_of(case: Case, load_mode: str = "auto") -> Migration:
    made = prepare(case.source, case.name, case.target, case.name, Path("unused"), target_user=case.target_user)
    return dataclasses.replace(made, load_mode=load_mode)


def test_all_that_takes_a_superuser(case: Case) -> None:
    """It is told at once, what needs it is not, and each with the server's message and a remedy."""
    case.run(";".join(PRIVILEGED))
    become(case, "LOGIN CREATEDB")
    before = oracle.databases(case.target)
    findings = case.examine()
    assert errors(findings) == set(PRIVILEGED.values())
    for finding in findings:
        if finding.severity == "error":
            assert "ERROR 42501: " in finding.message
            assert "superuser" in finding.remedy
    assert oracle.databases(case.target) == before
    case.target_user = None
    case.arrives()
    # Neither is anything of it asked of who has nothing to do.
    become_again = f"{case.name}_role", "secret"
    execute(case.target, "postgres", f'alter database "{case.name}" owner to "{become_again[0]}"')
    case.stays()


def test_what_no_server_makes(case: Case) -> None:
    """A superuser is told, too; objects of users in pg_catalog, which no dump carries, are among it."""
    case.run(";".join(IMPOSSIBLE))
    before = oracle.databases(case.target)
    findings = case.examine()
    account = {("not-carried", name) for name in ("function pg_catalog.helper()", "function pg_catalog.text(integer)")}
    assert errors(findings) == {*IMPOSSIBLE.values(), *account}
    assert all(finding.remedy for finding in findings if finding.severity == "error")
    outcome = case.migrate()
    assert outcome.status == "refused"
    assert oracle.databases(case.target) == before


def test_what_another_version_lacks(servers: Servers) -> None:
    """Views of an extension change from version to version."""
    script = """
        create extension pg_stat_statements; create view slow as select blk_read_time from pg_stat_statements;
        create view slower as select * from slow; create table t(id int primary key)
    """
    with new_case(servers.source("15"), servers.target("18"), script) as case:
        (finding,) = [finding for finding in case.examine() if finding.severity == "error"]
        assert (finding.code, finding.object) == ("cannot-create", "view public.slow")
        assert "ERROR 42703: column pg_stat_statements.blk_read_time does not exist (at: " in finding.message
        case.run("drop view slow cascade")
        case.arrives()


def test_tools_older_than_the_target(servers: Servers) -> None:
    """What is rehearsed is what the run will dump, by its own tools."""
    source = servers.source("15")
    with new_case(source, servers.target(), "create unlogged table t(id int) partition by range (id)") as case:
        made = prepare(source, case.name, case.target, case.name, Path("unused"), client_bindir=str(source.bindir))
        assert errors(made.preflight().findings) == {("cannot-create", "table public.t")}
        case.run("drop table t; create table t(id int)")
        assert errors(made.preflight().findings) == set()


def test_nulls_that_the_target_refuses(servers: Servers) -> None:
    """Servers from 18 on hand NOT NULL down to heirs that could do without."""
    script = """
        create table parent(id int not null, note text); create table child() inherits (parent);
        alter table child alter id drop not null; insert into child values (null, 'x'), (null, 'y')
    """
    with new_case(servers.source("15"), servers.target(), script) as case:
        assert errors(case.examine()) == {("null-rows", "column public.child.id")}
        case.run("update child set id = 1")
        assert case.finds("null-rows") == [("warning", "column public.child.id")]
        case.arrives()


def test_root_causes_only(servers: Servers) -> None:
    """One extension that is missing is one finding, whatever is made of it, also where it is the database's locale."""
    script = """
        create schema x; create extension hstore schema x; create extension pgcrypto schema x;
        create table t(h x.hstore); create index on t using gin(h);
        create view v as select h operator(x.->) 'a' as a from t;
        create materialized view m as select * from v; create index on m(a);
        create table u(id uuid default x.gen_random_uuid(), check (id is not null));
        create domain d as x.hstore; create function f(x.hstore) returns int language sql as 'select 1';
        comment on table t is 'x'; comment on extension pgcrypto is 'y'
    """
    with new_case(
        servers.source("15"), servers.target("18"), script, locale_provider="icu", icu_locale="de", locale="C"
    ) as case:
        told = errors(case.examine())
        assert ("locale", "locale de") in told
        missing = {("extension-missing", f"extension {name}") for name in ("hstore", "pgcrypto")}
        with case.target.connect() as session:
            names = session.execute("select name from pg_available_extensions").fetchall()
        assert told - {("locale", "locale de")} == {
            (code, name) for code, name in missing if (name.partition(" ")[2],) not in names
        }


def test_what_the_examination_tells_is_told_once(servers: Servers) -> None:
    """An index that cannot be built, over rows or none, is not bound to something else besides."""
    script = """
        create extension unaccent;
        create function fold(t text) returns text language sql immutable as $$ select unaccent('unaccent', t) $$;
        create table person(name text); insert into person values ('Élodie'); create index folded on person(fold(name))
    """
    with new_case(servers.source("15"), servers.target(), script) as case:
        assert errors(case.examine()) == {("expression", "index public.folded")}


def test_members_are_told_beside_what_needs_them(case: Case) -> None:
    """A table that no CREATE EXTENSION makes is the cause of what the server says of a key to it."""
    case.run("""
        create extension hstore; alter extension hstore add table t; alter function akeys(hstore) cost 7;
        create table referring(t int references t)
    """)
    assert errors(case.examine()) == {
        ("extension-member", "table public.t"),
        ("extension-altered", "function public.akeys(public.hstore)"),
        ("cannot-create", "fk constraint public.referring referring_t_fkey"),
    }


def test_functions_in_c(servers: Servers) -> None:
    """The function's own symbol is tried, by a superuser; a plain role may not make it."""
    script = """
        create extension unaccent;
        create function immutable_unaccent(regdictionary, text) returns text immutable strict parallel safe language c
            as '$libdir/unaccent', 'unaccent_dict';
        create table artist(id int primary key, name text); insert into artist select g, 'Björk ' || g
            from generate_series(1, 20) g;
        create index on artist(immutable_unaccent('unaccent'::regdictionary, name))
    """
    with new_case(servers.source("15"), servers.target("15"), script) as case:
        case.arrives()
        case.stays()


@pytest.mark.parametrize("major", ["15", "18"])
def test_operators_that_no_dump_qualifies(servers: Servers, major: str) -> None:
    """Whatever becomes of them, it is known beforehand."""
    script = """
        create schema ext; create extension citext schema ext; set search_path to public, ext;
        create table acct(id int primary key, email citext, check (email is distinct from 'nobody'));
        insert into acct select g, 'A' || g from generate_series(1, 9) g;
        create view v as select nullif(email, 'A1') as e, case email when 'A2' then 'two' end as c from acct;
        create materialized view m as select email from acct where email is distinct from 'A9';
        create index on acct(id) where email is distinct from 'A5';
        create domain em as citext check (value is distinct from '')
    """
    with new_case(servers.source("15"), servers.target(major), script) as case:
        assert case.migrate().status in ("refused", "migrated")


def test_event_triggers_disturb_nothing(servers: Servers) -> None:
    """One that lets nobody create anything is made last, and only while definitions are read."""
    script = """
        create table t(id int, c varchar(3) check (c in ('a', 'b'))); create materialized view m as select * from t;
        create function f() returns event_trigger language plpgsql as 'begin raise exception ''no''; end';
        create event trigger a on ddl_command_start execute function f();
        create event trigger b on ddl_command_end execute function f(); comment on event trigger b is 'x'
    """
    with new_case(servers.source(), servers.target(), script) as case:
        case.arrives()
        case.stays()


def test_materialized_views_over_no_rows(servers: Servers) -> None:
    """What a query ends in for want of rows, of a view that is filled later, or of time, tells nothing."""
    script = """
        create table t(id int); insert into t values (1);
        create materialized view division as select 1 / count(*) as n from t;
        create materialized view z_base as select sum(id) as total from t;
        create function total() returns bigint stable language plpgsql
            as 'begin return (select total from z_base); end';
        create materialized view slow as select pg_sleep(0.7)::text
    """
    with new_case(servers.source("15"), servers.target("15"), script) as case:
        assert errors(case.examine()) == set()
        case.arrives()
        case.run("create materialized view a_top as select total()")
        assert errors(case.examine()) == set()


def test_in_the_live_database(case: Case) -> None:
    """Where no database can be made, it is done in the live one, and undone, if nobody is in the way."""
    case.run(f"{';'.join(PRIVILEGED)}; create extension hstore; create table h(h hstore)")
    become(case, "LOGIN")
    role = f"{case.name}_role"
    case.target.create_database(case.name, owner=role)
    execute(
        case.target, case.name, f"set role {role}; create table live(id int primary key); insert into live values (1)"
    )
    before = oracle.picture(case.target, case.name)
    assert errors(case.examine()) == set(PRIVILEGED.values())
    assert oracle.picture(case.target, case.name) == before
    (finding,) = [f for f in look(case, check_mode=True) if f.code == "not-rehearsed"]
    assert "not in check mode" in finding.message
    with contextlib.closing(case.target.connect(case.name)) as client:
        client.autocommit = False
        client.execute("select from live")
        (finding,) = [f for f in case.examine() if f.code == "not-rehearsed"]
        assert finding.severity == "warning"
        assert f"session {client.info.backend_pid} of " in finding.message
    assert oracle.picture(case.target, case.name) == before
    execute(case.target, case.name, "drop table live; create extension pageinspect")
    # What is there and stays need not be made.
    staying = PRIVILEGED["create extension pageinspect"]
    assert errors(case.examine()) == set(PRIVILEGED.values()) - {staying}


def look(case: Case, *, check_mode: bool) -> list[Finding]:
    """Return what preflight finds, in check mode or not."""
    migration = migration_of(case)
    found = examine(Request(migration.source, migration.target))
    assert found.tools
    judge = Judge(migration.target, False, found.tools, 2)
    look_ahead(found, judge, lambda: contextlib.nullcontext(migration.source), check_mode=check_mode)
    return found.findings


def test_extension_that_stays_in_place(case: Case) -> None:
    """A scratch database cannot have it: what needs it is not refused, but told to be unforeseen."""
    install = "create extension pageinspect"
    case.run(
        f"{install}; create view v as select * from page_header(get_raw_page('t', 0));"
        "create publication p for all tables"
    )
    become(case, "LOGIN CREATEDB")
    role = f"{case.name}_role"
    case.target.create_database(case.name, owner=role)
    execute(case.target, case.name, install)
    findings = migration_of(case, "in_place").preflight().findings
    assert errors(findings) == {("superuser-object", "publication p")}
    (warning,) = [finding for finding in findings if finding.code == "not-rehearsed"]
    assert "extension pageinspect cannot be created in a scratch database" in warning.message


def test_an_archive_is_rehearsed_too(case: Case, tmp_path: Path) -> None:
    case.run("create publication p for all tables")
    migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
    migration.preflight()
    migration.dump()
    become(case, "LOGIN CREATEDB")
    target = endpoint("target", case.target, case.name, case.target_user)
    found = examine(Request(None, target, "restore"), read_archive(migration.archive).manifest)
    assert found.tools
    judge = Judge(target, False, found.tools, 2)
    look_ahead(found, judge, lambda: contextlib.nullcontext(migration.source), read_archive(migration.archive))
    assert errors(found.findings) == {("superuser-object", "publication p")}


def test_a_verdict_needs_nothing_made(case: Case) -> None:
    """Who only compares is not refused for what a restore would need."""
    case.run(";".join(PRIVILEGED))
    case.arrives()
    become(case, "LOGIN CREATEDB")
    migration = migration_of(case)
    found = examine(Request(migration.source, migration.target, "verify"))
    # It may not read the tables of somebody else.
    assert {code for code, _ in errors(found.findings)} <= {"not-readable"}


@pytest.mark.parametrize("load_mode", ["auto", "in_place"])
def test_nothing_is_left(case: Case, load_mode: str) -> None:
    """Neither by one that is killed before, nor by several at once."""
    case.target.create_database(case.name)
    case.target.create_database(f"{case.name}__pgconvoy_scratch")
    before = oracle.databases(case.target)
    before.pop(f"{case.name}__pgconvoy_scratch")
    case.run("create view v as select 1 as one")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = [pool.submit(migration_of(case, load_mode).preflight) for _ in range(3)]
        assert all(errors(one.result().findings) == set() for one in running)
    assert oracle.databases(case.target) == before


def test_an_interruption_drops_it(case: Case) -> None:
    before = oracle.databases(case.target)
    with pytest.raises(KeyboardInterrupt):
        be_interrupted(case)
    assert oracle.databases(case.target) == before


def be_interrupted(case: Case) -> None:
    """Leave in the middle, with two sessions in the scratch database."""
    target, locale = endpoint("target", case.target, case.name), Locale("UTF8", "libc", "C", "C", None, None)
    with open_scratch(target, locale, has_public=False) as (scratch, session), connect(scratch) as another:
        another.execute("CREATE SCHEMA s")
        session.execute("CREATE TABLE s.t(id int)")
        raise KeyboardInterrupt


def test_no_scratch_database_is_one_finding(case: Case) -> None:
    """The staging database could not be made, either."""
    execute(case.target, "postgres", "update pg_database set datallowconn = true where datname = 'template0'")
    try:
        with contextlib.closing(case.target.connect("template0")):
            told = [finding for finding in case.examine() if finding.severity == "error"]
    finally:
        execute(case.target, "postgres", "update pg_database set datallowconn = false where datname = 'template0'")
    assert errors(told) == {("cannot-create", f'database "{case.name}__pgconvoy_scratch"')}
    assert 'source database "template0" is being accessed by other users' in told[0].message


@pytest.mark.parametrize("ended", ["pg_backend_pid()", "pid"])
def test_a_lost_connection_is_told_as_such(case: Case, ended: str) -> None:
    """Nothing that is made is to blame: the session ends, alone or with all the others of the run."""
    case.run(f"""CREATE MATERIALIZED VIEW lost AS SELECT pg_terminate_backend({ended}) FROM pg_stat_activity
        WHERE application_name = 'pgconvoy' AND current_database() LIKE '%scratch'
        ORDER BY pid = pg_backend_pid()""")
    told = [finding for finding in case.examine() if finding.severity == "error"]
    assert errors(told) == {("no-connection", "target")}
    assert "terminating connection" in told[0].message
    assert "materialized view public.lost" in told[0].message.lower()


def test_statements_grow_with_the_schema_by_batches(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of objects go with one message."""
    execute_ = psycopg.Connection.execute
    sent: list[object] = []

    def counted(self: psycopg.Connection[t.Any], query: t.Any, *args: t.Any, **options: t.Any) -> t.Any:
        sent.append(query)
        return execute_(self, query, *args, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    numbers = []
    for first in (0, 300):
        case.run("".join(f"create table t{n}(id int primary key);" for n in range(first, first + 300)))
        sent.clear()
        assert errors(case.examine()) == set()
        numbers.append(len(sent))
    assert numbers[1] - numbers[0] < 12, numbers


def test_orphans_that_cannot_stay(case: Case) -> None:
    """An allowed orphan's key is added without a look at the rows, which a server may not do for partitioned tables."""
    case.run("""
        create table c(id int, p int constraint k references t) partition by range (id);
        create table c1 partition of c for values from (0) to (100);
        set session_replication_role = replica; insert into c values (1, 99)
    """)
    key = "fk constraint public.c k"
    migration = dataclasses.replace(migration_of(case), allowed={key: "long gone"})
    (finding,) = [finding for finding in migration.preflight().findings if finding.severity == "error"]
    assert (finding.code, finding.object) == ("key-partitioned", key)
    assert "NOT VALID" in finding.message


def test_words_are_asked_once(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the rehearsal before a run has told of definitions is told of the same ones alone."""
    schema = "create table t(id int primary key, kind varchar(9) check (kind in ('a', 'b')))"
    with new_case(servers.source("15"), servers.target("15"), schema) as case:
        migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
        migration.preflight()
        before = migration.words
        assert before
        execute(case.source, case.name, "alter table t add check (kind in ('c', 'd'))")
        migration.dump()
        migration.restore_schema()
        migration.restore_data()
        assert migration.verify().equal
        migration.preflight()
        assert migration.words
        assert migration.words.of != before.of
        monkeypatch.setattr(schema_judge, "rehearse_beside", None)
        assert migration.verify().equal


def test_locale_in_the_words_of_the_server(servers: Servers, tmp_path: Path) -> None:
    """A server may spell a locale otherwise than the source does, and mean the same: so does 16 those of ICU."""
    options = {"locale_provider": "builtin", "builtin_locale": "C.UTF-8", "locale": "C", "encoding": "UTF8"}
    with new_case(servers.source("18"), servers.target("18"), "create table t(id int primary key)", **options) as case:
        case.arrives()
        migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
        migration.preflight()
        migration.dump()
        manifest = migration.archive / "manifest.json"
        assert '"locale": "C.UTF-8"' in manifest.read_text()
        manifest.write_text(manifest.read_text().replace('"locale": "C.UTF-8"', '"locale": "C.UTF8"'))
        assert migration.tools
        judge = Judge(migration.target, False, migration.tools, 1)
        assert judge.judge_by_archive(read_archive(migration.archive)).equal
        found = examine(
            Request(None, migration.target, "restore", load_mode="in_place"), read_archive(migration.archive).manifest
        )
        assert errors(found.findings) == set()
        manifest.write_text(manifest.read_text().replace('"locale": "C.UTF8"', '"locale": "C"'))
        assert not judge.judge_by_archive(read_archive(migration.archive)).equal
