# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of which rows may lie elsewhere in a copy: whether each row finds a place there, wherever its hash leads."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from psycopg import sql

from ..server.endpoint import Session
from .selection import Name

# Parents come before their children. Unqualified names are pg_catalog's: the session's search_path is empty.
_NODES: t.Final = sql.SQL("""
SELECT p.relid::bigint, p.parentrelid::bigint, y.partstrat::text, pg_get_expr(c.relpartbound, c.oid)
FROM pg_partition_tree({}::regclass) p JOIN pg_class c ON c.oid = p.relid
LEFT JOIN pg_partitioned_table y ON y.partrelid = p.relid
ORDER BY p.level
""")
_MODULUS: t.Final = re.compile(r"FOR VALUES WITH \(modulus (\d+), remainder \d+\)")


@dataclasses.dataclass
class Node:
    """A table of a tree: how it is partitioned, if it is, and which of its parent's rows it takes."""

    strategy: str | None
    bound: str
    children: list[Node] = dataclasses.field(default_factory=list)

    @property
    def takes_all(self) -> bool:
        """Whether each row that comes to it finds a place in it."""
        if self.strategy is None:
            return True
        return self._takes_all_itself and all(child.takes_all for child in self.children)

    @property
    def _takes_all_itself(self) -> bool:
        if self.strategy != "h":
            return any(child.bound == "DEFAULT" for child in self.children)
        # Each modulus is a factor of the next larger one (docs: CREATE TABLE, PARTITION OF).
        moduli = [int(found[1]) for child in self.children if (found := _MODULUS.fullmatch(child.bound))]
        largest = max(moduli, default=1)
        return sum(largest // modulus for modulus in moduli) == largest

    @property
    def shape(self) -> tuple[t.Any, ...]:
        """How its rows are divided: what finds a place in one table does so in another one of its shape."""
        return self.strategy, sorted((child.bound, child.shape) for child in self.children)

    @property
    def takes_rows_of_each_other(self) -> bool:
        """Whether a row of one child finds a place in whatever other one its hash leads to."""
        if not self._takes_all_itself:
            return False
        return all(child.takes_all for child in self.children) or len({repr(c.shape) for c in self.children}) == 1


def read_tree(session: Session, root: Name) -> Node:
    """Return a partitioned table with all that is below it."""
    nodes: dict[int, Node] = {}
    first: Node | None = None
    for number, parent, strategy, bound in session.execute(_NODES.format(sql.Identifier(*root).as_string(session))):
        nodes[number] = node = Node(strategy, bound or "")
        if first is None:
            first = node
        else:
            nodes[parent].children.append(node)
    assert first
    return first
