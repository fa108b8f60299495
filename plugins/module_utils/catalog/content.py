# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database holds, at one instant: the thing that two databases are compared by."""

from __future__ import annotations

import dataclasses
import typing as t

from .extension_rows import ExtensionRows
from .foreign_keys import ForeignKey
from .graph import find_components
from .large_objects import LargeObject
from .relations import Relation
from .selection import Name, Selection
from .sequences import Sequence
from .sums import ColumnSum


@dataclasses.dataclass(frozen=True)
class Rows:
    """How many rows there are, and the checksum of all of them."""

    count: int
    checksum: str
    #: that of what they were given alone, where a server computes some columns (Relation.generated)
    given: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass(frozen=True)
class Measured:
    """A relation and its rows: None for a materialized view without data.

    ``fresh`` is what a materialized view would hold were it refreshed now: a copy can only be made by a refresh. It is
    None where a reader cannot tell. Where it is not what the view holds, ``again`` is what its query yielded in another
    transaction, over the same rows. ``read`` are the materialized views that the query reads, also within functions.
    """

    relation: Relation
    rows: Rows | None
    fresh: Rows | None = None
    again: Rows | None = None
    read: tuple[Name, ...] = ()
    #: its query asks for the time, or for the database's name
    timed: bool = False

    @property
    def given(self) -> Measured:
        """A table by what its rows were given alone, without what is generated, as far as that was told apart."""
        if not self.rows or not self.rows.given:
            return self
        relation = dataclasses.replace(self.relation, hashed=self.relation.given)
        return dataclasses.replace(self, relation=relation, rows=Rows(self.rows.count, self.rows.given))

    @property
    def stale(self) -> bool:
        """Whether a refresh would change it."""
        return self.fresh is not None and self.fresh != self.rows

    @property
    def volatile(self) -> bool:
        """Whether its query yields something else each time."""
        return self.again is not None and self.again != self.fresh

    @property
    def untold(self) -> bool:
        """Whether it holds what no reader can tell the freshness of."""
        return self.relation.kind == "materialized view" and self.rows is not None and self.fresh is None


@dataclasses.dataclass(frozen=True)
class Content:
    """All that is compared, each list sorted by name."""

    checksum_algorithm: str
    relations: tuple[Measured, ...]
    sequences: tuple[Sequence, ...]
    large_objects: tuple[LargeObject, ...]
    foreign_keys: tuple[ForeignKey, ...]
    #: what extensions' relations hold that is not the user's
    extension_rows: tuple[ExtensionRows, ...] = ()
    #: of columns, where they were asked for
    sums: tuple[ColumnSum, ...] = ()

    def of(self, selection: Selection) -> Content:
        """Return the selected tables, the sequences that they own, and the keys by which they refer to others."""
        return dataclasses.replace(
            self,
            relations=tuple(m for m in self.relations if m.relation.full_name in selection),
            sequences=tuple(sequence for sequence in self.sequences if sequence.owner in selection),
            large_objects=(),
            extension_rows=(),
            sums=tuple(one for one in self.sums if (one.schema, one.table) in selection),
            foreign_keys=tuple(key for key in self.foreign_keys if key.table in selection.labels),
        )


def refresh_order(relations: t.Iterable[Measured]) -> tuple[Name, ...]:
    """Return the populated materialized views, each after those that it reads.

    Those of which no reader could tell what they read within functions come last.
    """
    views = {
        m.relation.full_name: m for m in relations if m.relation.kind == "materialized view" and m.rows is not None
    }
    edges = {name: {*view.read, *view.relation.reads} & views.keys() for name, view in views.items()}
    order = [name for component in find_components(edges) for name in component]
    return tuple(sorted(order, key=lambda name: views[name].untold))
