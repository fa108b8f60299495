# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traps in which migrations lose or change data: each database arrives equal by the oracle, or is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive import writer
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.schema import dump_schema
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.queries import Query, ask
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import examine
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request
from ansible_collections.pgconvoy.migrate.plugins.module_utils.privileges.wanted import GrantsOf, Policy
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging import row_security

from tests import oracle
from tests.case import Case, execute, new_case
from tests.migration import endpoint, migrate
from tests.servers import Servers

MakeCase = t.Callable[..., Case]


@pytest.fixture
def make(servers: Servers) -> t.Iterator[MakeCase]:
    """Give a maker of cases from the newest PostgreSQL to itself."""
    with contextlib.ExitStack() as stack:
        yield lambda script="", **options: stack.enter_context(
            new_case(servers.source(), servers.target(), script, **options)
        )


# Names of tests are those of traps.md where it has one.


def test_circ(make: MakeCase) -> None:
    """Foreign keys in a circle: the incident's shape."""
    case = make("""
        create table dept(id int primary key, name text, head_id int);
        create table emp(id int primary key, name text, dept_id int not null references dept,
            boss_id int references emp);
        alter table dept add constraint dept_head_fk foreign key (head_id) references emp;
        alter table dept disable trigger all;
        insert into dept select g, 'd'||g, g*10 from generate_series(1,100) g;
        alter table dept enable trigger all;
        insert into emp select g, 'e'||g, 1+(g%100), case when g>1 then g-1 end from generate_series(1,2000) g;
        create table orders(id bigint generated always as identity primary key, emp_id int not null references emp,
            amt numeric);
        insert into orders(emp_id,amt) select 1+(g%2000), g from generate_series(1,5000) g;
    """)
    outcome = case.arrives()
    assert sum(outcome.received.values()) == 7100
    assert case.ask("select bool_and(convalidated) from pg_constraint where contype = 'f'")


def test_sq(make: MakeCase) -> None:
    """Sequences go on where they stood, not behind the greatest value in use."""
    case = make("""
        create table t(id serial primary key); insert into t select from generate_series(1,10);
            delete from t where id > 3;
        select setval('t_id_seq', 5000);
        create sequence never start 1000; create sequence once; select nextval('once');
        create sequence parked; select setval('parked', 77, false);
        create sequence down as smallint increment -3 minvalue -100 maxvalue 50 start 50 cycle; select nextval('down');
        create sequence "Odd ""one"" x"; select setval('"Odd ""one"" x"', 9007199254740993);
        create table a(id bigint generated always as identity (start 100 increment 10));
            insert into a select from generate_series(1,3);
        insert into a overriding system value values (-5);
    """)
    case.arrives()
    assert case.ask("select nextval('t_id_seq')") == 5001
    assert case.ask("select nextval('never')") == 1000
    assert case.ask("select nextval('parked')") == 77
    assert case.ask("select nextval('down')") == 47
    assert case.ask("insert into a default values returning id") == 130


def test_nv(make: MakeCase) -> None:
    """Constraints that were added NOT VALID over rows that break them stay so."""
    case = make("""
        create table p(id int primary key); create table c(id int, pid int); insert into c values (1,99);
        alter table c add constraint fk foreign key (pid) references p not valid;
        alter table c add constraint ck check (id>5) not valid;
        create domain d as int; create table u(v d); insert into u values (-1);
        alter domain d add constraint positive check (value > 0) not valid;
    """)
    case.arrives()
    query = "select string_agg(conname, ' ' order by conname) from pg_constraint where not convalidated"
    assert case.equal_answers(query) == "ck fk positive"


def test_en(make: MakeCase) -> None:
    """Partitioned by the hash of an enum, which is its OID, which differs on the target."""
    case = make("""
        create type junk as enum('q'); create type col as enum('red','green','blue','black','white','pink');
        create table ev(c col, n int) partition by hash(c);
        create table ev0 partition of ev for values with (modulus 3, remainder 0);
        create table ev1 partition of ev for values with (modulus 3, remainder 1);
        create table ev2 partition of ev for values with (modulus 3, remainder 2);
        insert into ev select (enum_range(null::col))[1+g%6], g from generate_series(1,600) g;
    """)
    case.merge = ("public.ev0", "public.ev1", "public.ev2")
    case.arrives()
    oids = "select array_agg(oid order by enumlabel) from pg_enum"
    assert case.ask(oids) != case.ask(oids, side="source"), "the test proves nothing"
    # Each row lies where the target's own hash leads: a query by value finds it.
    assert case.ask("select count(*) from ev where c = 'red'") == 100


SP = """
    create extension unaccent;
    create function slug(t text) returns text language plpgsql immutable as $$begin return lower(unaccent(t)); end$$;
    create table a(id int primary key, name text, s text generated always as (slug(name)) stored);
    insert into a(id,name) select g,'Émile'||g from generate_series(1,200) g;
    create materialized view mv as select id, slug(name) s2 from a; create index slugs on a(slug(name));
    create function chk(t text) returns boolean language sql as $$ select length(unaccent(t))>0 $$;
    create domain dom as text check (chk(value)); create table b(id int, v dom);
    insert into b select g,'x' from generate_series(1,50) g;
"""


