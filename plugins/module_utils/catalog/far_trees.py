# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees through whose root a row could be written to a foreign server."""

from __future__ import annotations

import typing as t

from ..errors import MigrationError
from .relations import Relation


def find_far_trees(relations: t.Collection[Relation]) -> list[Relation]:
    """Return the trees that are loaded through their root and have a foreign partition, at any level."""
    loaded_through = {relation.load_through for relation in relations}
    return [relation for relation in relations if relation.is_far and relation.full_name in loaded_through]


def refuse_far_trees(relations: t.Collection[Relation]) -> None:
    """Make sure that there are none: preflight tells of them, and one may have become such a tree since.

    :raises MigrationError: naming the first one
    """
    for tree in find_far_trees(relations):
        raise MigrationError(
            f"Cannot fill table {tree}: a row may belong to another partition than on the source, and one of its "
            "partitions is a foreign table. Its server would be written to."
        )
