# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured: figures of single runs, kept as JSON."""

from __future__ import annotations

import dataclasses
import statistics
import typing as t

from bench.line import Counts

#: How the two runs of ours are called among the peers.
FIRST: t.Final = "first"
AGAIN: t.Final = "again"


@dataclasses.dataclass
class Figures:
    """One run."""

    seconds: float
    #: the largest sum of the resident sizes of all its processes, in bytes
    peak: int
    #: the seconds of the stages that copy, of a run of ours
    copy_seconds: float | None = None
    #: how long the source was frozen, where it was
    freeze_seconds: float | None = None
    #: the bytes of the archive, where one was written
    archive: int | None = None
    #: what crossed the line, where there was one
    line: Counts | None = None
    #: where the time went, by timeline.sums
    parts: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    @property
    def crossed(self) -> int | None:
        """How many bytes crossed the line, both ways."""
        return self.line.up + self.line.down if self.line else None

    def figure(self, name: str) -> float | None:
        """Return a figure, those of the line too; None where there is none."""
        value = getattr(self if hasattr(self, name) else self.line, name, None)
        return None if value is None else float(value)


@dataclasses.dataclass
class Measured:
    """All runs of one work, in rounds."""

    work: str
    scale: float
    #: the database's, in bytes
    size: int
    runs: dict[str, list[Figures]]
    #: the last words of those that failed
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    #: when that was, and of which commit
    began: str = ""
    commit: str = ""

    @property
    def rounds(self) -> int:
        """In how many rounds it was measured."""
        return len(self.runs[FIRST])

    def median(self, run: str, figure: str) -> float | None:
        """Return the median of a figure; None where there is none."""
        values = [value for figures in self.runs.get(run, []) if (value := figures.figure(figure)) is not None]
        return statistics.median(values) if values else None

    def ratio(self, run: str, peer: str, figure: str = "seconds") -> float | None:
        """Return the median of the ratios, a run of ours to the seconds of another, or a peer's, of the same round.

        None where either failed.
        """
        ours, theirs = self.runs.get(run, []), self.runs.get(peer, [])
        pairs = [(a.figure(figure), b.seconds) for a, b in zip(ours, theirs, strict=False)]
        ratios = [a / b for a, b in pairs if a is not None]
        return statistics.median(ratios) if ratios else None

    def typical(self, run: str) -> Figures:
        """Return the run whose time is the median, or the one below it."""
        ordered = sorted(self.runs[run], key=lambda figures: figures.seconds)
        return ordered[(len(ordered) - 1) // 2]


@dataclasses.dataclass
class Results:
    """All that one `make bench` measured."""

    #: of what is compared: the servers, pgcopydb, Ansible, Python
    versions: dict[str, str]
    machine: str
    #: peers that are not installed, and works whose database cannot be made here
    absent: list[str]
    measured: list[Measured] = dataclasses.field(default_factory=list)

    def renewed(self, later: Results) -> Results:
        """Return these results with those of the works that were measured later."""
        works = {one.work: one for one in (*self.measured, *later.measured)}
        return dataclasses.replace(later, measured=[*works.values()])