def test_sp(servers: Servers) -> None:
    """Functions that rely on the search_path, in generated columns, domains, indexes and materialized views."""
    with new_case(servers.source("15"), servers.target("15"), SP) as case:
        outcome = case.arrives()
        assert outcome.received == {("public", "a"): 200, ("public", "b"): 50}
        assert case.ask("select count(*) from mv where s2 = 'emile7'") == 1


def test_sp_on_a_server_with_a_safe_search_path(servers: Servers) -> None:
    """From 17 on no server can build such an index over rows, or refresh such a view: that is said beforehand."""
    with new_case(servers.source("15"), servers.target(), SP) as case:
        case.target.create_database(case.name)
        execute(case.target, case.name, "create table live(id int); insert into live values (1)")
        before = oracle.databases(case.target)
        outcome = case.migrate()
        refused = {("expression", "index public.slugs"), ("expression", "materialized view public.mv")}
        assert outcome.refusals == refused
        assert "function unaccent(text) does not exist" in str(outcome)
        assert oracle.databases(case.target) == before
        assert case.ask("select count(*) from live") == 1


def test_mvx(make: MakeCase) -> None:
    """Materialized views that read each other, and large objects of every size, with holes and comments."""
    case = make("""
        create table t(id int primary key); insert into t select generate_series(1,100);
        create materialized view z1 as select id from t where id > 10;
        create view y as select * from z1;
        create materialized view a2 as select count(*) n from y;
        create materialized view m3 as select n, id from a2, z1;
        create unique index on z1(id);
        select lo_from_bytea(70001, decode(repeat('00ff5c0a', 700000), 'hex')), lo_from_bytea(70002, ''),
            lo_create(70003);
        select lo_put(70003, 3000000, 'behind a hole'), lo_from_bytea(70004, decode(repeat('41', 1048576), 'hex'));
        comment on large object 70001 is 'it''s';
    """)
    case.arrives()
    query = "select array_agg((oid, length(lo_get(oid)))::text order by oid) from pg_largeobject_metadata"
    assert case.equal_answers(query) == ["(70001,2800000)", "(70002,0)", "(70003,3000013)", "(70004,1048576)"]
    assert case.ask("select count(*) from m3 where n = 90") == 90


def test_settings_of_roles(make: MakeCase) -> None:
    """What a role sets for its sessions changes no value and cuts off no statement: ds, ivd, tzd, timeouts."""
    case = make("""
        create table inv(id int primary key, d date); insert into inv values (1,'2020-04-03'),(2,'2021-12-11');
        create table q(id int primary key, i interval);
            insert into q values (1,'-1 day -02:03:04'),(2,'1 year -2 mons');
        create table e(id int primary key, at timestamptz); insert into e select g, now() from generate_series(1,10) g;
        create table f(r real, d double precision, b bytea, m money, x text);
        insert into f select 1.0/g, 1.0::float8/g, '\\x00ff', 1234.56, E'a\\\\b' from generate_series(3,30) g;
        create index on inv(d); create materialized view slow as select d from inv, pg_sleep(0.35)
            where d < '2021-01-01';
    """)
    case.make_roles("LOGIN SUPERUSER")
    for server, date_style in ((case.source, "SQL, DMY"), (case.target, "SQL, MDY")):
        for setting, value in (
            ("datestyle", date_style),
            ("intervalstyle", "sql_standard"),
            ("timezone", "Asia/Tokyo"),
            ("extra_float_digits", "-5"),
            ("bytea_output", "escape"),
            ("statement_timeout", "300ms"),
            ("lock_timeout", "300ms"),
            ("transaction_timeout", "300ms"),
            ("idle_in_transaction_session_timeout", "300ms"),
            ("client_encoding", "LATIN1"),
            ("search_path", "pg_temp"),
            ("default_transaction_read_only", "on"),
            ("row_security", "off"),
            ("standard_conforming_strings", "off"),
            ("quote_all_identifiers", "on"),
            ("default_tablespace", ""),
        ):
            execute(server, "postgres", f"alter role \"{case.name}_role\" set {setting} to '{value}'")
    case.arrives()


def test_rules(make: MakeCase) -> None:
    """INSERT fires rules, COPY does not: nothing is swallowed and nothing doubled."""
    case = make("""
        create table t(id int primary key); insert into t values (1),(2);
        create rule swallow as on insert to t do instead nothing;
        create table u(id int); create table copies(id int); insert into u values (1);
        create rule double as on insert to u do also insert into copies values (new.id);
    """)
    assert case.arrives().received == {("public", "t"): 2, ("public", "u"): 1}


