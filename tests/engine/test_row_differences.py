# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a table differs, its rows are found, counted and named."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import secrets
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import list_relations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows import differing
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.row_differences import (
    RowDifferences,
    find_row_differences,
)

from tests.case import execute
from tests.migration import endpoint
from tests.servers import Servers


@dataclasses.dataclass(frozen=True)
class Pair:
    """A database of one name on both servers."""

    servers: Servers
    name: str

    def empty(self) -> None:
        """Remove whatever a test has made."""
        for server in (self.servers.source(), self.servers.target()):
            execute(server, self.name, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def find(self, both: str, only_source: str = "", only_target: str = "") -> RowDifferences:
        """Run the statements, and compare the table ``t``."""
        source, target = self.servers.source(), self.servers.target()
        execute(source, self.name, both + ";" + only_source)
        execute(target, self.name, both + ";" + only_target)
        with (
            exported_snapshot(endpoint("source", source, self.name)) as here,
            exported_snapshot(endpoint("target", target, self.name)) as there,
        ):
            (relation,) = [relation for relation in list_relations(here.session) if relation.name == "t"]
            return find_row_differences(here.session, there.session, relation)


@pytest.fixture(scope="module")
def databases(servers: Servers) -> t.Iterator[Pair]:
    """Give the databases that all tests use."""
    name = f"rows_{secrets.token_hex(4)}"
    with contextlib.ExitStack() as stack:
        for server in (servers.source(), servers.target()):
            server.create_database(name)
            stack.callback(server.drop_database, name)
        yield Pair(servers, name)


@pytest.fixture
def pair(databases: Pair) -> Pair:
    """Give the databases empty."""
    databases.empty()
    return databases


def counts(found: RowDifferences) -> tuple[int, int, int]:
    return found.missing, found.extra, found.changed


KEYED = """
    CREATE TABLE t (id int PRIMARY KEY, v text, n numeric, at timestamptz);
    INSERT INTO t SELECT g, 'v' || g, g, to_timestamp(g) FROM generate_series(1, 1000) g
"""


@pytest.mark.parametrize(
    ("only_source", "only_target", "said"),
    [
        ("", "", ""),
        ("", "DELETE FROM t WHERE id = 7", "1 missing: (7)"),
        ("", "INSERT INTO t VALUES (0)", "1 extra: (0)"),
        ("", "UPDATE t SET v = upper(v) WHERE id = 7", "1 changed in v: (7)"),
        ("", "UPDATE t SET n = 7.0, at = NULL WHERE id = 7", "1 changed in at, n: (7)"),
        # Whichever side was changed, the target is what differs.
        ("DELETE FROM t WHERE id = 7", "", "1 extra: (7)"),
        ("", "UPDATE t SET id = 2000 WHERE id = 7", "1 missing: (7); 1 extra: (2000)"),
        (
            "",
            "DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (0); UPDATE t SET n = NULL WHERE id = 2",
            "1 missing: (1); 1 extra: (0); 1 changed in n: (2)",
        ),
    ],
)
def test_one_row(pair: Pair, only_source: str, only_target: str, said: str) -> None:
    assert str(pair.find(KEYED, only_source, only_target)) == said


def test_two_rows_exchange_a_value(pair: Pair) -> None:
    found = pair.find(KEYED, "", "UPDATE t SET v = 'v' || 3 - id WHERE id IN (1, 2)")
    assert counts(found) == (0, 0, 2)
    assert found.columns == ("v",)
    assert sorted(found.examples["changed"]) == ["(1)", "(2)"]


def test_of_many_all_are_counted_and_some_named(pair: Pair) -> None:
    found = pair.find(
        KEYED,
        "",
        "DELETE FROM t WHERE id <= 100; UPDATE t SET v = '' WHERE id > 900;"
        " INSERT INTO t SELECT -g FROM generate_series(1, 6) g",
    )
    assert counts(found) == (100, 6, 100)
    assert [len(found.examples[kind]) for kind in ("missing", "extra", "changed")] == [5, 5, 5]
    said = str(found)
    assert said.startswith("100 missing: (")
    assert "; 6 extra: (-" in said
    assert "; 100 changed in v: (" in said
    assert said.count(", ...") == 3


def test_every_row(pair: Pair) -> None:
    assert counts(pair.find(KEYED, "", "UPDATE t SET n = n + 0.00")) == (0, 0, 1000)


@pytest.mark.parametrize(
    ("only_source", "only_target", "expected"),
    [("", "TRUNCATE t", (1000, 0, 0)), ("TRUNCATE t", "", (0, 1000, 0)), ("TRUNCATE t", "TRUNCATE t", (0, 0, 0))],
)
def test_all_or_nothing(pair: Pair, only_source: str, only_target: str, expected: tuple[int, int, int]) -> None:
    assert counts(pair.find(KEYED, only_source, only_target)) == expected


def test_more_rows_than_fetched_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few groups put every row side by side; only the differing ones are told."""
    monkeypatch.setattr(differing, "_FIRST_BITS", 1)
    monkeypatch.setattr(differing, "_MOST_GROUPS", 0)
    many = """
        CREATE TABLE t (id int PRIMARY KEY, v text);
        INSERT INTO t SELECT g, 'v' FROM generate_series(1, 25000) g
    """
    found = pair.find(many, "", "DELETE FROM t WHERE id % 5000 = 0; UPDATE t SET v = 'w' WHERE id = 1")
    assert counts(found) == (5, 0, 1)
    assert sorted(found.examples["missing"]) == ["(10000)", "(15000)", "(20000)", "(25000)", "(5000)"]
    assert found.examples["changed"] == ["(1)"]


def test_narrowing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups become finer while there are many rows in each, and where a key has many rows, not for ever."""
    monkeypatch.setattr(differing, "_FIRST_BITS", 1)
    monkeypatch.setattr(differing, "_MORE_BITS", 2)
    monkeypatch.setattr(differing, "_FEW_ROWS", 3)
    assert str(pair.find(KEYED, "", "UPDATE t SET v = '' WHERE id = 7")) == "1 changed in v: (7)"
    pair.empty()
    alike = "CREATE TABLE t (a int); INSERT INTO t SELECT 1 FROM generate_series(1, 100)"
    assert counts(pair.find(alike, "INSERT INTO t VALUES (1), (2)", "")) == (2, 0, 0)


def test_key_of_several_columns(pair: Pair) -> None:
    """They are told in the order that they have in the key."""
    made = """
        CREATE TABLE t (b text, v int, a numeric, PRIMARY KEY (b, a));
        INSERT INTO t SELECT 'k' || g % 3, g, g FROM generate_series(1, 9) g
    """
    assert str(pair.find(made, "", "UPDATE t SET v = 0 WHERE a = 5")) == "1 changed in v: (k2,5)"


def test_key_of_a_type_whose_equality_is_not_identity(pair: Pair) -> None:
    made = "CREATE TABLE t (id numeric PRIMARY KEY); INSERT INTO t VALUES (1.0), (2)"
    found = pair.find(made, "", "UPDATE t SET id = 1.00 WHERE id = 1")
    assert str(found) == "1 missing: (1.0); 1 extra: (1.00)"


KEYLESS = "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (1, 'x'), (1, 'x'), (NULL, NULL), (2, '')"


@pytest.mark.parametrize(
    ("only_target", "said"),
    [
        ("", ""),
        ("INSERT INTO t VALUES (1, 'x')", "1 extra: #"),
        ("DELETE FROM t WHERE ctid = '(0,1)'", "1 missing: #"),
        ("DELETE FROM t WHERE a = 1", "3 missing: #, #, #"),
        # As many rows, and one of them not the same: a row without a key cannot be changed, but gone and come.
        ("UPDATE t SET b = 'y' WHERE ctid = '(0,1)'", "1 missing: #; 1 extra: #"),
        ("UPDATE t SET b = NULL WHERE a = 2", "1 missing: #; 1 extra: #"),
        ("DELETE FROM t WHERE a IS NULL", "1 missing: #"),
        ("DELETE FROM t WHERE ctid = '(0,1)'; INSERT INTO t VALUES (NULL, NULL)", "1 missing: #; 1 extra: #"),
    ],
)
def test_table_without_key(pair: Pair, only_target: str, said: str) -> None:
    """Its rows' values are nobody's to read in a report: a part of each row's hash stands for it."""
    found = pair.find(KEYLESS, "", only_target)
    assert re.sub("#[0-9a-f]{8}", "#", str(found)) == said
    assert not found.columns


def test_table_without_columns(pair: Pair) -> None:
    found = pair.find("CREATE TABLE t ()", "INSERT INTO t SELECT FROM generate_series(1, 3)", "INSERT INTO t SELECT")
    assert re.fullmatch("2 missing: (#[0-9a-f]{8}), \\1", str(found))


def test_parent_of_other_tables(pair: Pair) -> None:
    """The rows of the children are not its own."""
    made = "CREATE TABLE t (id int); CREATE TABLE child () INHERITS (t); INSERT INTO t VALUES (1)"
    assert str(pair.find(made, "INSERT INTO child VALUES (2)")) == ""
    pair.empty()
    assert re.fullmatch("1 missing: #[0-9a-f]{8}", str(pair.find(made, "INSERT INTO t VALUES (2)")))


def test_names_that_need_quotes(pair: Pair) -> None:
    made = 'CREATE TABLE t ("a ""b%s" int PRIMARY KEY, "{0}" text); INSERT INTO t VALUES (1, \'\')'
    assert str(pair.find(made, "", "UPDATE t SET \"{0}\" = '%s'")) == "1 changed in {0}: (1)"
