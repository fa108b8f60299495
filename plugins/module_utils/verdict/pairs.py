# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named things on both sides, in words."""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Pair:
    """A named thing on both sides, in words; None where it is missing."""

    name: str
    source: str | None
    target: str | None
    equal: bool


def pair_up(source: t.Mapping[str, str], target: t.Mapping[str, str]) -> list[Pair]:
    """Return what is on either side, by its name."""
    names = sorted(source.keys() | target.keys())
    return [Pair(n, source.get(n), target.get(n), source.get(n) == target.get(n)) for n in names]


def say(pair: Pair) -> str:
    """Return how two sides differ."""
    if pair.target is None:
        return "missing on the target"
    if pair.source is None:
        return "only on the target"
    return f"{pair.source} on the source, {pair.target} on the target"