def test_triggers(make: MakeCase) -> None:
    """No trigger of the user's sees the rows that are copied, not even one that is always enabled."""
    case = make("""
        create table t(id int primary key, v text, at timestamptz); insert into t values (1, 'Original',
            '2001-01-01 00:00:00+00');
        create table log(what text);
        create function spoil() returns trigger language plpgsql as $$ begin
            new.v := upper(new.v); new.at := now(); insert into log values ('fired'); return new; end $$;
        create trigger spoil before insert or update on t for each row execute function spoil();
        create table u(id int); insert into u values (1);
        create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
        create trigger refuse before insert on u for each statement execute function refuse();
        alter table u enable always trigger refuse;
        create function log_ddl()
            returns event_trigger language plpgsql as $$ begin insert into public.log values (tg_tag); end $$;
        create materialized view seen as select v from t;
        create event trigger log_ddl on ddl_command_end execute function log_ddl();
        create function forbid() returns event_trigger language plpgsql as $$ begin raise 'frozen'; end $$;
        create event trigger forbid on ddl_command_start execute function forbid();
    """)
    case.arrives()
    assert case.ask("select v from t") == "Original"
    execute(case.source, case.name, "alter event trigger forbid disable")


def test_rls(make: MakeCase) -> None:
    """A role that row security blinds is refused; nothing has changed then."""
    case = make("""
        create table t(id int primary key, tenant text); insert into t select g, 'a' from generate_series(1,100) g;
        alter table t enable row level security; create policy p1 on t using (tenant = current_setting('app.tenant',
            true));
    """)
    case.make_roles()
    case.run(f'grant select on t to "{case.name}_role"')
    before = oracle.databases(case.target)
    outcome = case.migrate()
    assert outcome.refusals == {("row-security", "table public.t")}
    assert oracle.databases(case.target) == before
    # Its owner sees all, unless row security is forced upon owners too.
    case.run(f'alter table t owner to "{case.name}_role"')
    case.arrives()
    case.run("alter table t force row level security")
    assert case.migrate().refusals == {("row-security", "table public.t")}


def test_inheritance(make: MakeCase) -> None:
    """Each table of an inheritance tree keeps its own rows, whatever the order of its columns."""
    case = make("""
        create table city(name text primary key, pop bigint check (pop >= 0));
        create table capital(state char(2) not null) inherits (city);
        insert into city values ('Springfield', 1), ('Olten', 2); insert into capital values ('Bern', 3, 'BE');
        create table late(extra text, pop bigint, name text not null, check (pop >= 0));
        alter table late add constraint city_pop_check check (pop >= 0); alter table late inherit city;
        insert into late values ('x', 5, 'Late');
        create table grown(id int); create table child() inherits (grown); alter table grown add more text default 'm';
        insert into child values (1, 'y');
    """)
    assert case.arrives().received[("public", "city")] == 2


def test_stale_materialized_view(make: MakeCase) -> None:
    """A copy is made by a refresh: it holds what the source's would after one, and that is no difference."""
    case = make("""
        create table t(a int); insert into t values (1),(2);
        create materialized view stale as select a from t; insert into t values (3);
        create materialized view over_it as select count(*) from stale;
    """)
    outcome = case.migrate()
    assert outcome.status == "migrated", outcome
    wanted = oracle.expected(case.source, case.name, case.target)
    found = oracle.differences(wanted, oracle.picture(case.target, case.name))
    assert {line.split()[1] for line in found if "rows=" in line} == {"public.stale", "public.over_it"}
    case.run("refresh materialized view stale; refresh materialized view over_it")
    oracle.assert_equal(case.source, case.name, case.target, case.name)


def test_materialized_view_without_data(make: MakeCase) -> None:
    case = make("""
        create table t(a int); insert into t values (1);
        create materialized view empty as select a from t with no data; create unique index on empty(a);
        create materialized view filled as select a from t;
    """)
    case.arrives()
    assert (
        case.equal_answers("select string_agg(relname, ' ') from pg_class where relkind = 'm' and relispopulated")
        == "filled"
    )


def test_odd_tables(make: MakeCase) -> None:
    """Unlogged, without columns, generated, identities, dropped columns, definitions that a round trip rewords."""
    case = make("""
        create unlogged table cache(k int primary key); insert into cache select generate_series(1,50);
        create table nothing(); insert into nothing default values; insert into nothing default values;
        create table only_generated(g int generated always as (1+1) stored); insert into only_generated default values;
        create table g(a int, twice int generated always as (a*2) stored, thrice int generated always as (a*3), b text);
        insert into g(a,b) values (1,'x'),(null,'y');
        create table i(always int generated always as identity, by_default int generated by default as identity,
            v text);
        insert into i(v) values ('a'),('b'); insert into i(always, v) overriding system value values (-7, 'c');
        create table dropped(a int, gone text, b text); insert into dropped values (1,'x','one');
            alter table dropped drop gone;
        alter table dropped add fast timestamptz not null default '2020-01-01 00:00:00+00';
        create table checked(v varchar(3) check (v in ('a','b')), w varchar not null check (w = any (array['x','y'])));
        insert into checked values ('a','x');
        create view v as select * from checked where v in ('a','b');
        create table self(id int primary key, parent int not null references self); insert into self values (1,2),(2,1);
    """)
    outcome = case.arrives()
    assert outcome.received[("public", "nothing")] == 2
    assert outcome.received[("public", "only_generated")] == 1


def test_virtual_column_that_fails(make: MakeCase) -> None:
    """Nothing of a virtual column is stored: its definition arrives, and no row is asked for what it yields."""
    case = make("""
        create table t(id int primary key, a int, twice int generated always as (a * 2) virtual);
        insert into t(id, a) values (1, 1), (2, 2000000000);
    """)
    outcome = case.migrate()
    assert outcome.status == "migrated", outcome
    assert case.equal_answers("select sum(a) from t") == 2000000001
    assert case.equal_answers("select twice from t where id = 1") == 2
    case.stays()


