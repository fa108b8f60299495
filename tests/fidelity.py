# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/fidelity.md, written from the table of kinds that the tests walk: ``python -m tests.fidelity``."""

from __future__ import annotations

import typing as t
from pathlib import Path

from tests.kinds import KINDS, Kind

PAGE: t.Final = Path(__file__).resolve().parents[1] / "docs" / "fidelity.md"

_HEAD: t.Final = """# Fidelity

What becomes of each kind of object. `make fidelity` writes this page from the table that the tests walk
(`tests/kinds.py`): one object of each kind is made, then changed on one side.

- **compared**: it is carried, and a change of it alone fails the verdict, which names it.
- **told**: it is not carried, or not by a run; preflight says so by this [code](reference.md#findings). An error
  refuses the run.

Besides, every object in the catalogs of the source is accounted for: what no dump holds and no extension makes is an
error (`not-carried`), whatever its kind (`tests/engine/test_account.py`). Members of extensions are compared in each
of their properties (`tests/engine/test_extensions.py`). And every column of every catalog is either changed in such a
way, and then named, or has a reason why it need not be compared (`tests/attributes.py`).

| kind of object | what becomes of it | PostgreSQL | shown by |
|---|---|---|---|
"""

_TAIL: t.Final = """
Not carried, and told by nobody: what belongs to a session (temporary tables), what the server finds out by itself
(statistics, which `ANALYZE` makes anew), and, between servers of two majors, what was altered in PostgreSQL's own
functions, types and views.
"""


def compose() -> str:
    """Return the page's text."""
    return _HEAD + "".join(_row(kind) for kind in KINDS) + _TAIL


def _row(kind: Kind) -> str:
    fate = f"told (`{kind.finding[0]}`)" if kind.finding[0] else "compared"
    if kind.unsaid:
        fate = "told (`not-carried`); compared"
    return f"| {kind.name} | {fate} | {kind.since} | `test_each_kind` |\n"


if __name__ == "__main__":
    PAGE.write_text(compose())
