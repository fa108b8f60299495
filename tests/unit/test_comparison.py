# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict: equal contents give no difference, and every single change is named."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.schema import Entry
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.checksums import HashedColumn
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.content import Content, Measured, Rows
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.database import DatabaseProperties, Locale
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.foreign_keys import ForeignKey
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.large_objects import LargeObject
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import Kind, Relation
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.sequences import Sequence
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.comparison import compare
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.databases import compare_databases
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.definitions import compare_schemas
from hypothesis import given
from hypothesis import strategies as st

EMPTY = Content("test", (), (), (), ())


def rows(count: int | None, checksum: str = "c") -> Rows | None:
    return None if count is None else Rows(count, checksum)


def table(name: str, count: int, kind: Kind = "table", checksum: str = "c", **other: t.Any) -> Measured:
    return Measured(Relation("public", name, kind, **other), Rows(count, checksum))


def view(held: Rows | None, fresh: Rows | None = None, again: Rows | None = None, *others: Measured) -> Content:
    relation = Relation("public", "m", "materialized view", populated=held is not None)
    read = tuple(other.relation.full_name for other in others)
    return dataclasses.replace(EMPTY, relations=(Measured(relation, held, fresh, again, read), *others))


def other_view(held: Rows | None, fresh: Rows | None) -> Measured:
    return Measured(Relation("public", "other", "materialized view"), held, fresh)


def relations(*measured: Measured) -> Content:
    return dataclasses.replace(EMPTY, relations=measured)


def sequences(*found: Sequence) -> Content:
    return dataclasses.replace(EMPTY, sequences=found)


def large_object(oid: int, size: int, comment: str | None = None, checksum: str = "c") -> Content:
    return dataclasses.replace(EMPTY, large_objects=(LargeObject(oid, size, comment, checksum),))


def keys(*found: ForeignKey) -> Content:
    return dataclasses.replace(EMPTY, foreign_keys=found)


def columns(*names: str) -> tuple[HashedColumn, ...]:
    return tuple(HashedColumn(name, "pg_catalog.int4", "hash", ("pg_catalog", "hashint4extended")) for name in names)


KEY = ForeignKey("fk", "c", "p", "FOREIGN KEY (a) REFERENCES p(a)", True)
LEAF = ("public", "tree")
OTHER_ROWS = "3 rows on both sides, but not the same ones"


