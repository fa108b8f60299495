# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Materialized views can only be made anew: each must hold what its query yields on the target's rows."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.comparison import Verdict
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.tables import TableVerdict

from tests.case import Case, execute, new_case
from tests.migration import prepare
from tests.refilling import make_target, refill_target
from tests.servers import Servers

MakeCase = t.Callable[..., Case]


@pytest.fixture
def make(servers: Servers) -> t.Iterator[MakeCase]:
    """Give a maker of cases from the newest PostgreSQL to itself."""
    with contextlib.ExitStack() as stack:
        yield lambda script="": stack.enter_context(new_case(servers.source(), servers.target(), script))


def judge(case: Case) -> Verdict:
    """Return the verdict on the live database."""
    migration = prepare(case.source, case.name, case.target, case.name, Path("unused"))
    migration.preflight()
    return migration.compare()


def entry(verdict: Verdict, name: str) -> TableVerdict:
    """Return a view's entry, in which nothing stands beside equal that is not."""
    (found,) = [table for table in verdict.tables if table.name == name]
    if found.equal:
        for ours, theirs in (
            (found.source_rows, found.target_rows),
            (found.source_checksum, found.target_checksum),
        ):
            assert None in (ours, theirs) or ours == theirs
    return found


def differs(verdict: Verdict) -> set[str]:
    """Return the names of what differs."""
    return {difference.object for difference in verdict.differences}


def notices(verdict: Verdict) -> set[tuple[str, str]]:
    """Return the code and the object of what is good to know."""
    return {(notice.code, notice.object) for notice in verdict.notices}


ITEMS: t.Final = """
    create table item(id int primary key, code text, n int);
    insert into item select g, 'c'||g%9, g from generate_series(1,90) g;
"""

TAMPER: t.Final = """
    begin; update item set n = n + 1000000 where id = 1; refresh materialized view {};
    update item set n = n - 1000000 where id = 1; commit;
"""


def test_stale(make: MakeCase) -> None:
    """What was stale on the source is fresh in the copy; a copy that holds something else differs."""
    case = make(
        f"{ITEMS} create materialized view mv as select code, sum(n) as s from item group by code;"
        "insert into item values (500, 'c1', 5)"
    )
    assert case.migrate().status == "migrated"
    case.stays()
    verdict = judge(case)
    assert verdict.equal
    assert entry(verdict, "mv").compared == "rows"
    assert notices(verdict) == {("matview-stale", "materialized view public.mv")}
    execute(case.target, case.name, TAMPER.format("mv"))
    assert differs(judge(case)) == {"materialized view public.mv"}


HIDDEN: t.Final = """
    create materialized view z_base as select code, sum(n) as total from item group by code;
    create function total_of(c text) returns bigint language plpgsql stable as
        $$ begin return (select total from public.z_base where code = c); end $$;
    create materialized view a_top as select distinct code, total_of(code) as total from item;
    create unique index on a_top(code);
    create materialized view b_over as select * from a_top;
    create view live_top as select *, total_of(code) as live from a_top;
"""


def test_hidden_dependency(make: MakeCase) -> None:
    """One view reads another one within a function, which no catalog tells; names are in the wrong order."""
    case = make(ITEMS + HIDDEN)
    case.arrives()
    case.stays()
    assert case.ask("select bool_and(live = total) from live_top")


def test_views_over_a_stale_one(make: MakeCase) -> None:
    """Directly or within a function: what they hold on the source, they can hold nowhere else."""
    case = make(ITEMS + HIDDEN)
    case.run("insert into item values (500, 'c1', 5)")
    outcome = case.migrate()
    assert outcome.status == "migrated", outcome
    case.stays()
    verdict = judge(case)
    assert verdict.equal
    for name in ("a_top", "b_over"):
        found = entry(verdict, name)
        assert (found.compared, found.source_checksum, found.target_checksum) == ("query", None, None)
    assert case.ask("select bool_and(live = total) from live_top")
    for name in ("z_base", "a_top", "b_over"):
        # Their numbers of rows do not change.
        tampered = "a_top" if name == "b_over" else name
        script = TAMPER.format("z_base; refresh materialized view a_top; refresh materialized view b_over")
        restored = [view for view in ("z_base", "a_top", "b_over") if view != tampered]
        execute(case.target, case.name, f"{script} " + "".join(f"refresh materialized view {v};" for v in restored))
        assert f"materialized view public.{tampered}" in differs(judge(case)), name


def test_stale_content_under_a_fresh_view(make: MakeCase) -> None:
    """A copy that holds what the source's view holds, made of a stale one, is not what its own query yields."""
    case = make(ITEMS + HIDDEN)
    assert case.migrate().status == "migrated"
    for server in (case.source, case.target):
        execute(server, case.name, "insert into item values (500, 'c1', 5)")
    execute(case.target, case.name, "refresh materialized view z_base")
    assert differs(judge(case)) == {"materialized view public.a_top"}