def test_functions_that_read_what_is_loaded_later(make: MakeCase) -> None:
    """Rows that functions behind checks, columns, domains and indexes read come before those that call for them."""
    case = make("""
        create table z_code(id int primary key, code text) partition by range (id);
        create table z_codes partition of z_code default;
        insert into z_code select g, 'c' || g from generate_series(1, 50) g;
        create function code(i int) returns text language plpgsql immutable as
            $$ begin return (select code from public.z_code where id = i); end $$;
        create table middle(id int primary key check (code(id) <> ''), code text generated always as (code(id)) stored);
        insert into middle select generate_series(1, 50);
        create function known(i int) returns bool language sql stable as
            'select exists (select from public.middle where id = i and code is not null)';
        create domain known_id as int check (known(value)); create table a_first(id known_id);
        insert into a_first select generate_series(1, 50); create index on a_first((code(id)));
        create table this(id int); create table that(id int); insert into this values (1); insert into that values (1);
        create function these() returns bool language sql stable as 'select count(*) >= 0 from public.this';
        create function those() returns bool language sql stable as 'select count(*) >= 0 from public.that';
        alter table this add check (those()); alter table that add check (these());
    """)
    case.arrives()
    case.stays()


def test_settings_that_functions_ask_for(make: MakeCase) -> None:
    """Those of the source's database are in force while rows are loaded and views refreshed, not only afterwards."""
    case = make("create table t(id int primary key, d text); insert into t values (1, 'die Häuser laufen')")
    execute(
        case.source,
        "postgres",
        f"alter database {case.name} set app.factor = '7'; alter database {case.name} set work_mem = '5MB';"
        f" alter database {case.name} set default_text_search_config = 'pg_catalog.german'",
    )
    case.run("""
        create function times(i int) returns int language sql stable as
            $$ select i * current_setting('app.factor')::int $$;
        create table c(i int check (times(i) > 0)); insert into c values (3);
        create materialized view m as select to_tsvector(d), times(id) from t
    """)
    case.arrives()
    case.stays()


def test_foreign_partitions(make: MakeCase) -> None:
    """Their server is asked for nothing, statistics neither: nobody listens there."""
    case = make("""
        create extension postgres_fdw;
        create server far foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1');
        create user mapping for public server far;
        create table p(id int) partition by range (id); create table near partition of p for values from (0) to (9);
        create foreign table away partition of p for values from (9) to (99) server far; insert into p values (1);
        create table parent(id int); create table child() inherits (parent); insert into parent values (1);
        create foreign table heir() inherits (child) server far; insert into child values (2);
    """)
    outcome = case.migrate()
    assert outcome.status == "migrated", outcome
    assert case.equal_answers("select count(*) from only child") == 1
    case.stays()


STRINGS = r"""
    create table s(id int generated always as identity, v text);
    insert into s(v) values (null), (''), ('\N'), ('\.'), (E'a\n\\.\nb'), (E'\t'), (E'\r\n'), (E'\\'), ('\101'),
        ('\! touch x'),
        (':HOME'), ('%s'), (E'\x01\x7f'), (E'end\\');
"""


def test_strings(make: MakeCase) -> None:
    """Text that looks like COPY's own marks."""
    make(STRINGS).arrives()


@pytest.mark.parametrize(("encoding", "word"), [("LATIN1", "naïve"), ("EUC_JP", "長い"), ("WIN1251", "слово")])
def test_encodings(make: MakeCase, encoding: str, word: str) -> None:
    """Values, names, comments and function bodies that are not ASCII, in databases that are not UTF-8."""
    case = make(
        f"""
        create schema "{word}";
        create table "{word}"."t {word}"(id int primary key, "{word}" text default '{word}');
        insert into "{word}"."t {word}" values (1, '{word}'), (2, default), (3, null);
        create table plain(id serial, v text); insert into plain(v) select '{word}' || g from generate_series(1,100) g;
        create function f() returns text language sql as $$ select '{word}'::text $$;
        create materialized view "m {word}" as select * from plain where v <> '{word}1';
        create index "i {word}" on plain(v) where v <> '{word}';
        create type "e {word}" as enum ('{word}');
        comment on table plain is 'it is {word}'; select lo_create(4711); comment on large object 4711 is '{word}';
        """,
        encoding=encoding,
        locale="C",
    )
    case.arrives()
    assert case.equal_answers("show server_encoding") == encoding
    case.equal_answers("select md5(string_agg(v, '' order by id)) from plain")


