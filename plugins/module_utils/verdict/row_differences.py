# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rows of a table differ between two databases, for people: counted, and some of them named."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import typing as t

from psycopg import sql

from ..catalog.checksums import row_hash
from ..catalog.relations import Relation
from ..rows.differing import find_differing, key_hash, name_keys, rows_of
from ..server.endpoint import Session

#: How many rows of each kind are named, if nobody says how many.
NAMED: t.Final = 5


@dataclasses.dataclass
class RowDifferences:
    """How many rows are missing on the target, there in excess, or changed, and some of each by their primary key.

    A row without one is told by a part of its hash: no other value of a row is anybody's to read in a report.
    """

    missing: int = 0
    extra: int = 0
    changed: int = 0
    examples: dict[str, list[str]] = dataclasses.field(default_factory=lambda: collections.defaultdict(list))
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = []
        for kind, count in (("missing", self.missing), ("extra", self.extra), ("changed", self.changed)):
            if count:
                named = ", ".join(self.examples[kind]) + (", ..." if count > len(self.examples[kind]) else "")
                columns = f" in {', '.join(self.columns)}" if kind == "changed" and self.columns else ""
                parts.append(f"{count:,} {kind}{columns}: {named}")
        return "; ".join(parts)


def name_hash(row_hash: int) -> str:
    """Return a row's name where it has no key: enough to tell some rows apart, too little to tell what is in them."""
    return f"#{row_hash & 0xFFFFFFFF:08x}"


def find_row_differences(source: Session, target: Session, relation: Relation, named: int = NAMED) -> RowDifferences:
    """Return what differs; a table without primary key has its whole row for a key, so that nothing in it is changed.

    Both sessions must be in a transaction, each at its instant.

    :param named: how many rows of each kind are named
    """
    found, some = RowDifferences(), _Some(named)
    for rows in find_differing(source, target, relation):
        missing, extra = rows.missing, rows.extra
        found.changed += rows.changed
        found.missing += missing.total() - rows.changed
        found.extra += extra.total() - rows.changed
        kind = "changed" if rows.changed else "missing" if missing else "extra"
        some.note(kind, rows.key_hash, max(missing.total(), extra.total()), min(missing or extra))
    for kind, noted in some.rows.items():
        session = target if kind == "extra" else source
        names = name_keys(session, relation, [key for key, _ in noted]) if relation.key else {}
        found.examples[kind] = [names[key] if names else name_hash(row) for key, row in noted]
    if changed_keys := [key for key, _ in some.rows["changed"]]:
        found.columns = _changed_columns(source, target, relation, changed_keys)
    return found


@dataclasses.dataclass
class _Some:
    """The hashes of key and row of some rows of each kind."""

    most: int
    rows: dict[str, list[tuple[int, int]]] = dataclasses.field(default_factory=lambda: collections.defaultdict(list))

    def note(self, kind: str, key: int, count: int, row: int) -> None:
        room = self.most - len(self.rows[kind])
        self.rows[kind] += itertools.repeat((key, row), min(room, count))


def _changed_columns(source: Session, target: Session, relation: Relation, key_hashes: list[int]) -> tuple[str, ...]:
    """Return the columns in which the rows with these keys differ."""
    key = key_hash(relation)
    query = sql.SQL("SELECT {}, {} FROM {} ORDER BY 1").format(
        key,
        sql.SQL(", ").join(row_hash([column]) for column in relation.hashed),
        rows_of(relation, key_hashes),
    )
    ours, theirs = (session.execute(query).fetchall() for session in (source, target))
    pairs = [pair for pair in zip(ours, theirs, strict=False) if pair[0][0] == pair[1][0]]
    return tuple(
        column.name
        for place, column in enumerate(relation.hashed, start=1)
        if any(our[place] != their[place] for our, their in pairs)
    )
