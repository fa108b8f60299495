# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions mean on the target what they mean on the source, also where only a search_path leads to what they use."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.search_path import ask_serving_path
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.inquiry import answer, ask, together

from tests.case import Case, execute, new_case
from tests.migration import endpoint, prepare, run
from tests.refilling import refill_target
from tests.servers import Servers

MakeCase = t.Callable[..., Case]


@pytest.fixture
def make(servers: Servers) -> t.Iterator[MakeCase]:
    """Give a maker of cases between two servers that have the same extensions, which are those of Debian."""
    with contextlib.ExitStack() as stack:
        yield lambda script="": stack.enter_context(new_case(servers.source("15"), servers.target("15"), script))


INLINED: t.Final = """
    create extension unaccent;
    create function fold(t text) returns text language sql immutable strict as
        $$ select lower(unaccent('unaccent', t)) $$;
    create table person(id int primary key, name text, boss int references person);
    insert into person select g, 'Élodie '||g, 1 from generate_series(1,50) g;
    create index on person(fold(name));
    create statistics folded on (fold(name)) from person;
    create materialized view folded_names as select fold(name) from person;
"""


def test_inlined_function(make: MakeCase) -> None:
    """Whatever is planned on the table reads the function's body: counts, keys, the proof after the switch."""
    # The oracle reads under an empty path, and cannot.
    case = make(INLINED)
    for _ in range(2):
        assert case.migrate().status == "migrated"
        case.equal_answers("select md5(string_agg(p::text, ',' order by id)) from person p")
        assert case.ask("select count(*) from folded_names where fold = 'elodie 8'") == 1
        case.stays()
        case.run("update person set name = 'x' where id = 7")


OPERATORS: t.Final = """
    create schema ext; create extension citext schema ext; create extension hstore schema ext;
    set search_path to public, ext;
    create table acct(id int primary key, email citext, tags hstore, seen int default 0,
        check (email is distinct from 'nobody'));
    create table acct2(email citext primary key, n int);
    insert into acct select g, 'A'||g, hstore('k',(g%4)::text) from generate_series(1,80) g;
    insert into acct2 select 'a'||g, g from generate_series(1,80) g;
    create function bump() returns trigger language plpgsql as $$ begin new.seen := new.seen+1; return new; end $$;
    create trigger t1 before update on acct for each row
        when (old.email is distinct from new.email or old.tags is distinct from new.tags) execute function bump();
    create view v1 as select id, nullif(email, 'A1') as e, case email when 'A2' then 'two' else 'x' end as c,
        email in (select email from acct2) as i, (email, id) = (email, 7) as r from acct;
    create view v2 as select * from acct join acct2 using (email);
    create view v3 as select * from acct natural join (select email from acct2) a;
    create materialized view m1 as select email, count(*) from acct where email is distinct from 'A9' group by email;
    create index on acct(id) where email is distinct from 'A5';
    create statistics nobody on (nullif(email, 'x')), id from acct;
    create rule r as on update to acct2 where old.email is distinct from new.email
        do also insert into acct(id, email) values (1000 + new.n, new.email);
    alter table acct enable row level security;
    create policy p on acct using (email is not distinct from current_setting('x.y', true)::citext);
    create function f(e citext default nullif('x'::citext, 'y')) returns boolean stable
        begin atomic select e is distinct from 'q'::citext; end;
    create domain em as citext check (value is distinct from ''); create table de(e em); insert into de values ('x');
    create table part(k citext, n int default case 'a'::citext when 'A' then 1 else 2 end)
        partition by list (nullif(k, 'z'));
"""

MEANINGS: t.Final = """
    select array[(select count(*) from v1 where i), (select count(*) from v1 where e is null),
                 (select count(*) from v1 where c = 'two'), (select count(*) from v2), (select count(*) from v3)]
"""


def test_operators_that_no_dump_can_qualify(make: MakeCase) -> None:
    """The operators are in a schema to which not even the database's own path leads."""
    # The oracle restores under an empty path, and cannot.
    case = make(OPERATORS)
    outcome = case.migrate()
    assert outcome.status == "migrated", outcome
    # Were text's operators taken in citext's place, most of these would be 0.
    assert case.equal_answers(MEANINGS) == [80, 1, 1, 80, 80]
    case.stays()


def test_the_same_text_with_another_operator(make: MakeCase) -> None:
    """A view whose text is the source's, and whose operator is not, is a difference."""
    case = make(OPERATORS)
    assert case.migrate().status == "migrated"
    with case.target.connect(case.name) as connection:
        connection.execute("set search_path = ''")
        (definition,) = connection.execute("select pg_get_viewdef('public.v2'::regclass)").fetchone() or ("",)
        connection.execute(f"create or replace view public.v2 as {definition}".encode())
    assert case.ask("select count(*) from v2") == 0, "the test proves nothing"
    outcome = case.migrate()
    assert outcome.status == "migrated", outcome
    assert case.equal_answers(MEANINGS) == [80, 1, 1, 80, 80]


