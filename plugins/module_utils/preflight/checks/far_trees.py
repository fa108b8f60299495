# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that would be written to a server that takes no part."""

from __future__ import annotations

import typing as t

from ...catalog.far_trees import find_far_trees
from ...catalog.relations import Relation
from ...catalog.selection import Selection
from ...verdict.findings import Finding


def check_far_trees(where: str, relations: t.Iterable[Relation], selection: Selection | None) -> list[Finding]:
    """Return the selected trees whose rows could be written to a foreign partition.

    :param where: what holds the relations
    """
    selected = [relation for relation in relations if selection is None or relation.full_name in selection]
    return [
        Finding(
            "error",
            "foreign-partition",
            f"table {tree}",
            f"in {where}, it is partitioned by a hash that may be another one in a copy, of an enum for instance, and "
            "one of its partitions is a foreign table: rows that fall into that one would be written to the foreign "
            "server.",
            "Have an ordinary table take the foreign one's place there, or partition by LIST or RANGE.",
        )
        for tree in find_far_trees(selected)
    ]
