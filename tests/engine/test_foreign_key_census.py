# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true of a foreign key's rows, whatever the server says of it."""

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import orphans
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.orphans import Census, take_census
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import list_relations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.batches import Question, Rows, ask_all
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Session

from tests.case import new_case
from tests.migration import endpoint
from tests.servers import Servers

#: Rows that nobody checks.
UNCHECKED: t.Final = "SET session_replication_role = replica;"


@pytest.fixture
def census(servers: Servers) -> t.Callable[[str], dict[str, Census]]:
    """Give the census of a database that a script makes, by the keys' names."""

    def take(script: str) -> dict[str, Census]:
        with (
            new_case(servers.source(), servers.target(), script) as case,
            exported_snapshot(endpoint("source", case.source, case.name)) as snapshot,
        ):
            found = take_census(snapshot, 2, "pg_catalog", relations=list_relations(snapshot.session))
            return {counted.key.name: counted for counted in found}

    return take


TakeCensus = t.Callable[[str], dict[str, Census]]


def figures(counted: Census) -> tuple[int, int, int]:
    """Return how many orphans there are, how many of them are named, and how many rows refer to nothing."""
    return counted.orphans, len(counted.examples), counted.null_rows


def test_one_column(census: TakeCensus) -> None:
    found = census(f"""
        CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int CONSTRAINT k REFERENCES p);
        INSERT INTO p VALUES (1); INSERT INTO c VALUES (1), (1), (NULL);
        {UNCHECKED} INSERT INTO c SELECT 100 - g % 7 FROM generate_series(1, 14) g
    """)["k"]
    # Fourteen rows, seven different ones, five of which are named, by a part of their hash.
    assert figures(found) == (14, 5, 1)
    assert all(re.fullmatch("#[0-9a-f]{8}", example) for example in found.examples)
    assert (found.key.table, found.key.references, found.key.validated) == ("public.c", "public.p", True)
    assert str(found.key) == "fk constraint public.c k"
    assert found.cycle == ()


def test_empty_tables(census: TakeCensus) -> None:
    found = census("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int CONSTRAINT k REFERENCES p)")
    assert figures(found["k"]) == (0, 0, 0)


SEVERAL: t.Final = """
    CREATE TABLE p (a int, b text, PRIMARY KEY (a, b)); INSERT INTO p VALUES (1, 'x');
    CREATE TABLE c (fb text, fa int, CONSTRAINT k FOREIGN KEY (fa, fb) REFERENCES p {match});
    SET session_replication_role = replica;
    INSERT INTO c (fa, fb) VALUES (1, 'x'), (1, 'y'), (NULL, NULL), (NULL, NULL), (NULL, 'x'), (1, NULL)
"""


def test_several_columns_match_simple(census: TakeCensus) -> None:
    """A row with any NULL refers to nothing."""
    assert figures(census(SEVERAL.format(match="MATCH SIMPLE"))["k"]) == (1, 1, 4)


def test_several_columns_match_full(census: TakeCensus) -> None:
    """A row must be NULL in all columns or in none."""
    assert figures(census(SEVERAL.format(match="MATCH FULL"))["k"]) == (3, 3, 2)


def test_one_column_match_full(census: TakeCensus) -> None:
    found = census("""
        CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int CONSTRAINT k REFERENCES p MATCH FULL);
        INSERT INTO c VALUES (NULL)
    """)
    assert figures(found["k"]) == (0, 0, 1)


def test_not_valid(census: TakeCensus) -> None:
    found = census("""
        CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int); INSERT INTO c VALUES (9);
        ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p NOT VALID
    """)["k"]
    assert figures(found) == (1, 1, 0)
    assert not found.key.validated


def test_partitioned_tables(census: TakeCensus) -> None:
    """A key from and to partitioned tables is one key, not one a partition, and sees all rows."""
    found = census(f"""
        CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (10);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
        CREATE TABLE c (id int, p int, CONSTRAINT k FOREIGN KEY (p) REFERENCES p) PARTITION BY LIST (id);
        CREATE TABLE c1 PARTITION OF c FOR VALUES IN (1); CREATE TABLE c2 PARTITION OF c DEFAULT;
        INSERT INTO p VALUES (1), (11); INSERT INTO c VALUES (1, 11), (2, 1), (3, NULL);
        {UNCHECKED} INSERT INTO c VALUES (1, 5), (2, 15)
    """)
    assert {name: figures(counted) for name, counted in found.items()} == {"k": (2, 2, 1)}


