# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A statement that is composed takes no parameters: its names may hold ``%``, which would be taken for a placeholder.

psycopg looks for placeholders in the whole text of a statement as soon as there are parameters. Values go into a
composed statement as literals; parameters go with texts that are written down in the engine.
"""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

import pytest

PLUGINS: t.Final = Path(__file__).parents[2] / "plugins"


def composed_with_parameters(source: str) -> list[int]:
    """Return the lines of the calls that send parameters with a statement which is no constant of the file."""
    tree = ast.parse(source)
    constants = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in ([node.target] if isinstance(node, ast.AnnAssign) else node.targets)
        if isinstance(target, ast.Name)
    }

    def is_written_down(query: ast.expr) -> bool:
        if isinstance(query, ast.BinOp):
            return is_written_down(query.left) and is_written_down(query.right)
        if isinstance(query, ast.JoinedStr):
            parts = [part.value for part in query.values if isinstance(part, ast.FormattedValue)]
            return all(map(is_written_down, parts))
        if isinstance(query, ast.IfExp):
            return is_written_down(query.body) and is_written_down(query.orelse)
        if isinstance(query, ast.Call) and isinstance(query.func, ast.Attribute) and query.func.attr == "encode":
            return is_written_down(query.func.value)
        return isinstance(query, ast.Constant) or (isinstance(query, ast.Name) and query.id in constants)

    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("copy", "execute", "executemany", "stream")
        and len(node.args) + len(node.keywords) > 1
        and not is_written_down(node.args[0])
        and [keyword.arg for keyword in node.keywords] != ["prepare"]
    ]


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("session.execute(QUERY, (1,))", False),
        ("session.execute(f'{QUERY} WHERE a = %s', (1,))", False),
        ("session.execute('SELECT %s' + QUERY, (1,))", False),
        ("session.execute(QUERY.encode(), (1,))", False),
        ("session.execute(QUERY if new else 'SELECT %s', (1,))", False),
        ("session.execute(sql.SQL('SELECT {}').format(name))", False),
        ("cursor.execute(query, prepare=False)", False),
        ("session.execute(sql.SQL('SELECT %s FROM {}').format(name), (1,))", True),
        ("session.execute(query, (1,))", True),
        ("session.execute(query, params=(1,))", True),
        ("session.execute(f'SELECT %s FROM {name}', (1,))", True),
        ("session.execute(query.encode(), values)", True),
        ("cursor.copy(statement, [1])", True),
    ],
)
def test_what_is_found(call: str, found: bool) -> None:
    assert composed_with_parameters(f"QUERY: Final = 'x'\ndef f():\n    {call}") == ([3] if found else [])


@pytest.mark.parametrize("path", sorted(PLUGINS.rglob("*.py")), ids=lambda path: str(path.relative_to(PLUGINS)))
def test_no_composed_statement_takes_parameters(path: Path) -> None:
    assert composed_with_parameters(path.read_text(encoding="utf-8")) == []


def test_no_placeholder_is_composed() -> None:
    """One in a composed statement would need parameters."""
    assert [path.name for path in PLUGINS.rglob("*.py") if "sql.Placeholder" in path.read_text(encoding="utf-8")] == []