def test_words_about_databases_of_other_encodings(make: MakeCase) -> None:
    """Comments and settings are kept in the encoding of whoever says them; the server's other databases are UTF-8."""
    case = make("create table t(id int); insert into t values (1)", encoding="LATIN1", locale="C")
    case.target.create_database(case.name, template="template0", encoding="LATIN1", locale="C")
    words = "comment on database {0} is 'naïve {1}'; alter database {0} set my.word = 'ÿ{1}'"
    execute(case.target, case.name, words.format(case.name, "live"))
    execute(case.target, case.name, f"alter database {case.name} set my.own = 'ö'")
    execute(case.target, case.name, f"""alter database {case.name} set "größe.é" = 'ü'""")
    case.run(f"""alter database {case.name} set "maß.é" = 'ß'""")
    # The oracle reads such words from outside, and cannot.
    assert case.migrate().status == "migrated"
    query = (
        "select current_setting('my.word') || shobj_description(oid, 'pg_database') from pg_database where datname ="
    )
    assert case.ask(f"{query} current_database()") == "ÿlivenaïve live"
    assert case.ask("select current_setting('my.own')") == "ö"
    named = """
        select string_agg(entry, ' ' order by entry) from pg_db_role_setting, unnest(setconfig) entry
        where setdatabase = (select oid from pg_database where datname = current_database()) and entry ~ '^[gm][^y]'
    """
    assert case.ask(named) == "größe.é=ü maß.é=ß"
    assert case.migrate().status == "unchanged"
    case.run(words.format(case.name, "source"))
    assert case.migrate().status == "migrated"
    assert case.equal_answers(f"{query} current_database()") == "ÿsourcenaïve source"
    assert case.migrate().status == "unchanged"


def test_sql_ascii(make: MakeCase) -> None:
    """A database that does not know its encoding: bytes that are no UTF-8, in values and in names."""
    case = make(encoding="SQL_ASCII", locale="C")
    with case.source.connect(case.name) as connection:
        # Text of a client in LATIN1 enters as it is.
        connection.execute("set client_encoding = 'LATIN1'")
        connection.execute(
            "create table t(id int primary key, v text default 'naïve');"
            " insert into t(id) values (1); insert into t values (2, 'ÿ')"
        )
        connection.execute("set client_encoding = 'UTF8'")
        connection.execute("create table u(\"naïve\" text); insert into u values ('naïve')")
    case.arrives()
    assert case.equal_answers("select string_agg(encode(v::bytea, 'hex'), ' ' order by id) from t") == b"6e61ef7665 ff"
    with exported_snapshot(endpoint("source", case.source, case.name)) as snapshot:
        asked = Query("q", r"select v || '\xff' from t order by id", "same")
        assert ask(snapshot, [asked], "public") == {"q": "na\\xefve\\\\xff\n\\xff\\\\xff"}
    with case.source.connect(case.name) as connection:
        connection.execute("set client_encoding = 'LATIN1'")
        connection.execute("create schema ÿ; create table ÿ.ï(é text); insert into ÿ.ï values ('ö')")
        connection.execute("create function ÿ.f() returns text language sql as $$ select 'ä'::text $$")
        connection.execute("create index on ÿ.ï(é) where é <> 'å'; create materialized view ÿ.m as select * from ÿ.ï")
    assert case.migrate().status == "migrated"
    assert oracle.schema(case.target, case.name) == oracle.expected_schema(case.source, case.name, case.target)


#: Valid as any identifier, and poison to whoever pastes it into a script, a format, a path or a connection string.
HOSTILE = "a \"b\" 'c' \\d\\! touch x\n\\! touch y\n;-- = %s {} ../$(id) :z '%'é"


def test_hostile_names(make: MakeCase) -> None:
    name = HOSTILE.replace('"', '""')
    assert len(HOSTILE.encode()) == 63, "as long as can be"
    case = make(f"""
        create schema "{name}"; create type "{name}"."T{name[1:]}" as enum ('{HOSTILE.replace("'", "''")}');
        create table "{name}"."{name}"("{name}" int primary key, "a.b" text, "%s" text, ":x" text,
            "quo'te" text, e "{name}"."T{name[1:]}");
        insert into "{name}"."{name}" values (1,'x','y','z',null,(enum_range(null::"{name}"."T{name[1:]}"))[1]);
        create table "{name}"."child"(id int constraint "{name}" references "{name}"."{name}");
            insert into "{name}"."child" values (1);
        create index "i {name}" on "{name}"."{name}"("a.b"); create sequence "{name}"."s {name}";
        create view "{name}"."v {name}" as select * from "{name}"."{name}";
        create materialized view "{name}"."m {name}" as select * from "{name}"."{name}";
        create table "\\! touch z"("\\q" int); insert into "\\! touch z" values (7);
        comment on table "\\! touch z" is E'x\\n\\\\! touch c\\n-- TOC entry 1 (class 1259 OID 1)\\n\\\\q\\n';
        create function f() returns text language sql as E'select ''\\n\\\\! touch f\\n''::text';
    """)
    case.arrives()


@pytest.mark.parametrize(
    "name",
    [
        'my "db"',
        "it's = a 'db' %s {}",
        "a\\b\\! touch x",
        "dot.ted/../x",
        "é" * 31 + "x",
        "host=nowhere",
        "Ünï 長い",
        "-d",
        ":x",
    ],
)
def test_database_names(servers: Servers, name: str) -> None:
    """The name of a database is no connection string, no option and no path."""
    with new_case(servers.source(), servers.target(), "select 1") as case:
        case.name = name
        case.source.create_database(name)
        case.run("create table t(id int); insert into t values (1); create materialized view m as select * from t")
        case.arrives()
        case.stays()