@pytest.mark.parametrize(
    ("source", "target", "differences"),
    [
        (
            relations(table("t", 76)),
            relations(table("t", 0)),
            ["table public.t: 76 rows on the source, 0 on the target"],
        ),
        (relations(table("t", 0)), relations(table("t", 1)), ["table public.t: 0 rows on the source, 1 on the target"]),
        (relations(table("t", 3)), relations(table("t", 3, checksum="d")), [f"table public.t: {OTHER_ROWS}"]),
        (relations(table("t", 0)), EMPTY, ["table public.t: missing on the target"]),
        (EMPTY, relations(table("t", 0)), ["table public.t: only on the target"]),
        (
            relations(table("t", 5)),
            relations(table("t", 5, "partitioned table")),
            ["table public.t: a table on the source, a partitioned table on the target"],
        ),
        (
            relations(table("t", 5, hashed=columns("a"))),
            relations(table("t", 5, hashed=columns("a", "b"))),
            ["table public.t: its columns are not the same on both sides"],
        ),
        # Column order and size are no property of the content.
        (
            relations(table("t", 5, columns=("a", "b"), size=1)),
            relations(table("t", 5, columns=("b", "a"), size=9)),
            [],
        ),
        # A partition whose rows may lie elsewhere in the same tree, and the tree itself.
        (relations(table("l", 5, load_through=LEAF)), relations(table("l", 4, load_through=LEAF)), []),
        (relations(table("l", 5, load_through=LEAF)), EMPTY, ["table public.l: missing on the target"]),
        (
            relations(table("tree", 5, "partitioned table")),
            relations(table("tree", 4, "partitioned table")),
            ["partitioned table public.tree: 5 rows on the source, 4 on the target"],
        ),
        (view(rows(3), rows(3)), view(rows(3)), []),
        (view(rows(3), rows(3)), view(rows(3, "d")), [f"materialized view public.m: {OTHER_ROWS}"]),
        (
            view(rows(3), rows(3)),
            view(rows(0)),
            ["materialized view public.m: 3 rows on the source, 0 on the target"],
        ),
        (
            view(rows(3), rows(3)),
            view(None),
            ["materialized view public.m: 3 rows on the source, without data on the target"],
        ),
        (view(None), view(rows(3)), ["materialized view public.m: without data on the source, 3 rows on the target"]),
        (view(None), view(None), []),
        # A stale view is compared with what a refresh would make of it.
        (view(rows(3), rows(4)), view(rows(4)), []),
        (view(rows(3), rows(3, "d"), rows(3, "d")), view(rows(3, "d")), []),
        (
            view(rows(3), rows(3, "d"), rows(3, "d")),
            view(rows(3, "e")),
            [f"materialized view public.m: {OTHER_ROWS}"],
        ),
        # Of one that is never the same twice, there is the same number of rows, or not even that.
        (view(rows(3), rows(3, "d"), rows(3, "e")), view(rows(3, "f")), []),
        (
            view(rows(3), rows(3, "d"), rows(3, "e")),
            view(rows(4, "f")),
            ["materialized view public.m: 3 rows expected, 4 on the target"],
        ),
        (view(rows(3), rows(4, "d"), rows(5, "e")), view(rows(6, "f")), []),
        # One that reads a stale one is what its own query yields on the target; likewise one that no reader may run.
        (
            view(rows(3), rows(3), None, other_view(rows(2), rows(9))),
            view(rows(4), rows(4), None, other_view(rows(9), rows(9))),
            [],
        ),
        (
            view(rows(3), rows(3), None, other_view(rows(2), rows(9))),
            view(rows(3), rows(4), rows(4), other_view(rows(9), rows(9))),
            ["materialized view public.m: it does not hold what its query yields on the target"],
        ),
        (
            view(rows(3), rows(3), None, other_view(rows(2), rows(9))),
            view(rows(4), rows(4, "d"), rows(4, "e"), other_view(rows(9), rows(9))),
            [],
        ),
        (view(rows(3), None), view(rows(3, "d"), rows(3, "d")), []),
        (view(rows(3), None), view(rows(3)), []),
        (view(rows(3), None), view(rows(3, "d")), []),
        # It may have been stale on the source.
        (view(rows(3), None), view(rows(4)), []),
        (
            view(rows(3), rows(4)),
            view(rows(3)),
            ["materialized view public.m: 4 rows on the source, 3 on the target"],
        ),
        (
            sequences(Sequence("public", "s", 7, True)),
            sequences(Sequence("public", "s", 7, False)),
            ["sequence public.s: 7 on the source, 7, not called on the target"],
        ),
        (sequences(Sequence("public", "s", 7, True)), EMPTY, ["sequence public.s: missing on the target"]),
        (EMPTY, sequences(Sequence("public", "s", 7, True)), ["sequence public.s: only on the target"]),
        (
            large_object(1, 5),
            large_object(1, 6),
            ["large object 1: 5 bytes, checksum c on the source, 6 bytes, checksum c on the target"],
        ),
        (
            large_object(1, 5),
            large_object(1, 5, checksum="d"),
            ["large object 1: 5 bytes, checksum c on the source, 5 bytes, checksum d on the target"],
        ),
        (
            large_object(1, 5, "x"),
            large_object(1, 5),
            ["large object 1: 5 bytes, checksum c, comment 'x' on the source, 5 bytes, checksum c on the target"],
        ),
        (
            large_object(1, 5),
            large_object(2, 5),
            ["large object 1: missing on the target", "large object 2: only on the target"],
        ),
        (keys(KEY), EMPTY, ["fk constraint c fk: missing on the target"]),
        (EMPTY, keys(KEY), ["fk constraint c fk: only on the target"]),
        (
            keys(KEY),
            keys(dataclasses.replace(KEY, validated=False)),
            ["fk constraint c fk: validated on one side only"],
        ),
        (
            keys(KEY),
            keys(dataclasses.replace(KEY, definition="FOREIGN KEY (b) REFERENCES p(b)")),
            ["fk constraint c fk: defined otherwise on the target"],
        ),
    ],
)
def test_each_kind_of_difference(source: Content, target: Content, differences: list[str]) -> None:
    verdict = compare(source, target)
    assert [str(difference) for difference in verdict.differences] == differences
    assert verdict.equal == (not differences)


