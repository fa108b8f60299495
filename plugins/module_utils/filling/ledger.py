# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account of every table's rows, as far as a restore knows it."""

from __future__ import annotations

import typing as t

from ..archive.manifest import ArchivedRows
from ..catalog.content import Content


def tell_ledger(content: Content, received: t.Iterable[tuple[ArchivedRows, int]]) -> list[dict[str, t.Any]]:
    """Return every table's rows sent and received; an empty table has none to send."""
    counts = {(table.schema, table.name): (table.rows, rows) for table, rows in received}
    tables = []
    for measured in content.relations:
        schema, name = measured.relation.schema, measured.relation.name
        if measured.relation.kind == "table":
            sent_rows, received_rows = counts.get((schema, name), (0, 0))
            tables.append({"schema": schema, "name": name, "sent_rows": sent_rows, "received_rows": received_rows})
    return tables
