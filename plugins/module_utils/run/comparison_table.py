# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How source and target compare, table by table, as lines for a terminal."""

from __future__ import annotations

import typing as t
import unicodedata

from .presentation import judged, number, visible

_EQUAL_SHOWN: t.Final = 40
_HEADER: t.Final = ("Table", "Source", "Target", "Status")

Row = tuple[str, str, str, str]
#: A line, and what kind of news it tells.
Line = tuple[str, t.Literal["good", "bad", ""]]


def draw(tables: t.Sequence[t.Mapping[str, t.Any]]) -> list[Line]:
    """Return the lines of the table: all that differs, and the first 40 that do not."""
    if not tables:
        return []
    different = [_row(table) for table in tables if not table["equal"]]
    equal = [_row(table) for table in tables if table["equal"]]
    untold = len(equal) - _EQUAL_SHOWN
    rows = different + equal[:_EQUAL_SHOWN]
    widths = [max(map(columns, cells)) for cells in zip(_HEADER, *rows, strict=True)]
    lines: list[Line] = [
        (_line(_HEADER, widths), ""),
        ("-+-".join("-" * width for width in widths), ""),
        *((_line(row, widths), "bad") for row in different),
        *((_line(row, widths), "good") for row in equal[:_EQUAL_SHOWN]),
    ]
    if untold > 0:
        lines.append((f"and {untold:,} more, all equal", "good"))
    return lines


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _row(table: t.Mapping[str, t.Any]) -> Row:
    return (
        visible(f"{table['schema']}.{table['name']}"),
        number(table["source_rows"]),
        number(table["target_rows"]),
        judged(table) if table["equal"] else "DIFFERENT",
    )


def _line(row: Row, widths: t.Sequence[int]) -> str:
    name, source, target, _ = (" " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True))
    return f"{row[0]}{name} | {source}{row[1]} | {target}{row[2]} | {row[3]}"