def test_long_database_names_do_not_collide(servers: Servers) -> None:
    """Two live databases whose long names differ only at the end have neighbours of their own."""
    source, target = servers.source(), servers.target()
    names = ["n" * 62 + end for end in "12"]
    for name in names:
        for server in (source, target):
            server.create_database(name)
        execute(source, name, f"create table t(v text); insert into t values ('{name[-1]}')")
        execute(target, name, f"create table old(v text); insert into old values ('{name[-1]}')")
    before = oracle.databases(target).keys()
    for name in names:
        outcome = migrate(source, name, target, name)
        assert outcome.status == "migrated", outcome
        assert oracle.scalar(target, name, "select v from t") == name[-1]
    previous = oracle.databases(target).keys() - before
    assert {oracle.scalar(target, name, "select v from old") for name in previous} == {"1", "2"}
    for name in (*names, *previous):
        source.drop_database(name)
        target.drop_database(name)


def test_properties_of_the_source_are_carried(make: MakeCase) -> None:
    """Settings and comment of the database: they belong to it, and stand in the way of no stage."""
    case = make('create schema "My ""odd"" Schema"; create table t(id int); insert into t values (1)')
    for setting in (
        "default_transaction_read_only = on",
        'search_path = "My ""odd"" Schema", public, "$user"',
        "work_mem = '8MB'",
        "app.empty = ''",
        "\"app.odd\" = 'a b, \"c\" it''s \\ %s'",
        "timezone = 'Asia/Kathmandu'",
        "datestyle = 'SQL, DMY'",
        "statement_timeout = '5min'",
        "default_text_search_config = 'pg_catalog.german'",
        "temp_tablespaces = ''",
    ):
        execute(case.source, "postgres", f"alter database {case.name} set {setting}")
    execute(case.source, "postgres", f"comment on database {case.name} is E'it''s \\\\ a\\ncomment: ü'")
    case.arrives()
    assert oracle.databases(case.target)[case.name] == oracle.databases(case.source)[case.name]
    assert case.equal_answers("show search_path") == '"My ""odd"" Schema", public, "$user"'


def test_empty_search_path_is_carried(make: MakeCase) -> None:
    case = make("create table t(id int); insert into t values (1)")
    execute(case.source, "postgres", f"alter database {case.name} set search_path = ''")
    case.arrives()
    assert case.equal_answers("show search_path") == '""'


def test_place_of_the_live_database_is_kept(make: MakeCase) -> None:
    """Owner, grants, limits and roles' settings are the live database's; the old one is kept as it was, and dropped."""
    case = make("create table t(id int); insert into t values (1)")
    case.make_roles()
    case.source_user = None
    target, name, role = case.target, case.name, f"{case.name}_role"
    case.target_user = None
    target.create_database(name, owner=role)
    execute(target, name, "create table old(v text); insert into old values ('old')")
    execute(
        target,
        "postgres",
        f"""create role {role}2; revoke connect on database {name} from public;
            grant create, connect on database {name} to {role}2 with grant option;
            grant temporary on database {name} to pg_monitor; alter database {name} connection limit 7;
            alter database {name} is_template true;
            alter database {name} set app.place = 'here'; alter database {name} set work_mem = '1MB';
            alter role {role} in database {name} set search_path = "A b", public;
                comment on database {name} is 'the live one';
        """,
    )
    execute(case.source, "postgres", f"alter database {name} set work_mem = '2MB'")
    before, old = oracle.databases(target)[name], oracle.picture(target, name)
    case.arrives()
    after = oracle.databases(target)
    assert after[name] == (*before[:-1], [s.replace("1MB", "2MB") for s in before[-1]])
    assert after[f"{name}__pgconvoy_previous"] == before
    assert oracle.picture(target, f"{name}__pgconvoy_previous") == old
    # The next run keeps one previous database, the one that was live until then.
    case.run("insert into t values (2)")
    case.arrives()
    assert oracle.scalar(target, f"{name}__pgconvoy_previous", "select count(*) from t") == 1
    databases = (name, f"{name}__pgconvoy_previous")
    assert [found for found in oracle.databases(target) if found.startswith(name)] == [*databases]
    for dbname in databases:
        execute(target, "postgres", f"alter database {dbname} is_template false")
        target.drop_database(dbname)
    execute(target, "postgres", f"drop role {role}2")


def test_public_dropped_on_the_source(make: MakeCase) -> None:
    case = make("drop schema public; create schema app; create table app.t(id int); insert into app.t values (1)")
    case.arrives()
    assert case.ask("select count(*) from pg_namespace where nspname = 'public'") == 0


@pytest.mark.parametrize("other", ["127.0.0.1", "localhost"])
def test_source_and_target_are_the_same(servers: Servers, other: str) -> None:
    server = servers.source()
    with new_case(server, server, "create table t(id int)") as case:
        outcome = migrate(server, case.name, dataclasses.replace(server, host=other), case.name)
        assert outcome.codes == {"same-database"}, outcome
        # Another database of the same server is another place.
        assert migrate(server, case.name, server, f"{case.name}2").status == "migrated"
        server.drop_database(f"{case.name}2")