def test_never_the_same_twice(make: MakeCase) -> None:
    """Of what changes by itself the number of rows is compared, or nothing if that changes, too; by name."""
    case = make(f"""{ITEMS}
        create materialized view chance as select id, random() from item;
        create materialized view moment as select id, clock_timestamp() from item;
        create materialized view instant as select id, now() as t from item;
        create materialized view number as select generate_series(1, 10 + (random() * 1000000)::int / 10);
        create materialized view over as select id from chance where random >= 0;
        create materialized view numbers as select count(*) from number
    """)
    outcome = case.migrate()
    assert outcome.status == "migrated", outcome
    case.stays()
    verdict = judge(case)
    assert verdict.equal
    names = ("chance", "moment", "instant", "number", "over", "numbers")
    compared = {name: entry(verdict, name).compared for name in names}
    counts = dict.fromkeys(("chance", "moment", "instant"), "count")
    assert compared == {**counts, "number": "nothing", "over": "rows", "numbers": "query"}
    volatile = {
        ("matview-volatile", f"materialized view public.{name}") for name in ("chance", "moment", "instant", "number")
    }
    assert volatile <= notices(verdict)
    execute(
        case.target,
        case.name,
        "delete from item where id = 1; refresh materialized view chance; insert into item values (1,'c1',1)",
    )
    assert differs(judge(case)) == {"materialized view public.chance", "materialized view public.over"}


def test_time_goes_by(make: MakeCase) -> None:
    """A window that moves on, in the query, in a view on the way or in a function, is no difference a day later."""
    case = make("""
        create table event(id int primary key, at timestamptz);
        insert into event select g, now() - g * interval '1 hour' from generate_series(1, 90) g;
        create view lately as select * from event where at > now() - interval '2 days';
        create function yesterday() returns timestamptz language sql stable as
            $$ select current_date - interval '1 day' $$;
        create materialized view recent as select id from event where at > now() - interval '2 days';
        create materialized view through as select count(*) from lately;
        create materialized view called as select id from event where at > yesterday();
        create materialized view over as select count(*) from recent;
    """)
    assert case.migrate().status == "migrated"
    # A day goes by: the rows are older, the views are as they were.
    for server in (case.source, case.target):
        execute(server, case.name, "update event set at = at - interval '1 day'")
    case.stays()
    verdict = judge(case)
    compared = {name: entry(verdict, name).compared for name in ("recent", "through", "called", "over")}
    assert compared == {"recent": "nothing", "through": "count", "called": "nothing", "over": "rows"}
    execute(case.target, case.name, "update event set at = at - interval '1 day' where id = 1")
    assert differs(judge(case)) == {"table public.event"}


def test_elsewhere(make: MakeCase) -> None:
    """Over equal rows, their order and what a server says of itself make another view there, which is told."""
    case = make("""
        create table reading(id int primary key, sensor int, value int);
        insert into reading select g, g % 20, g from generate_series(1, 20000) g;
        update reading set value = value + 1 where id % 3 = 0;
        create materialized view average as
            select sensor, avg(value) from reading where ctid > '(50,1)' group by sensor;
        create materialized view numbered as select 'reading'::regclass::oid, ctid::text as place from reading;
        create materialized view named as select current_database(), count(*) from reading;
    """)
    assert case.migrate().status == "migrated"
    case.stays()
    verdict = judge(case)
    assert verdict.equal
    names = ("average", "numbered", "named")
    assert {name: entry(verdict, name).compared for name in names} == {
        "average": "query",
        "numbered": "query",
        "named": "count",
    }
    told = {("matview-elsewhere", f"materialized view public.{name}") for name in ("average", "numbered")}
    assert notices(verdict) == {*told, ("matview-volatile", "materialized view public.named")}
    more = "insert into reading values (0, 1, 9000000); refresh materialized view average;"
    execute(case.target, case.name, f"{more} delete from reading where id = 0")
    assert differs(judge(case)) == {"materialized view public.average"}
    execute(case.target, case.name, "delete from reading where id = 1")
    assert differs(judge(case)) >= {"table public.reading", "materialized view public.average"}


