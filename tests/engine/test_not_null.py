# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NOT NULL is a constraint from 18 on, a domain's from 17 on: what a source cannot know of it is no difference."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests.case import Case, execute, new_case
from tests.migration import endpoint
from tests.servers import PostgresServer, Servers
from tests.syncing import sync_target

#: Names that heirs have from their parents, that were given, or that others had already; a table's own beside its
#: parents'; and texts in which only the words occur.
SCRIPT: t.Final = """
    CREATE TABLE p (a int NOT NULL, b text NOT NULL DEFAULT 'x CONSTRAINT y NOT NULL',
        "a NOT NULL" text NOT NULL DEFAULT 'it''s') PARTITION BY LIST (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
    CREATE TABLE p2 PARTITION OF p (CONSTRAINT own PRIMARY KEY (b)) FOR VALUES IN (2);
    CREATE TABLE p3 ("a NOT NULL" text NOT NULL, b text NOT NULL, a int NOT NULL);
    ALTER TABLE p ATTACH PARTITION p3 FOR VALUES IN (3);
    CREATE TABLE i (a int CONSTRAINT "NOT NULL" NOT NULL, "B,
    c" int NOT NULL, d int);
    CREATE TABLE i1 () INHERITS (i);
    CREATE TABLE "i 2, i" (a int NOT NULL, e int NOT NULL) INHERITS (i);
    CREATE TABLE i3 (LIKE i INCLUDING ALL, e int NOT NULL);
    ALTER TABLE i3 INHERIT i;
    CREATE TABLE i4 (d int NOT NULL, f bool GENERATED ALWAYS AS (CASE WHEN d IS NOT NULL THEN NOT (e < 1) END) STORED
        NOT NULL) INHERITS ("i 2, i", i3);
    CREATE TABLE k (c int, a int, PRIMARY KEY (a, c));
    CREATE TABLE k1 (PRIMARY KEY (c)) INHERITS (k);
    CREATE TABLE k2 (a int, b int NOT NULL, CONSTRAINT k2_b_not_null CHECK (b IS NOT NULL));
    ALTER TABLE k2 ADD PRIMARY KEY (a);
    ALTER TABLE k2 DROP CONSTRAINT k2_pkey;
    CREATE TABLE range (a int, b int, PRIMARY KEY (b)) PARTITION BY RANGE (b);
    CREATE TABLE range1 PARTITION OF range FOR VALUES FROM (1) TO (2);
    CREATE TYPE pair AS (a int, b int);
    CREATE TABLE typed OF pair (a NOT NULL, b WITH OPTIONS CONSTRAINT n NOT NULL);
    CREATE DOMAIN d AS int CONSTRAINT n NOT NULL CHECK (value IS NOT NULL);
    CREATE FOREIGN DATA WRAPPER wrapper;
    CREATE SERVER server FOREIGN DATA WRAPPER wrapper;
    CREATE FOREIGN TABLE f (a int NOT NULL, "B,
    c" int CONSTRAINT m NOT NULL) INHERITS (i) SERVER server;
    INSERT INTO p (a) VALUES (1), (2), (3);
"""
#: What makes a column or a domain another one, and of which object that is told.
OTHERS: t.Final = {
    "ALTER TABLE p ALTER b DROP NOT NULL": {"table public.p", "table public.p1", "table public.p3"},
    "ALTER TABLE i ALTER d SET NOT NULL": {"table public.i", "table public.i4"},
    "ALTER TABLE i3 ALTER d SET NOT NULL": {"table public.i3", "table public.i4"},
    'ALTER TABLE "i 2, i" ALTER e DROP NOT NULL': {"table public.i 2, i"},
    "ALTER TABLE i4 ALTER f DROP NOT NULL": {"table public.i4"},
    "ALTER TABLE k2 ALTER b DROP NOT NULL": {"table public.k2"},
    "ALTER TABLE typed ALTER b DROP NOT NULL": {"table public.typed"},
    "ALTER TABLE typed ALTER b DROP NOT NULL, ADD CONSTRAINT n NOT NULL b NO INHERIT": {"table public.typed"},
    "ALTER DOMAIN d DROP NOT NULL": {"domain public.d"},
}


def make(server: PostgresServer, name: str, *statements: str) -> None:
    """Make a database anew by the script and what follows."""
    server.drop_database(name)
    server.create_database(name, template="template0")
    for statement in (SCRIPT, *statements):
        execute(server, name, statement)


def differing(case: Case) -> set[str]:
    """Return which definitions a comparison tells of."""
    source, target = endpoint("source", case.source, case.name), endpoint("target", case.target, case.name)
    judge = Judge(target, False, choose_tools(18, 18, ""), 1)
    return {difference.object for difference in judge.judge_by_source(source, False).differences}


@pytest.mark.parametrize("major", ["15", "16"])
def test_what_the_source_cannot_know(servers: Servers, major: str) -> None:
    with new_case(servers.source(major), servers.target("18"), SCRIPT) as case:
        make(case.target, case.name)
        case.stays()
        case.run("INSERT INTO p (a, b) VALUES (1, 'z')")
        sync_target(case)
        case.stays()


def test_what_it_knows(servers: Servers) -> None:
    with new_case(servers.source("15"), servers.target("18"), SCRIPT) as case:
        for statement, objects in OTHERS.items():
            make(case.target, case.name, statement)
            assert differing(case) == objects, statement


def test_names_that_both_know(servers: Servers) -> None:
    with new_case(servers.source("18"), servers.target("18"), SCRIPT) as case:
        make(case.target, case.name)
        assert differing(case) == set()
        execute(case.target, case.name, "ALTER DOMAIN d RENAME CONSTRAINT n TO other")
        assert differing(case) == {"domain public.d"}
        make(case.target, case.name)
        execute(case.target, case.name, "ALTER TABLE range RENAME CONSTRAINT range_b_not_null TO other")
        assert differing(case) == {"table public.range", "table public.range1"}


def test_names_that_the_source_has_given_to_others(servers: Servers) -> None:
    """They are told before anything is done, and what to do about them."""
    script = """
        CREATE DOMAIN d AS int NOT NULL CONSTRAINT d_not_null CHECK (value > 0);
        CREATE TABLE c (a int NOT NULL CONSTRAINT c_a_not_null CHECK (a > 0));
        CREATE TABLE n (a int NOT NULL); ALTER TABLE n ADD CONSTRAINT n_a_not_null CHECK (a > 0) NOT VALID;
        CREATE TABLE u (a int NOT NULL CONSTRAINT u_a_not_null UNIQUE);
        CREATE TABLE f (a int NOT NULL CONSTRAINT f_a_not_null REFERENCES u (a));
    """
    with new_case(servers.source("15"), servers.target("18"), script) as case:
        names = {"check constraint public.n n_a_not_null", "constraint public.u u_a_not_null", "domain public.d"}
        # What needs one of these is not tried.
        assert {*case.finds("constraint-name")} == {("error", name) for name in names}
        case.run("ALTER DOMAIN d RENAME CONSTRAINT d_not_null TO positive")
        case.run("ALTER TABLE n RENAME CONSTRAINT n_a_not_null TO a; ALTER TABLE u RENAME CONSTRAINT u_a_not_null TO a")
        assert case.finds("constraint-name") == [("error", "fk constraint public.f f_a_not_null")]
        case.run("ALTER TABLE f RENAME CONSTRAINT f_a_not_null TO a")
        case.arrives()
        case.stays()
