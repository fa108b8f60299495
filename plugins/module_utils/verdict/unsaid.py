# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what pg_dump does not say is so on both sides. Nothing here asks a database."""

from __future__ import annotations

import typing as t

from ..catalog.selection import Selection
from ..catalog.unsaid import LOST_IDENTITY, MAY_BE_NULL, Unsaid
from .findings import Difference


def compare_unsaid(
    source: t.Iterable[Unsaid] | None, target: t.Iterable[Unsaid] | None, selection: Selection | None = None
) -> tuple[Difference, ...]:
    """Return what is so on one side alone; nothing where an older archive does not tell.

    A copy's heirs are as strict as their parents, and its tables have no identity by an index that was dropped.

    :param selection: tables which, with all that is part of them, are compared alone
    """
    if source is None or target is None:
        return ()
    ours, theirs = {*source}, {*target}
    accepted = {one for one in ours if one.says in (LOST_IDENTITY, MAY_BE_NULL)}
    return tuple(
        Difference(one.object, f"{one.says}, on the {'source' if one in ours else 'target'} alone")
        for one in sorted((ours ^ theirs) - accepted, key=lambda one: (one.object, one.says))
        if selection is None or one.relation in selection.labels
    )
