# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tables a report says to differ."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.earlier import differing_tables

_TABLES: t.Final = [
    {"kind": "table", "schema": "public", "name": "item", "source_rows": 1, "target_rows": 2},
    {"kind": "table", "schema": "public", "name": "gone", "source_rows": 1, "target_rows": None},
    {"kind": "partitioned table", "schema": "a.b", "name": "tree", "source_rows": 3, "target_rows": 3},
    {"kind": "materialized view", "schema": "public", "name": "view", "source_rows": 3, "target_rows": 3},
]
_SEQUENCES: t.Final = [
    {"name": "public.item_id_seq", "owner": ["public", "item"]},
    {"name": "public.free", "owner": None},
]


@pytest.mark.parametrize(
    ("objects", "tables"),
    [
        (["table public.item"], {("public", "item")}),
        (["sequence public.item_id_seq"], {("public", "item")}),
        (["table public.item", "partitioned table a.b.tree"], {("public", "item"), ("a.b", "tree")}),
        # Of these, no selection of tables tells.
        (["table public.item", "sequence public.free"], set()),
        (["table public.item", "materialized view public.view"], set()),
        (["table public.item", "table public.gone"], set()),
        (["table public.item", "function public.f()"], set()),
        (["large object 7"], set()),
    ],
)
def test_differing_tables(objects: list[str], tables: set[tuple[str, str]]) -> None:
    report = {"tables": _TABLES, "sequences": _SEQUENCES, "differences": [{"object": name} for name in objects]}
    assert differing_tables(report) == tables
