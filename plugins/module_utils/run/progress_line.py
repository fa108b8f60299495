# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a stage is, in a person's words."""

from __future__ import annotations

import typing as t

from ..schedule.progress import State
from .presentation import visible

#: What is left is told when so much is done, in share and in seconds; before that it is a guess.
_GUESSED_SHARE: t.Final = 0.02
_GUESSED_SECONDS: t.Final = 5


def share(state: State) -> float | None:
    """Return how much of what is under way is done, from 0 to 1, or None if nobody can tell."""
    for done, total in (state["sizes"], state["steps"]):
        if total:
            return float(done / total)
    return None


def tell(state: State, waited: float = 0) -> str:
    """Return what is told beside the share: who waits, rows, time left, bytes, rate, and what is being done.

    What matters most comes first: where there is no room, the end is cut.

    :param waited: seconds since the state was told
    """
    (rows, all_rows), (steps, all_steps) = state["rows"], state["steps"]
    seconds, done = state["seconds"] + waited, share(state)
    told = []
    if all_rows:
        told.append(f"{rows:,} of {all_rows:,} rows")
    elif all_steps:
        told.append(f"{steps:,} of {all_steps:,}")
    if done and _GUESSED_SHARE <= done < 1 and seconds >= _GUESSED_SECONDS:
        told.append(f"{duration(seconds * (1 - done) / done)} left")
    if state["bytes"]:
        told.append(f"{size(state['bytes'])}, {size(state['bytes'] / max(seconds, 0.001))}/s")
    parts = (tell_waiting(state, waited), ", ".join(told), ", ".join(state["doing"]))
    return visible("; ".join(part for part in parts if part))


def tell_waiting(state: State, waited: float = 0) -> str:
    """Return what others wait for, how long they have, and how long they will at most; nothing if nobody waits."""
    if "waiting" not in state:
        return ""
    what, seconds, limit = state["waiting"]
    so_far = seconds + waited
    return f"{what}: {duration(so_far)}, at most {duration(max(limit - so_far, 0))} more"


def size(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def duration(seconds: float) -> str:
    """Return a time as people read it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
