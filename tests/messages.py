# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/runbooks/messages.md, the text of each finding as the code words it: ``python -m tests.messages``."""

from __future__ import annotations

import ast
import itertools
import re
import typing as t
from pathlib import Path

_ROOT: t.Final = Path(__file__).resolve().parents[1]
PAGE: t.Final = _ROOT / "docs" / "runbooks" / "messages.md"
_ENGINE: t.Final = _ROOT / "plugins" / "module_utils"
#: Which arguments are a finding's code, message and remedy, by what it is made of.
_PLACES: t.Final = {"Finding": (1, 3, 4), "Check": (1, 3, 4), "ContainerError": (0, 1, 2)}
#: What depends on the run.
_OPEN: t.Final = "..."

_HEAD: t.Final = """# What a finding says

For a search by a piece of the text. What differs from run to run, a name or a number, is `...` here; before the text
stands the object that it is about. Meaning and severity are in the [reference](../reference.md#findings), by the code.
`make messages` writes this page from the code.

| the message | code | what to do |
|---|---|---|
"""


class Told(t.NamedTuple):
    """A finding as it is worded."""

    code: str
    message: str
    remedy: str


def compose() -> str:
    """Return the page's text."""
    return _HEAD + "".join(f"| {_cell(m)} | `{code}` | {_cell(remedy)} |\n" for code, m, remedy in read_findings())


def read_findings() -> list[Told]:
    """Return each finding that the engine can tell whose text is not that of a server, sorted by code."""
    told = {told for path in _ENGINE.rglob("*.py") for told in read_module(ast.parse(path.read_text(encoding="utf-8")))}
    return sorted(told)


def read_module(module: ast.Module) -> t.Iterator[Told]:
    """Return the findings that a module can tell, in their order."""
    for scope in module.body:
        for call in ast.walk(scope):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            places = _PLACES.get(call.func.id)
            if places and len(call.args) > places[1]:
                parts = [_texts(call.args[p], scope) if len(call.args) > p else [""] for p in places]
                yield from filter(_is_said, itertools.starmap(Told, itertools.product(*parts)))


def _is_said(told: Told) -> bool:
    return _OPEN not in told.code and len(re.findall(r"\w+", told.message)) > 2


def _texts(node: ast.expr, scope: ast.AST) -> list[str]:
    """Return what a text can be, with what is open in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        parts = [_texts(part, scope) if isinstance(part, ast.Constant) else [_OPEN] for part in node.values]
        return ["".join(part) for part in itertools.product(*parts)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [a + b for a in _texts(node.left, scope) for b in _texts(node.right, scope)]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, scope), *_texts(node.orelse, scope)]
    if isinstance(node, ast.Name):
        assigned = [
            one.value
            for one in ast.walk(scope)
            if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == node.id and one.lineno < node.lineno
        ]
        # It says what the last line before has given it.
        return _texts(max(assigned, key=lambda value: value.lineno), scope) if assigned else [_OPEN]
    return [_OPEN]


def _cell(text: str) -> str:
    """Return a text as Markdown takes it for text; an underscore within a word is one."""
    one_line = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"([|*<\[\]`\\])", r"\\\1", one_line)


if __name__ == "__main__":
    PAGE.write_text(compose(), encoding="utf-8")
