# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two databases hold the same, where the target must be asked what it makes of its rows."""

from __future__ import annotations

import dataclasses

from ..catalog.computed import find_computed, find_replaceable
from ..catalog.content import Content
from ..catalog.reading import Reading, read_views
from ..catalog.selection import Name
from .comparison import Verdict, compare
from .tables import find_recomputed, find_undecided


def compare_contents(source: Content, target: Content, reading: Reading, origin: Reading | None = None) -> Verdict:
    """Compare contents; where the source's cannot tell what the target computes, that is asked itself.

    That are generated columns, where nothing else differs, and materialized views.

    :param reading: how the target was read
    :param origin: how the source was read, if it can be asked; an archive tells where that matters (archive/writer.py)
    """
    doubtful = find_recomputed(source.relations, target.relations)
    computed = _find_computed(reading, doubtful)
    if origin:
        # What a function that was replaced has made of a row, no copy is to take for something else of another server.
        computed = _find_computed(origin, computed, own=True)
    if computed and reading.selection is not None:
        # Of selected tables alone, nobody compares what their columns are computed by.
        computed -= find_replaceable(reading.snapshot.session)
    undecided = find_undecided(source.relations, target.relations, computed)
    if undecided:
        target = read_views(dataclasses.replace(reading, evaluated=undecided), target)
    return compare(source, target, computed)


def _find_computed(reading: Reading, tables: frozenset[Name], *, own: bool = False) -> frozenset[Name]:
    return find_computed(reading.snapshot.session, tables, reading.search_path, reading.settings, own=own)
