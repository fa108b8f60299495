# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two databases hold the same, where the target must be asked what it makes of its rows."""

from __future__ import annotations

import dataclasses

from ..catalog.computed import find_computed
from ..catalog.content import Content
from ..catalog.reading import Reading, read_views
from .comparison import Verdict, compare
from .tables import find_recomputed, find_undecided


def compare_contents(source: Content, target: Content, reading: Reading) -> Verdict:
    """Compare contents; where the source's cannot tell what the target computes, that is asked itself.

    That are generated columns, where nothing else differs, and materialized views.

    :param reading: how the target was read
    """
    doubtful = find_recomputed(source.relations, target.relations)
    computed = find_computed(reading.snapshot.session, doubtful, reading.search_path, reading.settings)
    undecided = find_undecided(source.relations, target.relations, computed)
    if undecided:
        target = read_views(dataclasses.replace(reading, evaluated=undecided), target)
    return compare(source, target, computed)
