# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the databases beside the live one are called."""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t

#: How many databases that were live before can be kept.
MOST_KEPT: t.Final = 9

#: NAMEDATALEN - 1: PostgreSQL cuts longer names silently (docs: 4.1.1 Identifiers and Key Words).
NAME_BYTES: t.Final = 63


@dataclasses.dataclass(frozen=True)
class Generations:
    """The live database and its neighbours."""

    live: str

    @property
    def staging(self) -> str:
        """The copy being built."""
        return self._beside("__pgconvoy_staging")

    @property
    def previous(self) -> str:
        """The old live database, kept as the undo."""
        return self._beside("__pgconvoy_previous")

    def kept(self, count: int) -> list[str]:
        """The previous database and those before it, the newest first."""
        return [self.previous, *(self._beside(f"__pgconvoy_previous_{number}") for number in range(2, count + 1))]

    @property
    def discarded(self) -> str:
        """The oldest of the kept databases after a switch, about to be dropped."""
        return self._beside("__pgconvoy_discarded")

    @property
    def scratch(self) -> str:
        """A database without rows, in which the source's schema is put into the server's own words."""
        return self._beside("__pgconvoy_scratch")

    @property
    def neighbours(self) -> tuple[str, ...]:
        """All names but the live one's: what has one of them is ours to drop."""
        return (self.staging, *self.kept(MOST_KEPT), self.discarded, self.scratch)

    def _beside(self, suffix: str) -> str:
        """Append the suffix; where that gets too long, a digest of the name stands for its end."""
        if len((self.live + suffix).encode()) <= NAME_BYTES:
            return self.live + suffix
        digest = hashlib.sha256(self.live.encode()).hexdigest()[:8]
        room = NAME_BYTES - len(suffix) - len(digest)
        return self.live.encode()[:room].decode(errors="ignore") + digest + suffix
