# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run may be for, and how the live database gets its new content."""

from __future__ import annotations

import dataclasses
import typing as t

LoadMode = t.Literal["swap", "in_place", "sync"]
#: The load modes by which the live database itself is changed, in one transaction.
IN_PLACE: t.Final = frozenset({"in_place", "sync"})


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a run does on its way to it, and how it is called when it is reached."""

    status: str
    reads_source: bool = False
    writes_archive: bool = False
    #: the live database, or what is to become it, gets the content of the source, or of an archive
    fills: bool = False
    #: another database takes the live one's name, or its content is exchanged: whoever does so claims it, and asks
    replaces: bool = False
    #: it is not reached without a verdict
    judges: bool = False

    @property
    def claims(self) -> bool:
        """Whether no other run may be at work on the target meanwhile."""
        return self.fills or self.replaces


GOALS: t.Final = {
    "migrate": Goal("migrated", reads_source=True, writes_archive=True, fills=True, replaces=True, judges=True),
    "dump": Goal("dumped", reads_source=True, writes_archive=True),
    "restore": Goal("migrated", fills=True, replaces=True, judges=True),
    "verify": Goal("equal", reads_source=True, judges=True),
    "rehearse": Goal("rehearsed", reads_source=True, writes_archive=True, fills=True, judges=True),
    "repair": Goal("repaired", reads_source=True, fills=True, replaces=True, judges=True),
    "rollback": Goal("rolled_back", replaces=True),
}
