# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns select tables as documented, and say so when they cannot."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import Relation
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import Patterns, Selection, select
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError

RELATIONS: t.Final = [
    Relation("public", "orders", "table"),
    Relation("public", "order_lines", "table"),
    Relation("public", "Odd.name", "table"),
    Relation("sales", "orders", "table"),
    Relation("public", "monthly", "materialized view"),
    Relation("public", "events", "partitioned table", partitions=(("parts", "e1"), ("parts", "e2"))),
    Relation("parts", "e1", "table"),
    Relation("parts", "e2", "table"),
    Relation("public", "none_yet", "partitioned table"),
]


def chosen(include: str = "", exclude: str = "") -> str:
    selection = select(RELATIONS, Patterns(tuple(include.split()), tuple(exclude.split())))
    return " ".join(sorted(selection.labels))


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ("orders", "", "public.orders"),
        ("public.orders", "", "public.orders"),
        ("order*", "", "public.order_lines public.orders"),
        ("*.orders", "", "public.orders sales.orders"),
        ("sales.*", "", "sales.orders"),
        ("public.Odd.name", "", "public.Odd.name"),
        ("[n-z]*", "", "public.order_lines public.orders"),
        ("events", "", "parts.e1 parts.e2 public.events"),
        ("parts.e?", "", "parts.e1 parts.e2 public.events"),
        ("parts.e1", "", "parts.e1"),
        ("events orders", "parts.e1", "parts.e2 public.orders"),
        ("events orders", "events", "public.orders"),
        ("", "events order*", "public.Odd.name sales.orders"),
        ("", "sales.*", "parts.e1 parts.e2 public.Odd.name public.events public.order_lines public.orders"),
    ],
)
def test_selects(include: str, exclude: str, expected: str) -> None:
    assert chosen(include, exclude) == expected


@pytest.mark.parametrize(
    ("include", "exclude", "message"),
    [
        ("ordesr", "", '"ordesr" of include_tables matches no table of the schema public'),
        ("orders ORDERS", "", '"ORDERS" of include_tables matches no table'),
        ("orders", "audit.*", '"audit.*" of exclude_tables matches no table'),
        ("monthly", "", '"monthly" of include_tables matches no table'),
        ("a.b c.d", "e.f", '"a.b" of include_tables matches no table; "c.d" of include_tables matches no table; "e.f"'),
        ("orders", "order*", "together leave no table"),
        ("none_yet", "", "together leave no table"),
    ],
)
def test_refuses(include: str, exclude: str, message: str) -> None:
    with pytest.raises(MigrationError) as caught:
        chosen(include, exclude)
    assert message in str(caught.value)


def test_a_tree_whose_rows_may_lie_elsewhere_is_taken_as_a_whole() -> None:
    leaves = [Relation("public", leaf, "table", load_through=("public", "moods")) for leaf in ("m1", "m2")]
    tree = Relation("public", "moods", "partitioned table", partitions=(("public", "m1"), ("public", "m2")))
    relations = [tree, *leaves]
    assert select(relations, Patterns(("moods",))).trees == {("public", "moods")}
    with pytest.raises(MigrationError, match=r"public\.m1: .* public\.moods .* as a whole"):
        select(relations, Patterns(("m1",)))


def test_membership() -> None:
    selection = Selection(frozenset({("public", "a")}), frozenset({("public", "tree")}))
    assert ("public", "a") in selection
    assert ("public", "tree") in selection
    assert ("sales", "a") not in selection
    assert not Patterns()
    assert Patterns(exclude=("a",))
