# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of the work on a snapshot, each for whichever session is free."""

from __future__ import annotations

import dataclasses
import typing as t

from ..schedule.progress import Step
from ..server.endpoint import Session, break_off


@dataclasses.dataclass(frozen=True)
class Portion:
    """A part of the work, and what people are told of it."""

    do: t.Callable[[Session], None]
    step: Step


@dataclasses.dataclass(frozen=True)
class Reader:
    """A session that does one after another."""

    session: Session

    def run(self, portion: Portion) -> None:
        """Do it."""
        portion.do(self.session)

    def cancel(self) -> None:
        """Break off what is being done."""
        break_off(self.session)
