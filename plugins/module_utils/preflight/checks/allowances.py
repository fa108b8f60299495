# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allowed differences that do not occur: misspelt perhaps, or settled since."""

from __future__ import annotations

import typing as t

from ...verdict.comparison import Verdict
from ...verdict.findings import Finding


def check_allowances(verdict: Verdict, allowed: t.Iterable[str]) -> list[Finding]:
    """Return the entries of allowed_differences, by object, that a whole verdict has not used."""
    used = {allowance.object for allowance in verdict.allowed}
    return [
        Finding(
            "warning",
            "allowed-unused",
            name,
            "allowed_differences names it, and nothing of that name differs.",
            "Spell it as a difference or a finding does, or take it out.",
        )
        for name in allowed
        if name not in used
    ]
