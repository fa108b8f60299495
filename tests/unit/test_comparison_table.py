# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that a person sees at the terminal."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.comparison_table import columns, draw
from hypothesis import given
from hypothesis import strategies as st


def _table(name: str, source: int | None = 3, target: int | None = 3, schema: str = "public") -> dict[str, t.Any]:
    return {"schema": schema, "name": name, "source_rows": source, "target_rows": target, "equal": source == target}


def _lines(*tables: dict[str, t.Any]) -> list[str]:
    return [line for line, _ in draw(tables)]


def test_columns_are_aligned() -> None:
    """Names to the left, numbers to the right; wide characters take two columns, accents on top of others none."""
    assert _lines(_table("users", 12345, 12345), _table("表格", 5, None), _table("e\u0301", 0, 0)) == [
        "Table        | Source | Target | Status",
        "-------------+--------+--------+----------",
        "public.表格  |      5 |      - | DIFFERENT",
        "public.users | 12,345 | 12,345 | equal",
        "public.e\u0301     |      0 |      0 | equal",
    ]


def test_what_differs_comes_first_and_is_marked() -> None:
    """So that it can be told in another color."""
    _, _, first, second = draw([_table("a"), _table("b", 1, 2)])
    assert ("b" in first[0], first[1], second[1]) == (True, "bad", "good")


@pytest.mark.parametrize(
    ("compared", "told"),
    [
        ("rows", "equal"),
        ("query", "equal to its query"),
        ("count", "equal in number"),
        ("tree", "equal as a tree"),
        ("nothing", "not compared"),
    ],
)
def test_no_more_is_said_than_was_compared(compared: str, told: str) -> None:
    (line,) = _lines({**_table("t"), "compared": compared})[2:]
    assert line == f"public.t |      3 |      3 | {told}"
    (line,) = _lines({**_table("t", 1, 2), "compared": compared})[2:]
    assert line.endswith("DIFFERENT")


def test_no_tables_no_table() -> None:
    """A run that broke off before its comparison has nothing to show."""
    assert draw([]) == []


@pytest.mark.parametrize(
    ("equal", "shown", "last"),
    [(40, 40, ""), (41, 40, "and 1 more, all equal"), (1545, 40, "and 1,505 more, all equal")],
)
def test_long_tables_are_summed_up(equal: int, shown: int, last: str) -> None:
    """Whatever differs is shown; of the rest only the first ones."""
    lines = _lines(*(_table(f"t{n}") for n in range(equal)), *(_table(f"bad{n}", 1, 2) for n in range(50)))
    assert sum(line.endswith("DIFFERENT") for line in lines) == 50
    assert sum(line.endswith("| equal") for line in lines) == shown
    assert not last or lines[-1] == last


@given(st.lists(st.builds(_table, st.text(), st.none() | st.integers(0), st.none() | st.integers(0), st.text())))
def test_no_name_breaks_the_table(tables: list[dict[str, t.Any]]) -> None:
    """Every row has its line, of the same width up to the last column, and no character that acts on a terminal."""
    lines = _lines(*tables)
    assert not any(char < " " or "\x7f" <= char <= "\x9f" or char in "\u202e\u2028" for line in lines for char in line)
    rows = [line for line in lines if not line.startswith(("---", "and "))]
    assert len({columns(row.rpartition(" | ")[0]) for row in rows}) == (1 if tables else 0)