def test_operator_of_the_users_beside_that_of_the_server(servers: Servers) -> None:
    """One place of an object names its schema; another, for which there are no words, would find the server's own."""
    script = """
        create schema own;
        create function own.alike(text, text) returns boolean language sql immutable as
            'select lower($1) operator(pg_catalog.=) lower($2)';
        create operator own.= (leftarg = text, rightarg = text, function = own.alike);
        create table public.t(id int primary key, a text);
        set search_path = own, pg_catalog;
        create view public.distinct_from as select a is distinct from 'AB' as d, a = 'q' as e, id = 1 from public.t;
        create view public.null_if as select nullif(a, 'AB') as n, a = 'q' as e from public.t;
        create view public.cases as select case a when 'AB' then 1 end as c, a = 'q' as e from public.t;
        create view public.named as select a = 'q' as e, a operator(pg_catalog.=) 'q' as f from public.t;
        alter table public.t add constraint checked check (a is distinct from 'AB' or a = 'q');
    """
    with new_case(servers.source("15"), servers.target(), script) as case:
        execute(case.source, "postgres", f"alter database {case.name} set search_path = own, pg_catalog")
        objects = [f"view public.{name}" for name in ("cases", "distinct_from", "null_if")]
        told = case.finds("other-binding")
        assert told == [("error", name) for name in ("table constraint checked on public.t", *objects)]


def test_path_that_serves(servers: Servers) -> None:
    """pg_catalog comes first; "$user" is a name; schemas that are not there do not count; operators' schemas follow."""
    with new_case(servers.source("15"), servers.target("15"), OPERATORS) as case:
        execute(
            case.source, "postgres", f"""alter database {case.name} set search_path = none, "$user", "A b", public"""
        )
        case.run(f'create schema "{case.source.user}"; create schema "A b"; create schema other')
        # An operator that nothing uses.
        case.run("create operator other.## (procedure = int4pl, leftarg = int, rightarg = int)")
        with connect(endpoint("source", case.source, case.name)) as session:
            expected = f'"pg_catalog", "{case.source.user}", "A b", "public", "ext"'
            # What travels with that question, too, is asked under the session's own path.
            assert answer(session, together(ask_serving_path(), ask("show search_path"))) == [expected, [[("",)]]]
            assert session.execute("show search_path").fetchone() == ("",)


HOSTILE: t.Final = """
    create schema hostile;
    create function hostile.lies(bigint, int) returns bigint language sql immutable as 'select 0::bigint';
    create operator hostile.& (leftarg = bigint, rightarg = int, function = hostile.lies);
    create function hostile.equal(float8, text) returns bool language sql immutable as 'select true';
    create operator hostile.= (leftarg = float8, rightarg = text, function = hostile.equal);
    create function hostile.now() returns timestamptz language sql as 'select ''epoch''::timestamptz';
    create function hostile.first(numeric, bigint) returns numeric language sql immutable as 'select 7::numeric';
    create aggregate hostile.sum(bigint) (sfunc = hostile.first, stype = numeric, initcond = '0');
    create function hostile.hashint4extended(int, int) returns bigint language sql immutable as 'select 1::bigint';
    create table hostile.pg_class (oid oid, relname name); create view hostile.pg_locks as select 1 as pid;
    create function hostile.fits(float8) returns bool language plpgsql immutable as $$ begin return $1 > 0; end $$;
    create table t(id int primary key, v float8 check (hostile.fits(v)), c regclass, p regprocedure, s text);
    insert into t select g, g * 0.5, 'hostile.pg_class'::regclass, 'hostile.now()'::regprocedure, 'x'
        from generate_series(1, 50) g;
    create materialized view m as select c, p, count(*) from t group by c, p;
"""


@pytest.mark.parametrize("path", ["hostile, pg_catalog, public", "public, hostile"])
def test_names_that_users_have_taken(servers: Servers, path: str) -> None:
    """What we ask, the server's own functions and operators answer, wherever the database's path leads first."""
    with new_case(servers.source("15"), servers.target(), HOSTILE) as case:
        execute(case.source, "postgres", f"alter database {case.name} set search_path = {path}")
        case.arrives()
        case.stays()
        execute(case.target, case.name, "update public.t set v = 9 where id = 7")
        migration = prepare(case.source, case.name, case.target, case.name, Path("unused"))
        migration.preflight()
        (difference,) = migration.compare().differences
        assert difference.object == "table public.t"
        assert "1 changed in v: (7)" in difference.message


def test_in_place(make: MakeCase, tmp_path: Path) -> None:
    """Schema replaced in the live database, or kept and filled again: what must be added anew is bound as it was."""
    script = OPERATORS + INLINED.replace("create extension unaccent;", "create extension unaccent schema public;")
    late = "; alter table acct add constraint late check (nullif(email, 'b') is distinct from 'B') not valid"
    case = make(script + late)
    case.target.create_database(case.name, template="template0")
    migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
    migration.load_mode = "in_place"
    outcome = run(migration)
    assert outcome.status == "migrated", outcome
    assert case.equal_answers(MEANINGS) == [80, 1, 1, 80, 80]
    case.run("delete from acct2 where n = 5; update acct set seen = 7 where id = 3")
    assert refill_target(case, "dependency_order").verdict.equal
    assert case.equal_answers(MEANINGS) == [79, 1, 1, 79, 79]
