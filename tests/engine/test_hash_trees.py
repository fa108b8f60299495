# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that find no partition on the target are told beforehand, not when all the others have been loaded."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import list_relations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.hash_trees import check_hash_trees
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect

from tests.case import Case, new_case
from tests.migration import endpoint
from tests.servers import Servers

#: So many labels that some lie elsewhere with other OIDs.
LABELS: t.Final = ", ".join(f"'colour {number}'" for number in range(30))
TREE: t.Final = f"""
    create type col as enum ({LABELS});
    create table ev (c col, n int) partition by hash (c);
"""
#: Trees, and whether each row finds a place in a copy of it.
TREES: t.Final[dict[str, tuple[str, bool]]] = {
    "no remainder 2": (
        "create table e0 partition of ev for values with (modulus 3, remainder 0);"
        "create table e1 partition of ev for values with (modulus 3, remainder 1)",
        False,
    ),
    "several moduli": (
        "create table e0 partition of ev for values with (modulus 2, remainder 0);"
        "create table e1 partition of ev for values with (modulus 4, remainder 1);"
        "create table e2 partition of ev for values with (modulus 4, remainder 3)",
        True,
    ),
    "divided otherwise": (
        "create table e0 partition of ev for values with (modulus 2, remainder 0) partition by range (n);"
        "create table e00 partition of e0 for values from (0) to (100);"
        "create table e1 partition of ev for values with (modulus 2, remainder 1) partition by range (n);"
        "create table e10 partition of e1 for values from (0) to (50);"
        "create table e11 partition of e1 for values from (50) to (100)",
        False,
    ),
    "divided alike": (
        "create table e0 partition of ev for values with (modulus 2, remainder 0) partition by range (n);"
        "create table e00 partition of e0 for values from (0) to (100);"
        "create table e1 partition of ev for values with (modulus 2, remainder 1) partition by range (n);"
        "create table e10 partition of e1 for values from (0) to (100)",
        True,
    ),
    "what is left": (
        "create table e0 partition of ev for values with (modulus 2, remainder 0) partition by list (n);"
        "create table e00 partition of e0 for values in (1);"
        "create table e01 partition of e0 default;"
        "create table e1 partition of ev for values with (modulus 2, remainder 1)",
        True,
    ),
}
#: Those of the source that fall into a partition which is there.
ROWS: t.Final = """
    do $$ begin
        for label in 0 .. 29 loop
            begin insert into ev values (format('colour %s', label)::col, 1);
            exception when check_violation then null; end;
        end loop;
    end $$
"""


@pytest.fixture(scope="module")
def case(servers: Servers) -> t.Iterator[Case]:
    """Give a case with a tree that has no partitions."""
    with new_case(servers.source(), servers.target(), TREE) as case:
        yield case


@pytest.mark.parametrize("name", TREES)
def test_hash_that_is_another_one_in_a_copy(case: Case, name: str) -> None:
    script, finds_all = TREES[name]
    case.run(script)
    try:
        with connect(endpoint("source", case.source, case.name)) as session:
            assert check_hash_trees(session, list_relations(session), None) == []
            case.run(ROWS)
            told = [finding.object for finding in check_hash_trees(session, list_relations(session), None)]
        assert told == ([] if finds_all else ["table public.ev"])
    finally:
        case.run("drop table ev cascade; create table ev (c col, n int) partition by hash (c)")


def test_such_a_tree_is_refused(case: Case) -> None:
    script, _ = TREES["no remainder 2"]
    case.run(script + ";" + ROWS)
    assert case.migrate().codes == {"partition-missing"}


def test_bounds_that_a_function_has_moved(servers: Servers) -> None:
    """The server trusts the function by which a row was once given its place."""
    script = """
        create function half(int) returns int language sql immutable as 'select $1 / {}';
        create table item (id int) partition by list (half(id));
        create table first partition of item for values in (0); create table second partition of item for values in (1);
        insert into item values (0), (1), (2), (3);
        create table part (id int) partition by hash (half(id));
        create table whole partition of part for values with (modulus 1, remainder 0); insert into part values (1)
    """
    with new_case(servers.source(), servers.target(), script.format(2)) as case:
        assert case.finds("expression-rows") == []
        case.run("create or replace function half(int) returns int language sql immutable as 'select $1 / 3'")
        assert case.finds("expression-rows") == [("error", "table public.second")]


def test_hash_of_what_names_objects(servers: Servers) -> None:
    """Values of regclass and the like are hashed by the number that the object has on a server."""
    tables = "; ".join(f"create table t{number}(a int)" for number in range(20))
    script = f"""
        {tables}; create domain relation as regclass;
        create table kept (r relation, n int) partition by hash (r);
        create table kept_0 partition of kept for values with (modulus 2, remainder 0);
        create table kept_1 partition of kept for values with (modulus 2, remainder 1);
        insert into kept select oid, 1 from pg_class where relname ~ '^t[0-9]'
    """
    with new_case(servers.source(), servers.target(), script) as case:
        case.merge = ("public.kept_0", "public.kept_1")
        case.arrives()
        case.stays()


def test_trees_within_such_a_tree(servers: Servers) -> None:
    """Rows of a partition that is divided once more may lie elsewhere, too; a view of one holds what is there."""
    script = f"""
        {TREE}
        create table e0 partition of ev for values with (modulus 2, remainder 0) partition by list (n);
        create table e00 partition of e0 for values in (1); create table e01 partition of e0 default;
        create table e1 partition of ev for values with (modulus 2, remainder 1);
        insert into ev select label, n from unnest(enum_range(null::col)) label, generate_series(1, 9) n;
        create materialized view of_leaf as select count(*) from e1; create materialized view whole as select * from ev;
    """
    # The oracle's views are the source's.
    with new_case(servers.source(), servers.target(), "create type other as enum ('x');" + script) as case:
        assert case.migrate().status == "migrated"
        assert case.equal_answers("select md5(string_agg(ev::text, ',' order by c, n)) from ev")
        assert case.ask("select count from of_leaf") == case.ask("select count(*) from e1")
        case.stays()
