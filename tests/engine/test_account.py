# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An account of everything: what neither a dump holds nor an extension makes is refused by name, nothing else is."""

from __future__ import annotations

import contextlib
import typing as t

import pytest

from tests import corpus
from tests.case import Case, new_case
from tests.servers import Servers

#: What pg_dump leaves out without a word, and what the finding names.
LEFT_OUT: t.Final = {
    "create function pg_catalog.text2(int) returns text language sql as 'select 1::text'": (
        "function pg_catalog.text2(integer)"
    ),
    "create procedure information_schema.p() language sql as 'select 1'": "procedure information_schema.p()",
    "create view information_schema.mine as select 1 as one": "view information_schema.mine",
    "set local allow_system_table_mods = on; create view pg_catalog.mine as select 1 as one": "view pg_catalog.mine",
    "create type pg_catalog.mood as enum ('a')": "type pg_catalog.mood",
    "create domain pg_catalog.small as int check (value < 9)": "type pg_catalog.small",
    "create operator pg_catalog.=== (leftarg = int, rightarg = int, function = int4eq)": (
        "operator pg_catalog.===(integer,integer)"
    ),
    "create aggregate pg_catalog.total(int) (sfunc = int4pl, stype = int)": "aggregate pg_catalog.total(integer)",
    "create text search dictionary pg_catalog.mine (template = simple)": "text search dictionary pg_catalog.mine",
    "create text search configuration pg_catalog.mine (copy = english)": "text search configuration pg_catalog.mine",
    "create operator family pg_catalog.mine using btree": "operator family pg_catalog.mine USING btree",
    "create conversion pg_catalog.mine for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8": "conversion pg_catalog.mine",
    "create table information_schema.notes(id serial primary key, note text unique)": "table information_schema.notes",
    "create type weight as (a int); create function below(weight, int) returns bool language sql immutable as"
    " 'select true'; create operator <<< (leftarg = weight, rightarg = int, function = below);"
    " alter operator family integer_ops using btree add operator 1 <<< (weight, int)": (
        "operator of access method operator 1 (public.weight, integer) of pg_catalog.integer_ops USING btree"
    ),
    "create sequence information_schema.counter": "sequence information_schema.counter",
    "create materialized view information_schema.cache as select 1 as one": (
        "materialized view information_schema.cache"
    ),
    "create extension postgres_fdw; create server far foreign data wrapper postgres_fdw;"
    " alter extension postgres_fdw add server far; create user mapping for public server far": (
        "user mapping public on server far"
    ),
}


@pytest.fixture(params=["15", "18"])
def case(servers: Servers, request: pytest.FixtureRequest) -> t.Iterator[Case]:
    """Give a case from each major to itself."""
    with new_case(servers.source(request.param), servers.target(request.param), "create table t(id int)") as made:
        yield made


def test_left_out(case: Case) -> None:
    """Each is refused by its name alone, whatever comes with it."""
    for script in LEFT_OUT:
        case.run(script)
    assert sorted(case.finds("not-carried")) == sorted(("error", name) for name in LEFT_OUT.values())


#: What is said of objects that pg_dump makes with others: comments, and what the finding names.
SAID: t.Final = {
    """comment on rule "_RETURN" on v is 'x'""": """comment on rule "_RETURN" on public.v""",
    "comment on type big is 'x'": "comment on type public.big",
    "comment on type _mood is 'x'": "comment on type public.mood[]",
    "comment on type span_multirange is 'x'": "comment on type public.span_multirange",
    "comment on function span(int, int) is 'x'": "comment on function public.span(integer,integer)",
    "comment on constraint positive on leaf is 'x'": "comment on table constraint positive on public.leaf",
    "comment on trigger g on leaf is 'x'": "comment on trigger g on public.leaf",
    "comment on column big.ctid is 'x'": "comment on table column public.big.ctid",
}


def test_what_is_said(case: Case) -> None:
    """A comment on what pg_dump makes with something else would not arrive; one on a constraint does."""
    case.run("""
        create table big(a int primary key, b int not null check (b > 0)); create view v as select * from big;
        create type mood as enum ('a'); create type span as range (subtype = int);
        create table tree(a int constraint positive check (a > 0), unique (a)) partition by range (a);
        create table leaf partition of tree default; create domain d as int constraint c check (value > 0);
        create function f() returns trigger language plpgsql as 'begin return new; end';
        create trigger g after insert on tree for each row execute function f();
        comment on constraint big_pkey on big is 'x'; comment on constraint big_b_check on big is 'x';
        comment on constraint c on domain d is 'x'; comment on index leaf_a_key is 'x'; comment on column v.a is 'x';
        comment on trigger g on tree is 'x'; comment on constraint positive on tree is 'x';
    """)
    assert case.finds("not-carried") == []
    for script in SAID:
        case.run(script)
    assert sorted(case.finds("not-carried")) == sorted(("error", name) for name in SAID.values())


