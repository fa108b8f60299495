# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that a person sees at the terminal."""

from __future__ import annotations

import typing as t
from unittest import mock

import pytest
from ansible_collections.pgconvoy.migrate.plugins.callback.comparison import CallbackModule, columns, draw
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


def test_what_differs_comes_first_and_in_another_color() -> None:
    """Colors come from Ansible's settings, and only where there is a terminal."""
    _, _, first, second = draw([_table("a"), _table("b", 1, 2)])
    assert ("b" in first[0], first[1], second[1]) == (True, "red", "green")


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


class Screen:
    """The callback and what it displayed."""

    def __init__(self) -> None:
        self.callback = CallbackModule()
        self.display = mock.Mock()
        self.callback._display = self.display

    def show(
        self, result: dict[str, t.Any], action: str = "pgconvoy.migrate.report", host: str = "sandbox-db"
    ) -> list[str]:
        """Let the callback see a result and return the lines it displayed."""
        self.display.reset_mock()
        task_result = mock.Mock(result=result)
        task_result.task.action = action
        task_result.host.get_name.return_value = host
        self.callback.v2_runner_on_ok(task_result)
        return [call.args[0] for call in self.display.display.call_args_list]


_RESULT: t.Final = {"status": "migrated", "summary": "migrated: all", "run_dir": "/runs/h/r", "tables": [_table("a")]}


def test_report_is_shown() -> None:
    """The table, the summary of the host, and where the report lies."""
    lines = Screen().show(_RESULT)
    assert lines[0].startswith("Table")
    assert lines[-2:] == ["sandbox-db: migrated: all", "Report: /runs/h/r/report.html"]


@pytest.mark.parametrize(
    ("result", "action"),
    [
        (_RESULT, "pgconvoy.migrate.compare"),
        ({"censored": "hidden"}, "pgconvoy.migrate.report"),
    ],
)
def test_other_results_are_left_alone(result: dict[str, t.Any], action: str) -> None:
    """Results of other modules, and those hidden by no_log."""
    assert Screen().show(result, action) == []


def test_names_of_hosts_and_messages_cannot_act_on_the_terminal() -> None:
    """Neither can they pretend to be another line."""
    lines = Screen().show({**_RESULT, "summary": "a\x1b[2Jb", "run_dir": "/runs\n/h"}, host="h\r")
    assert lines[-2:] == [r"h\r: a\x1b[2Jb", r"Report: /runs\n/h/report.html"]