def test_rows_of_inheritance_children_count_for_nothing(census: TakeCensus) -> None:
    """The server looks at the tables themselves on both sides of a key."""
    found = census(f"""
        CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE p_child () INHERITS (p); INSERT INTO p_child VALUES (1);
        CREATE TABLE c (p int CONSTRAINT k REFERENCES p); CREATE TABLE c_child () INHERITS (c);
        INSERT INTO c_child VALUES (2); {UNCHECKED} INSERT INTO c VALUES (1)
    """)
    assert figures(found["k"]) == (1, 1, 0)


def test_cycles(census: TakeCensus) -> None:
    found = census("""
        CREATE TABLE self (id int PRIMARY KEY, parent int CONSTRAINT self_k REFERENCES self);
        CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, c int);
        CREATE TABLE c (id int PRIMARY KEY, a int CONSTRAINT c_a REFERENCES a);
        ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES b;
        ALTER TABLE b ADD CONSTRAINT b_c FOREIGN KEY (c) REFERENCES c;
        CREATE TABLE leaf (a int CONSTRAINT leaf_a REFERENCES a);
        INSERT INTO self VALUES (1, 1), (2, NULL)
    """)
    assert {name: set(counted.cycle) for name, counted in found.items()} == {
        "self_k": {"public.self"},
        "a_b": {"public.a", "public.b", "public.c"},
        "b_c": {"public.a", "public.b", "public.c"},
        "c_a": {"public.a", "public.b", "public.c"},
        "leaf_a": set(),
    }
    assert figures(found["self_k"]) == (0, 0, 1)


def test_types_and_collations_of_the_two_sides_differ(census: TakeCensus) -> None:
    """The comparison is the server's own: by the key's operator, under the referenced column's collation."""
    found = census(f"""
        CREATE TABLE p (id numeric PRIMARY KEY, t varchar COLLATE "C" UNIQUE); INSERT INTO p VALUES (1.0, 'x');
        CREATE TABLE c (i int CONSTRAINT numbers REFERENCES p,
            t text COLLATE "POSIX" CONSTRAINT texts REFERENCES p (t));
        INSERT INTO c VALUES (1, 'x'); {UNCHECKED} INSERT INTO c VALUES (2, 'X')
    """)
    assert figures(found["numbers"]) == (1, 1, 0)
    assert figures(found["texts"]) == (1, 1, 0)


def test_operators_and_tables_out_of_the_search_path(census: TakeCensus) -> None:
    """A type of an extension brings its operator; names need quotes."""
    found = census(f"""
        CREATE SCHEMA "Ext 1"; CREATE EXTENSION citext SCHEMA "Ext 1"; CREATE SCHEMA "S""%s";
        CREATE TABLE "S""%s"."P %" ("Id {{}}" "Ext 1".citext PRIMARY KEY);
        CREATE TABLE "S""%s".c ("p'" "Ext 1".citext CONSTRAINT k REFERENCES "S""%s"."P %");
        INSERT INTO "S""%s"."P %" VALUES ('a'); INSERT INTO "S""%s".c VALUES ('A');
        {UNCHECKED} INSERT INTO "S""%s".c VALUES ('b')
    """)
    assert figures(found["k"]) == (1, 1, 0)
    assert str(found["k"].key) == 'fk constraint S"%s.c k'


TEMPORAL: t.Final = """
    CREATE TABLE p (id int4range, valid_at daterange, PRIMARY KEY (id, valid_at WITHOUT OVERLAPS));
    CREATE TABLE c (n int PRIMARY KEY, p int4range, valid_at daterange,
        CONSTRAINT k FOREIGN KEY (p, PERIOD valid_at) REFERENCES p (id, PERIOD valid_at));
    INSERT INTO p VALUES ('[1,1]', '[2020-01-01,2020-06-01)'), ('[1,1]', '[2020-06-01,2021-01-01)'),
        ('[1,1]', '[2022-01-01,)'), ('[2,2]', '[2019-01-01,2023-01-01)');
    INSERT INTO c VALUES (1, '[1,1]', '[2020-02-01,2020-12-01)'), (2, NULL, '[2020-01-01,)'), (3, '[2,2]', NULL),
        (4, '[1,1]', '[2023-01-01,)');
"""


