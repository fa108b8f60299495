# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of filling a schema: everything once, each after what it needs, small things together."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.schema import Entry
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import Relation
from ansible_collections.pgconvoy.migrate.plugins.module_utils.filling.bundles import LARGE
from ansible_collections.pgconvoy.migrate.plugins.module_utils.filling.plan import (
    Analyze,
    CopyRows,
    MakeObjects,
    Once,
    Task,
    plan_filling,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.schedule.work import Graph, Work
from hypothesis import given
from hypothesis import strategies as st

EVERYTHING: t.Final[tuple[Once, ...]] = ("large objects", "sequences", "materialized views")


class Schema:
    """Tables and objects as an archive lists them."""

    def __init__(self) -> None:
        self.relations: list[Relation] = []
        self.pre_data: list[Entry] = []
        self.post_data: list[Entry] = []
        self._number = 0

    def table(self, name: str, size: int = 8192, through: str = "", calls_for: tuple[str, ...] = ()) -> int:
        root = ("public", through) if through else None
        reads = tuple(("public", read) for read in calls_for)
        self.relations.append(Relation("public", name, "table", size=size, load_through=root, calls_for=reads))
        return self._entry(self.pre_data, "TABLE", f"public.{name}")

    def tree(self, name: str, *leaves: str) -> int:
        self.relations.append(
            Relation("public", name, "partitioned table", partitions=tuple(("public", leaf) for leaf in leaves))
        )
        return self._entry(self.pre_data, "TABLE", f"public.{name}")

    def make(self, kind: str, name: str, *needs: int) -> int:
        return self._entry(self.post_data, kind, name, *needs)

    def _entry(self, entries: list[Entry], kind: str, name: str, *needs: int) -> int:
        self._number += 1
        entries.append(Entry(kind, name, b"", self._number, frozenset(needs)))
        return self._number

    def plan(self) -> list[Work[Task]]:
        filled = {relation.full_name for relation in self.relations if relation.kind == "table"}
        return plan_filling(self.relations, filled, self.pre_data, self.post_data, EVERYTHING)

    def steps(self) -> list[str]:
        """Return what one worker does, in its order: each row, object and statistic by name."""
        graph, steps = Graph(self.plan()), list[str]()
        while work := graph.begin():
            steps += describe(work.item)
            graph.end(work)
        assert not graph
        return steps


def describe(task: Task) -> list[str]:
    match task:
        case CopyRows(tables):
            return [f"rows {name}" for _, name in tables]
        case Analyze(tables):
            return [f"statistics {name}" for _, name in tables]
        case MakeObjects(entries):
            return [entry.name for entry in entries]
        case what:
            return [what]


def test_small_tables_are_few_works() -> None:
    schema = Schema()
    for number in range(100):
        table = schema.table(f"t{number}")
        key = schema.make("CONSTRAINT", f"t{number}_pkey", table)
        schema.make("INDEX", f"t{number}_index", table)
        schema.make("FK CONSTRAINT", f"t{number}_self", table, key)
    assert len(schema.plan()) == 4 + len(EVERYTHING)


def test_a_large_table_is_by_itself() -> None:
    """Its indexes wait for nobody else's rows, and the heavier one begins first."""
    schema = Schema()
    small, large = schema.table("small"), schema.table("large", LARGE)
    schema.make("INDEX", "small_index", small)
    schema.make("INDEX", "large_index", large)
    needs = {work.key: work.needs for work in schema.plan()}
    assert next(work.needs for work in schema.plan() if describe(work.item) == ["large_index"]) == {
        ("rows", "large", "public", "large")
    }
    assert ("rows", "small", 0) in needs
    assert schema.steps()[:2] == ["rows large", "large_index"]


def test_what_is_frozen() -> None:
    """Large tables that the archive makes, which can be emptied for it: not an extension's, which may have own rows."""
    schema = Schema()
    schema.table("large", LARGE)
    schema.table("small")
    schema.table("leaf", LARGE, through="tree")
    schema.table("setting", LARGE)
    schema.pre_data = [entry for entry in schema.pre_data if entry.name != "public.setting"]
    copied = [work.item for work in schema.plan() if isinstance(work.item, CopyRows)]
    assert {name: item.frozen for item in copied for _, name in item.tables} == {
        "large": True,
        "small": False,
        "leaf": False,
        "setting": False,
    }


def test_an_index_and_a_constraint_of_one_table_are_not_made_at_once() -> None:
    schema = Schema()
    large = schema.table("large", LARGE)
    for kind, name in (("INDEX", "one"), ("INDEX", "two"), ("CONSTRAINT", "key")):
        schema.make(kind, name, large)
    works = {describe(work.item)[0]: work for work in schema.plan()}
    assert works["one"].shared == works["two"].shared == works["key"].alone == {("public", "large")}


def test_partitions_that_are_loaded_through_the_root_are_indexed_when_all_rows_are_in() -> None:
    schema = Schema()
    root = schema.tree("tree", "a", "b")
    leaves = [schema.table(name, LARGE, through="tree") for name in "ab"]
    roots = schema.make("INDEX", "tree_index", root)
    indexes = [schema.make("INDEX", f"{leaf}_index", number) for leaf, number in zip("ab", leaves, strict=True)]
    for leaf, number, index in zip("ab", leaves, indexes, strict=True):
        schema.make("INDEX ATTACH", f"attach {leaf}", number, root, roots, index)
    steps = schema.steps()
    assert max(steps.index("rows a"), steps.index("rows b")) < min(steps.index("a_index"), steps.index("b_index"))
    assert steps.index("tree_index") < steps.index("a_index") < steps.index("attach b")


@pytest.mark.parametrize("size", [8192, LARGE])
def test_rows_that_functions_read_come_first(size: int) -> None:
    """Also by way of a tree; tables that need each other are copied all the same."""
    schema = Schema()
    schema.table("a", size, calls_for=("m",))
    schema.table("m", size, calls_for=("tree",))
    schema.tree("tree", "y", "z")
    for name in "yz":
        schema.table(name, size)
    schema.table("this", size, calls_for=("that",))
    schema.table("that", size, calls_for=("this",))
    steps = schema.steps()
    order = [steps.index(f"rows {name}") for name in "zma"]
    assert order == sorted(order)
    assert steps.index("rows y") < steps.index("rows m")
    assert {"rows this", "rows that"} <= {*steps}


def test_what_fires_comes_last_and_views_before_it() -> None:
    schema = Schema()
    table = schema.table("t")
    schema.make("EVENT TRIGGER", "watch")
    schema.make("TRIGGER", "touch", table)
    schema.make("FK CONSTRAINT", "key", table)
    view = schema.make("VIEW", "by_key", table)
    schema.make("INDEX", "of_view", view)
    assert schema.steps()[-5:] == ["touch", "by_key", "of_view", "materialized views", "watch"]


def test_a_comment_stays_with_its_object() -> None:
    schema = Schema()
    index = schema.make("INDEX", "index", schema.table("large", LARGE))
    schema.make("COMMENT", "on index", index)
    assert "on index" in [describe(work.item)[-1] for work in schema.plan() if describe(work.item)[0] == "index"]


@pytest.mark.parametrize("size", [8192, LARGE])
def test_a_key_comes_after_the_rows_and_statistics_of_both_sides(size: int) -> None:
    schema = Schema()
    child, parent = schema.table("child", size), schema.table("parent")
    unique = schema.make("CONSTRAINT", "parent_pkey", parent)
    schema.make("FK CONSTRAINT", "key", child, parent, unique)
    steps = schema.steps()
    before = {"rows child", "rows parent", "parent_pkey", "statistics child", "statistics parent"}
    assert before <= set(steps[: steps.index("key")])


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Draw tables of any size, and objects of them that need some of those before."""
    schema = Schema()
    tables = [schema.table(f"t{place}", draw(st.sampled_from([0, LARGE // 2, LARGE]))) for place in range(4)]
    tables.append(schema.tree("tree", "t0", "t1"))
    made: list[int] = []
    for place in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["CONSTRAINT", "FK CONSTRAINT", "INDEX", "TRIGGER", "VIEW", "EVENT TRIGGER"]))
        # An index of a partitioned table has no rows of its own to wait for.
        of_one = kind in ("CONSTRAINT", "INDEX")
        subjects = draw(st.lists(st.sampled_from(tables[:-1] if of_one else tables), min_size=1, max_size=2))
        # Keys depend on the unique constraints that they refer to, and views on keys: never the other way.
        allowed = made if kind in ("FK CONSTRAINT", "TRIGGER", "VIEW") else []
        needs = draw(st.lists(st.sampled_from(allowed), max_size=2)) if allowed else []
        number = schema.make(kind, f"{kind} {place}", *subjects, *needs)
        if kind == "CONSTRAINT":
            made.append(number)
    return schema


@given(schemas())
def test_everything_is_done_once_after_what_it_needs(schema: Schema) -> None:
    steps = schema.steps()
    wanted = [entry.name for entry in schema.post_data]
    wanted += [f"{what} t{place}" for place in range(4) for what in ("rows", "statistics")]
    assert sorted(steps) == sorted([*wanted, *EVERYTHING])
    names = {entry.number: entry.name for entry in schema.pre_data + schema.post_data}
    for entry in schema.post_data:
        for name in map(names.__getitem__, entry.needs):
            before = ["rows t0", "rows t1"] if name == "public.tree" else [name.replace("public.", "rows ")]
            assert max(map(steps.index, before)) < steps.index(entry.name)