def test_label_on_the_database(case: Case) -> None:
    """It is in a catalog that all databases share."""
    case.run("""
        set local allow_system_table_mods = on; insert into pg_shseclabel
        select oid, 'pg_database'::regclass, 'nobody', 'x' from pg_database where datname = current_database()
    """)
    assert case.finds("not-carried") == [("error", f"security label on database {case.name}")]


def test_nothing_is_left_out(case: Case) -> None:
    """What goes with something else, what is temporary and what is told otherwise is not taken for lost."""
    case.run("""
        drop schema public cascade; create schema public; create table public.t(id int);
        create table big(a int generated always as identity, b text default 'x' check (b <> ''), primary key (a));
        create table tree(a int, b int default 5, unique (a, b)) partition by range (a);
        create table leaf partition of tree for values from (0) to (10);
        create table referring(a int references big, b int, foreign key (a, b) references tree(a, b));
        create type mood as enum ('a'); create type span as range (subtype = int); create type pair as (a int, b mood);
        create domain small as int check (value < 9) not null; create type shell;
        create view v as select * from big; create rule r as on insert to v do instead nothing;
        create function f() returns trigger language plpgsql as 'begin return new; end';
        create trigger g after insert on tree for each row execute function f();
        create operator === (leftarg = int, rightarg = int, function = int4eq, commutator = ====, negator = !==);
        create operator class c for type int using btree as operator 3 ===, function 1 btint4cmp(int, int);
        create extension hstore; create extension postgres_fdw; create server s foreign data wrapper postgres_fdw;
        create user mapping for public server s; create foreign table far(a int default 3) server s;
        create publication p for table big; create statistics st on a, b from tree; select lo_from_bytea(0, 'x');
        alter default privileges grant select on tables to public;
    """)
    with case.source.connect(case.name) as other:
        other.execute("create temp table mine(id serial primary key, note text)")
        other.execute("create type pg_temp.mood as enum ('a')")
        other.execute("create function pg_temp.f() returns int language sql as 'select 1'")
        with contextlib.suppress(Exception):
            other.execute("create table twice(a int)")
            other.execute("insert into twice values (1), (1)")
            other.execute("create unique index concurrently broken on twice(a)")
        assert case.finds("not-carried") == []
    assert case.finds("invalid-index") == [("warning", "index public.broken")]


def test_altered_builtin(case: Case) -> None:
    """PostgreSQL's own objects can be altered, too, whatever their numbers; what is granted on them is none of that."""
    case.run("""
        alter text search configuration pg_catalog.english alter mapping for word with simple;
        alter text search dictionary pg_catalog.german_stem (stopwords = 'english');
        update information_schema.sql_sizing set comments = 'mine' where sizing_id = 34;
        comment on extension plpgsql is 'mine'; comment on view information_schema.tables is 'mine';
        revoke select on information_schema.columns from public;
        grant select on pg_catalog.pg_authid to pg_monitor; revoke execute on function pg_ls_waldir() from public;
        grant all on schema public to public; alter function lower(text) cost 7;
        comment on function upper(text) is 'mine'; alter operator =(int, int) set (restrict = none);
    """)
    assert case.finds("builtin-altered") == [
        ("error", "extension plpgsql"),
        ("error", "function lower(text)"),
        ("error", "function upper(text)"),
        ("error", "operator =(integer,integer)"),
        ("error", "table information_schema.sql_sizing"),
        ("error", "text search configuration english"),
        ("error", "text search dictionary german_stem"),
        ("error", "view information_schema.tables"),
    ]


def test_altered_builtin_between_majors(servers: Servers) -> None:
    """What each version has otherwise is not taken for altered, also where something was granted on it."""
    with new_case(servers.source("15"), servers.target("18"), "create table t(id int)") as case:
        case.run("""
            grant execute on function pg_read_file(text), pg_ls_waldir() to pg_monitor;
            revoke select on pg_stat_activity from public; grant select on pg_stat_activity to pg_monitor;
            grant usage on language sql to pg_monitor; comment on extension plpgsql is 'PL/pgSQL procedural language';
        """)
        assert case.finds("builtin-altered") == []
        case.run("""
            alter text search configuration pg_catalog.english alter mapping for asciiword with simple;
            alter text search dictionary pg_catalog.german_stem (stopwords = 'english');
            comment on function upper(text) is 'mine'; alter operator =(int, int) set (restrict = none);
            update information_schema.sql_sizing set comments = 'mine' where sizing_id = 34;
        """)
        assert case.finds("builtin-altered") == [
            ("error", "function upper(text)"),
            ("error", "operator =(integer,integer)"),
            ("error", "table information_schema.sql_sizing"),
            ("error", "text search configuration english"),
            ("error", "text search dictionary german_stem"),
        ]


@pytest.mark.parametrize("name", corpus.names())
def test_corpus(servers: Servers, name: str) -> None:
    """Real databases hold nothing that nobody knows."""
    source = servers.source("15")
    dbname = corpus.shared(source, name)
    case = Case(source, servers.target("15"), dbname)
    assert case.finds("not-carried") == []
