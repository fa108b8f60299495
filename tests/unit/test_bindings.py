# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the same words are bound to on both sides."""

from __future__ import annotations

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.bindings import Binding
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import Selection
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.bindings import compare_bindings

VIEW = Binding("view public.v", "public.v", ("operator ext.=(ext.citext,ext.citext)",))
OTHER = Binding("view public.v", "public.v", ("operator ext.=(ext.hstore,ext.hstore)",))
SAME = Binding("view public.v", "public.v", VIEW.uses, ("operator ext.=(ext.citext,ext.citext)",))
BESIDE = Binding("view public.v", "public.v", VIEW.uses, ("NULLIF by operator =(text,text)", *VIEW.uses))
FUNCTION = Binding("function public.f()", None, ("function public.g()",))
LOST = "operator ext.=(ext.citext,ext.citext) on the source alone"


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ([VIEW, FUNCTION], [FUNCTION, VIEW], []),
        # All that is left on the target is what every server has: no binding at all.
        ([VIEW], [], [f"view public.v: its text is bound to something else: {LOST}"]),
        (
            [VIEW],
            [OTHER],
            [
                f"view public.v: its text is bound to something else: {LOST};"
                " operator ext.=(ext.hstore,ext.hstore) on the target alone"
            ],
        ),
        (
            [SAME],
            [BESIDE],
            ["view public.v: its text is bound to something else: NULLIF by operator =(text,text) on the target alone"],
        ),
        # An older archive does not tell.
        ([VIEW], [BESIDE], []),
        (
            [],
            [FUNCTION],
            ["function public.f(): its text is bound to something else: function public.g() on the target alone"],
        ),
    ],
)
def test_bindings(source: list[Binding], target: list[Binding], told: list[str]) -> None:
    assert [str(difference) for difference in compare_bindings(source, target)] == told


def test_selected_tables_alone() -> None:
    assert compare_bindings([VIEW], [], Selection(frozenset({("public", "t")}))) == ()
    assert compare_bindings([VIEW], [], Selection(frozenset({("public", "v")}))) != ()


@pytest.mark.parametrize(
    ("redefined", "told"),
    [
        (["view public.v"], 1),
        (["function public.f()"], 1),
        # A rule or a trigger is part of its relation, whatever is told of that.
        (["rule public.v r", "function public.f()"], 0),
        (["view public.vv", "table public.f"], 2),
    ],
)
def test_what_is_defined_otherwise(redefined: list[str], told: int) -> None:
    """It is bound otherwise anyway, and was told already."""
    assert len(compare_bindings([VIEW], [FUNCTION], redefined=redefined)) == told
