# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show at the terminal how source and target compare."""

from __future__ import annotations

DOCUMENTATION = r"""
name: comparison
type: notification
short_description: Shows how source and target compare, table by table
version_added: "0.1.0"
description:
  - Draws a table of the rows on both sides when P(pgconvoy.migrate.report#module) has made a report, then what the run
    came to in one line, and where the report lies.
  - Shows every table that differs, and the first 40 that do not.
author:
  - the pgconvoy contributors (@pgconvoy)
requirements:
  - C(callbacks_enabled) of the C([defaults]) in C(ansible.cfg) names it.
"""

import typing as t
import unicodedata

from ansible import constants
from ansible.executor.task_result import CallbackTaskResult
from ansible.plugins.callback import CallbackBase

from ..module_utils.presentation import judged, number, visible
from ..module_utils.report import REACHED

_GOOD: t.Final[str] = constants.COLOR_OK  # type: ignore[attr-defined]  # made when Ansible reads its configuration
_BAD: t.Final[str] = constants.COLOR_ERROR  # type: ignore[attr-defined]  # likewise
_EQUAL_SHOWN: t.Final = 40
_HEADER: t.Final = ("Table", "Source", "Target", "Status")

Row = tuple[str, str, str, str]


class CallbackModule(CallbackBase):
    """Waits for the report and draws it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "pgconvoy.migrate.comparison"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Draw the result of a report; that of any other task, or one hidden by no_log, is none of ours."""
        if result.task.action != "pgconvoy.migrate.report" or "summary" not in result.result:
            return
        report = result.result
        for line, color in draw(report["tables"]):
            self._display.display(line, color=color)
        color = _GOOD if report["status"] in REACHED else _BAD
        self._display.display(f"{visible(result.host.get_name())}: {visible(report['summary'])}", color=color)
        self._display.display(f"Report: {visible(report['run_dir'])}/report.html")


def draw(tables: t.Sequence[dict[str, t.Any]]) -> list[tuple[str, str | None]]:
    """Return the lines of the table, each with its color."""
    if not tables:
        return []
    different = [_row(table) for table in tables if not table["equal"]]
    equal = [_row(table) for table in tables if table["equal"]]
    untold = len(equal) - _EQUAL_SHOWN
    rows = different + equal[:_EQUAL_SHOWN]
    widths = [max(map(columns, cells)) for cells in zip(_HEADER, *rows, strict=True)]
    lines: list[tuple[str, str | None]] = [
        (_line(_HEADER, widths), None),
        ("-+-".join("-" * width for width in widths), None),
        *((_line(row, widths), _BAD) for row in different),
        *((_line(row, widths), _GOOD) for row in equal[:_EQUAL_SHOWN]),
    ]
    if untold > 0:
        lines.append((f"and {untold:,} more, all equal", _GOOD))
    return lines


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _row(table: dict[str, t.Any]) -> Row:
    return (
        visible(f"{table['schema']}.{table['name']}"),
        number(table["source_rows"]),
        number(table["target_rows"]),
        judged(table) if table["equal"] else "DIFFERENT",
    )


def _line(row: Row, widths: t.Sequence[int]) -> str:
    name, source, target, _ = (" " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True))
    return f"{row[0]}{name} | {source}{row[1]} | {target}{row[2]} | {row[3]}"
