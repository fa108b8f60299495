# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account of every table's rows where only those that differ have moved."""

from __future__ import annotations

import typing as t

from ..catalog.content import Content
from ..catalog.selection import Name
from .moving import Moved


def tell_moved(content: Content, moved: t.Iterable[Moved]) -> list[dict[str, t.Any]]:
    """Return, for every table, how many rows stayed and how many were sent and received; of a tree, as a whole.

    :param content: the source's
    """
    told: dict[Name, dict[str, int]] = {}
    for one in moved:
        difference = one.difference
        told[difference.relation.full_name] = {
            "kept_rows": one.kept,
            "sent_rows": difference.coming.count,
            "received_rows": one.received,
            "inserted": difference.inserted,
            "updated": difference.updated,
            "deleted": difference.deleted,
        }
    # A row of such a tree may lie in another partition on the target.
    roots = {measured.relation.load_through for measured in content.relations}
    account = []
    for measured in content.relations:
        relation, name = measured.relation, measured.relation.full_name
        counts = name in roots if relation.kind == "partitioned table" else relation.kind == "table"
        if name in told or (counts and measured.rows and not relation.load_through):
            stays = {"kept_rows": measured.rows.count if measured.rows else 0}
            nothing = dict.fromkeys(("sent_rows", "received_rows", "inserted", "updated", "deleted"), 0)
            schema, table = name
            account.append({"schema": schema, "name": table, **told.get(name, {**stays, **nothing})})
    return account
