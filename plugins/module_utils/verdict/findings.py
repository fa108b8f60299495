# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight has to tell."""

from __future__ import annotations

import dataclasses
import typing as t

#: An error loses something if the run goes on, a warning may surprise, a notice is good to know.
Severity = t.Literal["error", "warning", "notice"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing found, the object it is about, and what to do."""

    severity: Severity
    code: str
    object: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.object}: {self.message}" + (f" {self.remedy}" if self.remedy else "")


def tell_errors(findings: t.Iterable[Finding]) -> str:
    """Return the errors as lines, or nothing when there are none."""
    return "\n".join(f"- {finding}" for finding in findings if finding.severity == "error")


@dataclasses.dataclass(frozen=True)
class Difference:
    """What differs and how, as a person would say it."""

    object: str
    message: str

    def __str__(self) -> str:
        return f"{self.object}: {self.message}"