def test_catalogs(make: MakeCase) -> None:
    """What a server's catalogs hold is another thing as soon as something is made, analyzed or loaded."""
    case = make(f"""{ITEMS} create index on item(code);
        create materialized view relations as select count(*) from pg_class;
        create materialized view described as
            select relname, reltuples, relispopulated from pg_class where relkind = 'm';
        create materialized view a_first as
            select c.relname, i.indisvalid from pg_index i join pg_class c on indexrelid = c.oid;
        create materialized view statistics as select tablename, attname, n_distinct from pg_stats;
        create view columns as select column_name from information_schema.columns where table_schema = 'public';
        create materialized view through as select * from columns;
        create function rows_of(name) returns real language plpgsql stable as
            $$ begin return (select reltuples from pg_catalog.pg_class where relname = $1); end $$;
        create materialized view called as select rows_of('item');
        create materialized view size as select pg_total_relation_size('item');
        create materialized view z_last as select sum(n) from item;
    """)
    assert case.migrate().status == "migrated"
    case.stays()
    verdict = judge(case)
    assert verdict.equal
    assert ("matview-volatile", "materialized view public.relations") in notices(verdict)
    execute(case.target, case.name, TAMPER.format("z_last"))
    assert differs(judge(case)) == {"materialized view public.z_last"}


def test_what_is_called_like_a_catalog(make: MakeCase) -> None:
    """It is the user's: the view must hold what its query yields."""
    views = {
        "columns": "select id, pg_rating from item",
        "tables": "select * from pg_kept",
        "functions": "select pg_rate(id), pg_rated_size() from item",
        "constants": "select 'pg_stat_user_tables'::text, id, pg_rating as age from item",
        "clocks": 'select (now).id as "localtime", pg_rating from item as now',
    }
    case = make(f"""{ITEMS} alter table item add pg_rating int default 3; create table pg_kept as table item;
        create function pg_rate(n int) returns int language sql immutable return n * 2;
        create function pg_rated_size() returns bigint language sql stable as 'select count(*) from public.item';
        {" ".join(f"create materialized view {name} as {query};" for name, query in views.items())}
    """)
    assert case.migrate().status == "migrated"
    case.stays()
    change = "update {0} set pg_rating = pg_rating {1} 1, id = id {1} 1000;"
    tables = ("item", "pg_kept")
    execute(case.target, case.name, " ".join(change.format(table, "+") for table in tables))
    execute(case.target, case.name, " ".join(f"refresh materialized view {name};" for name in views))
    execute(case.target, case.name, " ".join(change.format(table, "-") for table in tables))
    assert differs(judge(case)) == {f"materialized view public.{name}" for name in views}


def test_queries_that_no_reader_may_run(make: MakeCase) -> None:
    """A refresh is the owner's, and may write: what the source cannot tell, the target does, as far as it can."""
    case = make(f"""{ITEMS} create sequence s;
        create function secret(n int) returns int language plpgsql stable as $$ begin return n * 7; end $$;
        revoke execute on function secret from public;
        create materialized view kept as select id, secret(n) from item;
        create materialized view z_last as select count(*), max(secret(id)) from item;
        create function last() returns bigint language plpgsql stable as
            $$ begin return (select count from public.z_last); end $$;
        revoke execute on function last from public;
        create materialized view a_first as select last() + id from item;
        create materialized view counted as select id, nextval('s') from item;
        create materialized view stale as select id, nextval('s') from item; insert into item values (500, 'c1', 5);
        refresh materialized view counted; refresh materialized view kept; refresh materialized view z_last;
        refresh materialized view a_first;
        grant select on all tables in schema public to public; grant select on all sequences in schema public to public;
    """)
    case.make_roles()
    outcome = case.migrate()
    assert outcome.status == "migrated", outcome
    assert entry(outcome.verdict or Verdict(), "kept").compared == "query"
    assert entry(outcome.verdict or Verdict(), "counted").compared == "count"
    # Nobody can tell that it was stale.
    assert entry(outcome.verdict or Verdict(), "stale").compared == "nothing"
    assert ("matview-volatile", "materialized view public.stale") in notices(outcome.verdict or Verdict())
    # Nobody could tell that it reads the other one.
    assert entry(outcome.verdict or Verdict(), "a_first").compared == "query"
    execute(case.target, case.name, TAMPER.format("kept"))
    assert "materialized view public.kept" in differs(judge(case))


def test_views_of_a_kept_schema(make: MakeCase) -> None:
    """Filled before, they would be refreshed in any order without a complaint, and hold what is no more."""
    case = make(ITEMS + HIDDEN)
    make_target(case, f"{ITEMS} delete from item where id > 80; {HIDDEN}")
    assert refill_target(case).verdict.equal
    assert judge(case).equal
    assert case.ask("select bool_and(live = total) from live_top")


def test_view_that_cannot_be_refreshed(make: MakeCase) -> None:
    """One clear message, and no database left."""
    case = make(f"""{ITEMS}
        create materialized view base as select id from item;
        create function has(i int) returns bool language plpgsql stable as
            $$ begin return exists (select from public.base where id = i); end $$;
        create materialized view top as select id, has(id) from item;
        refresh materialized view base with no data
    """)
    outcome = case.migrate()
    assert outcome.status == "refused" or "materialized view public.top" in outcome.error, outcome
