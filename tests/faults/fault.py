# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fault is, to the one test that tries them all."""

from __future__ import annotations

import dataclasses
import typing as t

from tests.faults.scene import By, Scene


def _nothing(scene: Scene) -> None:
    """Leave everything as it is."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault, and what it may lead to."""

    name: str
    #: prepare it, before the run begins
    arm: t.Callable[[Scene], None]
    #: a pattern that the words of a failed run must match; None where the run must succeed all the same
    reason: str | None
    _: dataclasses.KW_ONLY
    #: whether it may come too late to keep the run from its success
    may_succeed: bool = False
    by: By = "engine"
    #: whether the run can tidy up after itself; if not, the next one does
    tidy: bool = True
    #: what happens before the next run, apart from the networks' recovery
    repair: t.Callable[[Scene], None] = _nothing
