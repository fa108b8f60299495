# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that name roles and objects, at any depth of their types: what COPY would refuse is said before."""

from __future__ import annotations

import typing as t

import pytest

from tests.case import Case, execute, new_case
from tests.servers import Servers


@pytest.fixture
def roles(servers: Servers) -> t.Iterator[list[str]]:
    """Give roles that only the source has, with names that must be quoted in different ways."""
    names = ["gone_plain", "gone, with comma", 'gone "quoted" %s', "gone=a/b", "gone{}", "Gone"]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    execute(servers.source(), "postgres", ";".join(f"CREATE ROLE {name}" for name in quoted))
    yield names
    execute(servers.source(), "postgres", ";".join(f"DROP ROLE IF EXISTS {name}" for name in quoted))


def missing(case: Case) -> set[str]:
    return {name.removeprefix("role ") for _, name in case.finds("role-missing")}


COLUMNS: t.Final = """
    CREATE DOMAIN r AS regrole; CREATE DOMAIN rs AS r[]; CREATE TYPE pair AS (n int, "the role" rs, acl aclitem[]);
    CREATE DOMAIN pairs AS pair[]; CREATE TYPE range AS RANGE (subtype = oid);
    CREATE TABLE "t %s" (id int, "a %" {type});
"""


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("regrole", "{role}::regrole"),
        ("rs", "ARRAY[NULL, {role}]::regrole[]"),
        ("aclitem", "makeaclitem({role}::regrole, 10, 'SELECT', true)"),
        ("aclitem[]", "ARRAY[makeaclitem(0, {role}::regrole, 'SELECT', false)]"),
        ("pair", "ROW(1, ARRAY[{role}]::rs, NULL)::pair"),
        ("pairs", "ARRAY[ROW(1, NULL, ARRAY[[makeaclitem({role}::regrole, 10, 'SELECT', true)]])]::pair[]"),
    ],
)
def test_roles_are_found(servers: Servers, roles: list[str], type_: str, value: str) -> None:
    with new_case(servers.source(), servers.target(), COLUMNS.replace("{type}", type_)) as case:
        assert missing(case) == set()
        for name in roles:
            literal = "'\"" + name.replace('"', '""').replace("'", "''") + "\"'"
            case.run(f'INSERT INTO "t %s" VALUES (1, {value.replace("{role}", literal + "::regrole")})')
        assert missing(case) == set(roles)
        case.run('TRUNCATE "t %s"')
        assert missing(case) == set()


def test_dropped_roles(servers: Servers, roles: list[str]) -> None:
    """An aclitem holds the number of a role that is gone, and is written with it, which no server reads."""
    script = "CREATE TABLE t (a aclitem, r regrole); INSERT INTO t SELECT makeaclitem(x, 10, 'SELECT', true), x"
    with new_case(servers.source(), servers.target(), f"{script} FROM (SELECT 'gone_plain'::regrole) r(x)") as case:
        number = case.ask("SELECT r::oid::text FROM t", side="source")
        execute(case.source, "postgres", "DROP ROLE gone_plain")
        assert missing(case) == {number}
        # A regrole is read from its number.
        case.run("UPDATE t SET a = NULL")
        case.arrives()


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        ("regclass", "'pg_class', 't', 'v', 's'", "'i'"),
        ("regclass[]", "'{pg_class,t}'", "'{t,i}'"),
        ("regproc", "'now', 'one'", "'two(int)'::regprocedure"),
        ("regprocedure", "'now()', 'two(int)', 'two(text)'", ""),
        ("regtype", "'int', 't', 'pair'", ""),
        ("regnamespace", "'public', 'pg_catalog'", ""),
        ("regconfig", "'english'", ""),
    ],
)
def test_objects_are_found(servers: Servers, type_: str, good: str, bad: str) -> None:
    """Of those that are made before the rows, a copy arrives; the others are told by column and number."""
    script = """
        CREATE TYPE pair AS (n int); CREATE TABLE t (id int); CREATE VIEW v AS SELECT 1 AS a; CREATE SEQUENCE s;
        CREATE INDEX i ON t (id); CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION two(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION two(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
    """
    with new_case(servers.source(), servers.target(), f"{script} CREATE TABLE held (x {type_})") as case:
        for value in good.split(", ") if "{" not in good else [good]:
            case.run(f"INSERT INTO held VALUES ({value})")
        assert case.finds("name-unknown") == []
        case.arrives()
        if bad:
            case.run(f"INSERT INTO held VALUES ({bad}), ({bad})")
            assert case.finds("name-unknown") == [("error", "column public.held.x")]


def test_what_a_newer_server_has(servers: Servers) -> None:
    """A function of the server's own that the target's does not have."""
    with new_case(servers.source(), servers.target("15"), "CREATE TABLE t (f regproc)") as case:
        case.run("INSERT INTO t VALUES ('now'), ('pg_get_sequence_data'), ('pg_get_sequence_data')")
        (found,) = [finding for finding in case.examine() if finding.code == "name-unknown"]
        assert (found.object, found.message[:16]) == ("column public.t.f", "2 of its values ")


def test_what_only_servers_write(servers: Servers) -> None:
    """Tables that were made of catalogs hold values that no server reads."""
    script = """
        CREATE TABLE w (a int DEFAULT 5, b int); INSERT INTO w SELECT g % 5, g % 5 FROM generate_series(1, 99) g;
        CREATE STATISTICS s ON a, b FROM w; ANALYZE w; CREATE TYPE kept AS (tree pg_node_tree);
        CREATE TABLE defaults AS SELECT adbin, ARRAY[ROW(adbin)::kept] AS list FROM pg_attrdef;
        CREATE TABLE sums AS SELECT stxdndistinct, stxddependencies, stxdmcv FROM pg_statistic_ext_data;
        CREATE TABLE nothing (a pg_node_tree); INSERT INTO nothing VALUES (NULL);
    """
    with new_case(servers.source(), servers.target(), script) as case:
        columns = "defaults.adbin", "defaults.list", "sums.stxdndistinct", "sums.stxddependencies", "sums.stxdmcv"
        assert case.finds("write-only") == [("error", f"column public.{column}") for column in columns]