TABLE = Entry("TABLE", "public.t", b"CREATE TABLE public.t (a integer);")
OVERLOADED = [Entry("FUNCTION", "public.f", body) for body in (b"one", b"two")]


@pytest.mark.parametrize(
    ("source", "target", "differences"),
    [
        ([TABLE, *OVERLOADED], [*reversed(OVERLOADED), TABLE], []),
        ([TABLE], [], ["table public.t: missing on the target"]),
        ([], [TABLE], ["table public.t: only on the target"]),
        (
            [TABLE],
            [dataclasses.replace(TABLE, statements=b"CREATE TABLE public.t (a bigint);")],
            [
                "table public.t: defined otherwise on the target (- source, + target):\n"
                "    -CREATE TABLE public.t (a integer);\n    +CREATE TABLE public.t (a bigint);"
            ],
        ),
        (
            OVERLOADED,
            OVERLOADED[:1],
            ["function public.f: defined otherwise on the target (- source, + target):\n    -two"],
        ),
    ],
)
def test_definitions(source: list[Entry], target: list[Entry], differences: list[str]) -> None:
    types, found = compare_schemas(source, target)
    assert [str(difference) for difference in found] == differences
    assert all(type_.equal for type_ in types) == (not differences)


DATABASE = DatabaseProperties(
    "app", 180006, Locale("UTF8", "libc", "C", "C", None, None), (("work_mem", "1MB"),), "comment", 1, "public", True
)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"name": "other", "size": 9, "server_version": 150000, "search_path": "other"}, None),
        ({"settings": ()}, "database setting work_mem: missing on the target"),
        (
            {"settings": (("work_mem", "2MB"),)},
            "database setting work_mem: another value on the target than on the source",
        ),
        # What the live database has besides is its own.
        ({"settings": (*DATABASE.settings, ("timezone", "UTC"))}, None),
        ({"comment": None}, "database comment: missing on the target"),
        ({"has_public": False}, "schema public: missing on the target"),
        (
            {"locale": dataclasses.replace(DATABASE.locale, encoding="LATIN1")},
            "database encoding: UTF8 on the source, LATIN1 on the target",
        ),
    ],
)
def test_properties_of_the_database(change: dict[str, t.Any], difference: str | None) -> None:
    found = compare_databases(DATABASE, dataclasses.replace(DATABASE, **change), with_settings=True)
    assert [str(one) for one in found] == ([difference] if difference else [])


NAMES = st.text("abc", min_size=1, max_size=2)
COUNTS = st.integers(0, 3)


def unique(
    elements: st.SearchStrategy[t.Any], key: t.Callable[[t.Any], object]
) -> st.SearchStrategy[tuple[t.Any, ...]]:
    return st.lists(elements, max_size=4, unique_by=key).map(tuple)


