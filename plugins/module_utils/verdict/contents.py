# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two databases hold the same, where what a materialized view must hold may have to be asked once more."""

from __future__ import annotations

import dataclasses

from ..catalog.content import Content
from ..catalog.reading import Reading, read_views
from .comparison import Verdict, compare
from .tables import find_undecided


def compare_contents(source: Content, target: Content, reading: Reading) -> Verdict:
    """Compare contents; where the source's cannot tell what a materialized view must hold, the target is asked itself.

    :param reading: how the target was read
    """
    undecided = find_undecided(source.relations, target.relations)
    if undecided:
        target = read_views(dataclasses.replace(reading, evaluated=undecided), target)
    return compare(source, target)
