# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of a relation, which several sessions can read at once."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

from psycopg import sql

from ..schedule.progress import Step
from .relations import Relation

#: A larger relation is read in pieces of so many pages (16 MiB) at least, so that several jobs can share it. Each has
#: about so many pieces to read: they keep all jobs busy to the end, and a far server is not asked more often.
_PIECE_PAGES: t.Final = 1 << 11
_PIECES_A_JOB: t.Final = 8


@dataclasses.dataclass(frozen=True)
class Piece:
    """The pages of a relation from ``first`` to before ``last``; the first piece and the last one are open."""

    relation: Relation
    first: int | None
    last: int | None

    @property
    def step(self) -> Step:
        """What people are told of it."""
        pages = (self.last or self.relation.pages) - (self.first or 0)
        return Step(str(self.relation), self.relation.size * pages // max(self.relation.pages, 1))

    @property
    def rows(self) -> sql.Composed:
        bounds = [
            sql.SQL("ctid {} {}::tid").format(sql.SQL(operator), f"({page},0)")
            for operator, page in ((">=", self.first), ("<", self.last))
            if page is not None
        ]
        if not bounds:
            return self.relation.own_rows
        # An extension's condition may hold an OR: it is asked of the piece, under the name by which it knows the table.
        whole = dataclasses.replace(self.relation, condition="").own_rows
        return sql.SQL("(SELECT * FROM {} WHERE {}) {} {}").format(
            whole,
            sql.SQL(" AND ").join(bounds),
            sql.Identifier(self.relation.name),
            sql.SQL(self.relation.condition),
        )


def cut(relations: t.Sequence[Relation], jobs: int) -> list[Piece]:
    """Return pieces that cover the relations without overlap, whatever has grown since its size was read."""
    pages = max(_PIECE_PAGES, sum(relation.pages for relation in relations) // (_PIECES_A_JOB * jobs))
    return [
        Piece(relation, first, last)
        for relation in relations
        for first, last in itertools.pairwise([None, *range(pages, relation.pages, pages), None])
    ]


#: How many relations are read with one message: until its end, they and their indexes are locked. And how large they
#: may be together (1 GiB), so that people see that it goes on.
_SUMS_AT_ONCE: t.Final = 200
_BYTES_AT_ONCE: t.Final = 1 << 30


def group(relations: t.Iterable[Relation]) -> t.Iterator[list[Relation]]:
    """Yield the relations, those together that are read with one message."""
    together: list[Relation] = []
    size = 0
    for relation in relations:
        if together and (len(together) == _SUMS_AT_ONCE or size + relation.size > _BYTES_AT_ONCE):
            yield together
            together, size = [], 0
        together.append(relation)
        size += relation.size
    if together:
        yield together
