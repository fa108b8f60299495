# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verdict that stops a run, in words."""

from __future__ import annotations

import typing as t

from ..errors import MigrationError, Outcome
from .comparison import Verdict

#: How many differences a message names; the record holds them all.
_NAMED: t.Final = 20


def require_equal(verdict: Verdict, subject: str, outcome: Outcome | None = None) -> None:
    """Make sure that nothing differs.

    :param subject: what was judged, as the beginning of a sentence
    :param outcome: what the stage has come to
    :raises MigrationError: when anything does, naming it
    """
    if verdict.equal:
        return
    named = "\n".join(f"- {difference}" for difference in verdict.differences[:_NAMED])
    more = len(verdict.differences) - _NAMED
    raise MigrationError(
        f"{subject} differs from the source, {len(verdict.differences)} times:\n{named}"
        + (f"\n- and {more} more, all in the report" if more > 0 else ""),
        outcome,
    )