def test_period(census: TakeCensus) -> None:
    """From 18 on: all of it must lie within those of the parents together, not just meet one."""
    assert figures(census(TEMPORAL)["k"]) == (0, 0, 2)
    broken = census(f"""{TEMPORAL} {UNCHECKED}
        INSERT INTO c VALUES (5, '[1,1]', '[2020-12-01,2021-02-01)'), (6, '[1,1]', '[2020-01-01,2022-02-01)'),
            (7, '[2,2]', '[2018-01-01,2018-02-01)'), (8, '[3,3]', '[2020-01-01,2020-02-01)'), (9, '[2,2]', '(,)')
    """)["k"]
    assert (broken.orphans, broken.null_rows) == (5, 2)


def test_period_of_several_ranges(census: TakeCensus) -> None:
    made = """
        CREATE TABLE p (id int4range, valid_at datemultirange, PRIMARY KEY (id, valid_at WITHOUT OVERLAPS));
        CREATE TABLE c (p int4range, valid_at datemultirange,
            CONSTRAINT k FOREIGN KEY (p, PERIOD valid_at) REFERENCES p (id, PERIOD valid_at));
        INSERT INTO p VALUES ('[1,1]', '{[2020-01-01,2020-06-01),[2021-01-01,2021-06-01)}');
        INSERT INTO c VALUES ('[1,1]', '{[2020-02-01,2020-03-01),[2021-02-01,2021-03-01)}');
    """
    assert figures(census(made)["k"]) == (0, 0, 0)
    broken = f"{made} {UNCHECKED} INSERT INTO c VALUES ('[1,1]', '{{[2020-02-01,2021-02-01)}}')"
    assert figures(census(broken)["k"])[0] == 1


def test_orphans_are_named_by_their_primary_key(census: TakeCensus) -> None:
    """By no other value: what they refer to may be somebody's mail, and so may what an index includes."""
    found = census(f"""
        CREATE TABLE p (mail text PRIMARY KEY);
        CREATE TABLE c (b int, mail text CONSTRAINT k REFERENCES p, a int, note text,
            PRIMARY KEY (a, b) INCLUDE (note));
        CREATE TABLE tree (mail text CONSTRAINT t REFERENCES p, id int PRIMARY KEY) PARTITION BY LIST (id);
        CREATE TABLE leaf PARTITION OF tree DEFAULT;
        {UNCHECKED} INSERT INTO c VALUES (2, 'canary', 1, 'canary'); INSERT INTO tree VALUES ('canary', 7)
    """)
    assert found["k"].examples == ("(1,2)",)
    assert found["t"].examples == ("(7)",)


MANY: t.Final = """
    CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1);
    DO $$ BEGIN FOR i IN 1..120 LOOP
        EXECUTE format('CREATE TABLE c%s (p int CONSTRAINT k%1$s REFERENCES p)', i);
        EXECUTE format('INSERT INTO c%s SELECT nullif(g, 0) FROM generate_series(0, 1) g, generate_series(1, %1$s)', i);
    END LOOP; END $$;
"""


def test_many_keys_are_asked_of_together(census: TakeCensus, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def count(session: Session, *questions: Question, search_path: str | None = None) -> list[Rows]:
        asked.append(len(questions))
        return ask_all(session, *questions, search_path=search_path)

    monkeypatch.setattr(orphans, "ask_all", count)
    found = census(MANY)
    assert {name: figures(counted) for name, counted in found.items()} == {f"k{i}": (0, 0, i) for i in range(1, 121)}
    assert sorted(asked) == [20, 50, 50]


def test_what_is_wrong_with_one_of_many_keys(census: TakeCensus) -> None:
    found = census(f"{MANY} {UNCHECKED} INSERT INTO c7 VALUES (3)")
    assert {name: figures(counted) for name, counted in found.items()} == {
        f"k{i}": (int(i == 7), int(i == 7), i) for i in range(1, 121)
    }
