# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that may find no partition in a copy."""

from __future__ import annotations

import typing as t

from ...catalog.hash_trees import read_tree
from ...catalog.relations import Relation
from ...catalog.selection import Selection
from ...server.endpoint import Session
from ...verdict.findings import Finding


def check_hash_trees(session: Session, relations: t.Iterable[Relation], selection: Selection | None) -> list[Finding]:
    """Return the selected trees of which rows lie elsewhere in a copy, and may find no place there.

    :param session: of the source, whose relations these are
    """
    trees = {
        relation.load_through
        for relation in relations
        if relation.load_through and relation.pages and (selection is None or relation.full_name in selection)
    }
    return [
        Finding(
            "error",
            "partition-missing",
            f"table {'.'.join(tree)}",
            "it is partitioned by a hash that is another one in a copy, of an enum for instance, and a row may find no "
            "partition where that leads: a remainder has none, or one that is divided otherwise than the others.",
            "On the source, create the partitions that are missing, or DEFAULT ones.",
        )
        for tree in sorted(trees)
        if not read_tree(session, tree).takes_rows_of_each_other
    ]