def test_what_is_in_templates_and_sessions_stays_out(make: MakeCase) -> None:
    """Neither the target's template1 nor temporary objects of the source's sessions are part of a copy."""
    case = make("create table t(id int); insert into t values (1)")
    execute(case.target, "template1", "create table junk(id int)")
    try:
        with case.source.connect(case.name) as session:
            session.execute("create temp table x(id serial primary key); insert into x default values")
            session.execute("create temp view y as select * from x")
            case.arrives()
    finally:
        execute(case.target, "template1", "drop table junk")


def test_role_named_by_a_value(make: MakeCase) -> None:
    """A value of type regrole names a role: without it COPY would lose the whole table."""
    case = make("create table t(r regrole, rs regrole[])")
    case.make_roles()
    case.source_user = case.target_user = None
    role = f"{case.name}_role"
    case.run(f"insert into t values ('{role}', null), (null, '{{{role}}}'), ('-', '{{-}}')")
    execute(case.target, "postgres", f"drop role {role}")
    assert case.migrate().refusals == {("role-missing", f"role {role}")}
    execute(case.target, "postgres", f"create role {role}")
    case.arrives()


def test_source_that_is_written_to(make: MakeCase) -> None:
    """One instant (P2): whoever writes while the dump is taken is in it wholly or not at all."""
    case = make("""
        create table parent(id int primary key); create table child(id int primary key references parent);
        create table total(n int); insert into total values (0);
    """)
    done, written = threading.Event(), threading.Event()

    def write() -> None:
        with case.source.connect(case.name) as session:
            number = 0
            while not done.is_set():
                number += 1
                session.execute(
                    f"begin; insert into parent values ({number}); insert into child values ({number});"
                    " update total set n = n + 1; commit".encode()
                )
                if number == 50:
                    written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(30)
        outcome = case.migrate()
    finally:
        done.set()
        writer.join()
    assert outcome.status == "migrated", outcome
    query = "select array[(select count(*) from parent), (select count(*) from child), (select n from total)]"
    parents, children, total = case.ask(query)
    assert parents == children == total >= 50
    assert case.ask(query, side="source")[0] > parents, "the test proves nothing"