CONTENTS = st.builds(
    Content,
    st.just("test"),
    unique(
        st.builds(
            Measured,
            st.builds(Relation, NAMES, NAMES, st.sampled_from(["table", "partitioned table"])),
            st.builds(Rows, COUNTS, NAMES),
        ),
        lambda measured: (measured.relation.schema, measured.relation.name),
    ),
    unique(st.builds(Sequence, NAMES, NAMES, COUNTS, st.booleans()), str),
    unique(st.builds(LargeObject, st.integers(1, 9), COUNTS, st.none() | NAMES, NAMES), lambda found: found.oid),
    unique(st.builds(ForeignKey, NAMES, NAMES, NAMES, NAMES, st.booleans()), lambda key: (key.table, key.name)),
)


@given(CONTENTS)
def test_equal_contents_are_equal(content: Content) -> None:
    verdict = compare(content, content)
    assert verdict.equal
    for compared in (verdict.tables, verdict.sequences, verdict.large_objects, verdict.foreign_keys):
        assert all(one.equal for one in compared)


@given(CONTENTS, st.data())
def test_every_single_change_is_found(content: Content, data: st.DataObject) -> None:
    """Drop or alter any one element on either side: the verdict is not equal, and names it."""
    compared = ("relations", "sequences", "large_objects", "foreign_keys")
    fields = [field for field in compared if getattr(content, field)]
    if not fields:
        return
    field = data.draw(st.sampled_from(fields))
    elements = list(getattr(content, field))
    position = data.draw(st.integers(0, len(elements) - 1))
    element = elements.pop(position)
    if data.draw(st.booleans()):
        elements.insert(position, data.draw(st.sampled_from(altered(element))))
    change: dict[str, t.Any] = {field: tuple(elements)}
    changed = dataclasses.replace(content, **change)
    for ours, theirs in ((content, changed), (changed, content)):
        verdict = compare(ours, theirs)
        assert not verdict.equal
        assert len(verdict.differences) == 1


def altered(element: t.Any) -> list[t.Any]:
    """Return the element with one property changed, for each that a copy must have."""
    match element:
        case Measured(rows=Rows(count, checksum)):
            return [
                dataclasses.replace(element, rows=Rows(count + 1, checksum)),
                dataclasses.replace(element, rows=Rows(count, f"{checksum}'")),
                dataclasses.replace(element, rows=None),
            ]
        case Sequence():
            return [
                dataclasses.replace(element, last_value=element.last_value + 1),
                dataclasses.replace(element, is_called=not element.is_called),
            ]
        case LargeObject():
            return [
                dataclasses.replace(element, size=element.size + 1),
                dataclasses.replace(element, comment="other"),
                dataclasses.replace(element, checksum=f"{element.checksum}'"),
            ]
        case ForeignKey():
            return [
                dataclasses.replace(element, validated=not element.validated),
                dataclasses.replace(element, definition=f"{element.definition}'"),
            ]
    raise AssertionError(element)


VIEWS = st.builds(
    Measured,
    st.builds(Relation, st.just("public"), st.sampled_from("abc"), st.just("materialized view")),
    *[st.none() | st.builds(Rows, st.integers(0, 1), st.sampled_from("xy"))] * 3,
    st.lists(st.sampled_from([("public", name) for name in "abc"]), max_size=2).map(tuple),
)
LEAVES = st.builds(
    Measured,
    st.builds(Relation, st.just("public"), st.sampled_from("de"), st.just("table"), load_through=st.just(LEAF)),
    st.builds(Rows, st.integers(0, 1), st.sampled_from("xy")),
)
ANY_RELATIONS = unique(VIEWS | LEAVES, lambda measured: measured.relation.full_name).map(
    lambda found: relations(*found)
)


@given(ANY_RELATIONS, ANY_RELATIONS)
def test_nothing_else_stands_beside_equal(source: Content, target: Content) -> None:
    """Numbers and checksums that differ are never in an entry that says equal: what was not compared is not shown."""
    for entry in compare(source, target).tables:
        if entry.equal:
            assert None in (entry.source_rows, entry.target_rows) or entry.source_rows == entry.target_rows
            assert entry.source_checksum == entry.target_checksum
