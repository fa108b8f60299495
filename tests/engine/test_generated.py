# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated columns are computed by each server: where it makes something else of equal rows, that is told, no loss."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import Patterns
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests.case import Case, execute, new_case
from tests.engine.test_materialized_views import differs, entry, judge, notices
from tests.migration import prepare
from tests.servers import Servers
from tests.syncing import counts, sync_target, undo_target

#: From 18 on, another word is the stem of "added", also within a function. Rows without a key are told apart by all
#: that they are given.
PAGES: t.Final = """
    create function twice(text) returns text language sql immutable as 'select $1 || $1';
    create table page(id int primary key, body text, double text generated always as (twice(body)) stored,
                      words tsvector generated always as (to_tsvector('english', body)) stored);
    insert into page(id, body) select g, 'added ' || g from generate_series(1, 300) g;
    create function words_of(jsonb) returns tsvector language plpgsql immutable as
        $$begin return to_tsvector('pg_catalog.english', $1); end$$;
    create table wrapped(id int primary key, body jsonb, words tsvector generated always as (words_of(body)) stored);
    insert into wrapped values (1, '["added"]');
    create table keyless(body text, words tsvector generated always as (to_tsvector('english', body)) stored);
    insert into keyless select 'added ' || g % 7 from generate_series(1, 50) g;
    create table tree(id int, body text, words tsvector generated always as (to_tsvector('english', body)) stored)
        partition by range (id);
    create table low partition of tree for values from (0) to (10);
    create table high partition of tree for values from (10) to (90);
    insert into tree select g, 'adding ' || g from generate_series(0, 50) g;
    create table own(id int primary key, half int generated always as (id / 2) stored);
    insert into own select g from generate_series(1, 5) g;
    create materialized view vocabulary as select words, count(*) from keyless group by words;
"""
ELSEWHERE: t.Final = {
    *(("generated-elsewhere", f"table public.{name}") for name in ("page", "wrapped", "keyless", "low", "high")),
    ("generated-elsewhere", "partitioned table public.tree"),
    ("matview-elsewhere", "materialized view public.vocabulary"),
}


@pytest.fixture
def case(servers: Servers) -> t.Iterator[Case]:
    """Give a case that has arrived."""
    with new_case(servers.source("15"), servers.target("18"), PAGES) as made:
        assert made.migrate().status == "migrated"
        yield made


def test_elsewhere(case: Case) -> None:
    """All that rows were given is compared; what is generated must be what the target's server makes of it."""
    case.stays()
    verdict = judge(case)
    assert verdict.equal
    assert notices(verdict) == ELSEWHERE
    assert {entry(verdict, name).compared for name in ("page", "wrapped", "keyless", "tree", "low")} == {"given"}
    assert entry(verdict, "own").compared == "rows"
    found = "select count(*) from page where words @@ to_tsquery('english', 'adding')"
    assert case.equal_answers(found) == 300
    execute(case.target, case.name, "update page set body = 'added 8' where id = 7; update own set id = 9 where id = 5")
    (said,) = [one for one in judge(case).rows if one.name == "page"]
    assert (said.changed, said.examples) == (1, (("changed", ("(7)",)),))
    # As long as tables differ, nobody looks for a reason why a view does.
    assert differs(judge(case)) - {"materialized view public.vocabulary"} == {"table public.page", "table public.own"}


def test_what_no_server_makes(case: Case) -> None:
    """What a server has made of a row by other means is no longer what it makes of it."""
    english = "alter text search configuration english alter mapping for asciiword with"
    changed = "update page set body = body || '' where id = 7; update tree set body = body || '' where id = 20"
    execute(case.target, case.name, f"{english} simple; {changed}")
    execute(case.target, case.name, f"{english} english_stem")
    assert differs(judge(case)) >= {"table public.page", "table public.high", "partitioned table public.tree"}
    sync_target(case)
    assert judge(case).equal


def test_functions_of_the_users(case: Case) -> None:
    """What one computes may come from when it was another one: that cannot be made anew."""
    function = "create or replace function twice(text) returns text language sql immutable as"
    anew = "update page set body = body where id = 7"
    case.run(f"{function} 'select $1 || $1 || $1'; {anew}; {function} 'select $1 || $1'")
    execute(case.target, case.name, anew)
    assert "table public.page" in differs(judge(case))


def test_functions_that_are_not_compared(case: Case) -> None:
    """Of selected tables alone, nobody knows whether the target's function is the source's."""
    migration = prepare(case.source, case.name, case.target, case.name, Path("unused"))
    migration.preflight()
    assert migration.tools
    for name, differing in (("wrapped", {"table public.wrapped"}), ("keyless", set())):
        judge_one = Judge(migration.target, False, migration.tools, 1, patterns=Patterns((name,)))
        assert differs(judge_one.judge_by_source(migration.source)) == differing


#: Rows go through the root, as the hash of an enum's value is another one elsewhere; only the tree is compared.
REPLACED: t.Final = """
    create function next(int) returns int language sql immutable as 'select $1 + 1';
    create type letter as enum ('a', 'b', 'c');
    create table tree(id int, letter letter, next int generated always as (next(id)) stored)
        partition by hash (letter);
    create table even partition of tree for values with (modulus 2, remainder 0);
    create table odd partition of tree for values with (modulus 2, remainder 1);
    insert into tree select g, (enum_range(null::letter))[g % 3 + 1] from generate_series(1, 30) g;
    create or replace function next(int) returns int language sql immutable as 'select $1 + 2';
"""


def test_function_that_was_replaced(servers: Servers, tmp_path: Path) -> None:
    """What it has made of rows before is not what another server makes of them, also where a tree holds them."""
    with new_case(servers.source("15"), servers.target("18"), REPLACED) as case:
        migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
        migration.preflight()
        migration.dump()
        migration.restore_schema()
        migration.restore_data()
        with pytest.raises(MigrationError, match=r"partitioned table public\.tree: 30 rows on both sides"):
            migration.verify()


def test_sync_and_back(case: Case, tmp_path: Path) -> None:
    """Only what was given otherwise is brought, and is taken back again."""
    before = case.ask("select string_agg(p::text, ',' order by id) from page p")
    case.run("""
        update page set body = 'changed' where id in (3, 4); delete from page where id = 9;
        insert into page values (301); update tree set id = 60 where id = 0;
        delete from keyless where ctid = (select min(ctid) from keyless);
    """)
    done = sync_target(case, undo=tmp_path / "undo")
    assert counts(done) == {
        "page": (1, 2, 1),
        "keyless": (0, 0, 1),
        "low": (0, 0, 1),
        "high": (1, 0, 0),
    }
    assert judge(case).equal
    undo_target(case, tmp_path / "undo", tmp_path / "again")
    assert case.ask("select string_agg(p::text, ',' order by id) from page p") == before