def test_source_whose_schema_changes(make: MakeCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """One instant (P2): what is created while the dump is taken is no part of it."""
    case = make("create table t(id int); insert into t values (1); create view v as select * from t")

    def change_and_dump(*arguments: t.Any) -> None:
        case.run("create table late(id int); insert into late values (1); create index on t(id)")
        dump_schema(*arguments)

    monkeypatch.setattr(writer, "dump_schema", change_and_dump)
    outcome = case.migrate()
    assert outcome.status == "migrated", outcome.error
    relations = "select string_agg(relname, ' ' order by relname) from pg_class where oid >= 16384 and relkind <> 't'"
    assert case.ask(relations) == "t v"


EXTENSION = """
    create table rates(name text primary key, rate numeric); insert into rates values ('own', 1), ('default', 2);
    select pg_extension_config_dump('rates', 'where name not in (''own'', ''default'')');
    create table options(name text); select pg_extension_config_dump('options', '');
    create sequence numbers; select pg_extension_config_dump('numbers', '');
    create table private(name text); insert into private values ('the extension''s own');
"""


@pytest.fixture
def tiny_extension(servers: Servers) -> t.Iterator[Path]:
    """Offer an extension with configuration tables on both servers; give its folder."""
    # pytest's own folders are closed to the servers' user.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    extension = folder / "extension"
    extension.mkdir()
    (extension / "tiny.control").write_text("default_version = '1.0'\nrelocatable = false\n")
    (extension / "tiny--1.0.sql").write_text(EXTENSION)
    both = (servers.source(), servers.target())
    for server in both:
        execute(server, "postgres", f"alter role postgres set extension_control_path = '$system:{folder}'")
    yield folder
    for server in both:
        execute(server, "postgres", "alter role postgres reset extension_control_path")
    shutil.rmtree(folder)


def test_configuration_of_extensions(make: MakeCase, tiny_extension: Path) -> None:
    """Rows of an extension's configuration tables are the user's, but for those that the extension itself brings."""
    case = make("""
        create schema ext; create extension tiny schema ext; create table t(id int); insert into t values (1);
        insert into ext.rates values ('mine', 3), ('mine too', 4); insert into ext.options values ('a'), ('b');
        select setval('ext.numbers', 42);
    """)
    outcome = case.arrives()
    assert outcome.received == {("public", "t"): 1, ("ext", "rates"): 2, ("ext", "options"): 2}
    assert case.equal_answers("select string_agg(name || rate, ' ' order by rate) from ext.rates") == (
        "own1 default2 mine3 mine too4"
    )
    assert case.equal_answers("select string_agg(name, ' ' order by name) from ext.options") == "a b"
    assert case.equal_answers("select nextval('ext.numbers')") == 43


@pytest.mark.parametrize(
    "change",
    [
        "delete from ext.private",
        "insert into ext.private values ('mine')",
        "update ext.private set name = 'mine'",
        "update ext.rates set rate = 7 where name = 'own'",
    ],
)
def test_own_rows_of_extensions(make: MakeCase, tiny_extension: Path, change: str) -> None:
    """What the extension brings is not copied: where the user has changed it, that is told, and nothing is live."""
    case = make("create schema ext; create extension tiny schema ext; create table t(id int)")
    case.run(change)
    before = oracle.databases(case.target)
    outcome = case.migrate()
    assert outcome.status in ("refused", "failed"), outcome
    assert f"table {'ext.rates' if 'rates' in change else 'ext.private'}: " in str(outcome)
    assert oracle.databases(case.target) == before


@pytest.mark.parametrize("grants", ["live", "source"])
def test_who_owns_a_member_of_an_extension(make: MakeCase, tiny_extension: Path, grants: GrantsOf) -> None:
    """Its owner is the extension's again. Nobody was granted anything, and who owned it still can what it could."""
    case = make("create schema ext; create extension tiny schema ext; create table t(id int)")
    case.make_roles("nologin")
    case.source_user = case.target_user = None
    case.policy = Policy(grants)
    role = f"{case.name}_role"
    owned = f"alter table ext.private owner to {role}"
    if grants == "live":
        case.target.create_database(case.name, template="template0")
        execute(case.target, case.name, f"create schema ext; create extension tiny schema ext; {owned}")
    else:
        case.run(owned)
        execute(case.target, "postgres", f"drop role {role}")
        assert case.migrate().refusals == {("role-missing", f"role {role}")}
        execute(case.target, "postgres", f"create role {role}")
    assert case.migrate().status == "migrated"
    can = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"
    for privilege in can.split(", "):
        assert case.ask(f"select has_table_privilege('{role}', 'ext.private', '{privilege}')"), privilege
    case.stays()


def test_extension_that_the_target_does_not_offer(make: MakeCase, tiny_extension: Path) -> None:
    case = make("create extension tiny; create table t(id int)")
    execute(case.target, "postgres", "alter role postgres reset extension_control_path")
    assert case.migrate().refusals == {("extension-missing", "extension tiny")}


def test_extension_that_vanishes(make: MakeCase, tiny_extension: Path) -> None:
    """One that the server offers and cannot make: the rehearsal names it, and leaves live alone."""
    case = make("create extension tiny; create table t(id int)")
    (tiny_extension / "extension" / "tiny--1.0.sql").write_text("this is no sql")
    before = oracle.databases(case.target)
    outcome = case.migrate()
    assert outcome.refusals == {("cannot-create", "extension tiny")}
    assert "syntax error" in str(outcome)
    assert oracle.databases(case.target) == before


FORCED = """
    create table tenant(id int primary key, name text);
    create table item(id int primary key, tenant int not null references tenant, note text);
    insert into tenant select g, 't'||g from generate_series(1,5) g;
    insert into item select g, 1+g%5, 'n'||g from generate_series(1,50) g;
    create materialized view notes as select tenant, count(*) from item group by tenant;
    alter table item enable row level security; alter table item force row level security;
    alter table tenant enable row level security; alter table tenant force row level security;
    create policy own on item using (tenant = current_setting('app.tenant', true)::int);
    create policy own on tenant for select using (id = current_setting('app.tenant', true)::int);
"""


@pytest.mark.parametrize("in_place", [False, True])
def test_row_security_that_is_forced_upon_the_owner(
    make: MakeCase, monkeypatch: pytest.MonkeyPatch, in_place: bool
) -> None:
    """A plain role fills, refreshes and judges such tables; they force it again when all is done."""
    case = make(FORCED)
    case.make_roles("LOGIN" if in_place else "LOGIN CREATEDB")
    case.source_user = None
    if in_place:
        case.target.create_database(case.name, template="template0", owner=f"{case.name}_role")
    case.arrives()
    query = "select string_agg(relname, ' ' order by 1) from pg_class where relforcerowsecurity and relrowsecurity"
    assert case.equal_answers(query) == "item tenant"
    case.stays()
    # Of much, clients would have to wait too long for that.
    monkeypatch.setattr(row_security, "_MOST_BYTES", 0)
    outcome = case.migrate()
    assert outcome.codes == {"target-not-readable"} if in_place else outcome.status == "migrated", outcome
    monkeypatch.undo()
    # In place, all of it would have to be backed up first.
    case.run("insert into item select max(id) + 1, 1, 'more' from item; refresh materialized view notes")
    if in_place:
        assert "target-not-readable" in case.migrate().codes
    else:
        case.arrives()


def test_row_security_that_is_forced_where_only_what_differs_is_brought(make: MakeCase) -> None:
    """That it cannot be done is told in words about that, and not about a backup of all."""
    case = make(FORCED)
    case.make_roles("LOGIN")
    case.target.create_database(case.name, template="template0", owner=f"{case.name}_role")
    execute(case.target, case.name, f"SET ROLE {case.name}_role; {FORCED}")
    source = endpoint("source", case.source, case.name)
    target = endpoint("target", case.target, case.name, case.target_user)
    (told,) = examine(Request(source, target, load_mode="sync")).unless_equal
    assert (told.severity, told.code, told.object) == ("error", "target-not-readable", "table public.item")
    assert "which rows differ cannot be told" in told.message
    assert "target_user" in told.remedy
