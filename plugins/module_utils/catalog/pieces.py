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
from .checksums import sum_query
from .relations import Relation

#: A larger relation is read in pieces of so many pages (16 MiB) at least, so that several jobs can share it.
_PIECE_PAGES: t.Final = 1 << 11
#: The last pieces are as large as if each job read so many of these: they keep all jobs busy to the end.
_PIECES_A_JOB: t.Final = 8
#: What a page takes, as servers are made.
_PAGE_BYTES: t.Final = 8192
#: The first ones are larger (1 GiB at most, so that people see that it goes on): a far server is asked less often.
_MOST_PAGES: t.Final = 1 << 17


@dataclasses.dataclass(frozen=True)
class Piece:
    """The pages of a relation from ``first`` to before ``last``; the first piece and the last one are open."""

    relation: Relation
    first: int | None = None
    last: int | None = None

    @property
    def step(self) -> Step:
        """What people are told of it."""
        pages = (self.last or self.relation.pages) - (self.first or 0)
        return Step(str(self.relation), self.relation.size * pages // max(self.relation.pages, 1))

    @property
    def rows(self) -> sql.Composed:
        """What follows FROM, to read its columns."""
        if self.first is None and self.last is None:
            return self.relation.own_rows
        # An extension's condition may hold an OR: it is asked of the piece, under the name by which it knows the table.
        return sql.SQL("(SELECT * FROM {}) {} {}").format(
            self.stored, sql.Identifier(self.relation.name), sql.SQL(self.relation.condition)
        )

    @property
    def sums(self) -> sql.Composed:
        """The query for the sums of its rows: of all that is hashed and, if that is less, of what they were given."""
        given = self.relation.given
        return sum_query(self.relation.hashed, self.rows, *([given] if len(given) < len(self.relation.hashed) else []))

    @property
    def stored(self) -> sql.Composed:
        """What follows FROM, to read its system columns as well, of all rows, whosever they are."""
        bounds = [
            sql.SQL("ctid {} {}::tid").format(sql.SQL(operator), f"({page},0)")
            for operator, page in ((">=", self.first), ("<", self.last))
            if page is not None
        ]
        whole = dataclasses.replace(self.relation, condition="").own_rows
        return whole + sql.SQL(" WHERE ") + sql.SQL(" AND ").join(bounds) if bounds else whole


def cut(relations: t.Sequence[Relation], jobs: int) -> list[Piece]:
    """Return pieces that cover the relations without overlap, whatever has grown since its size was read.

    They are to be read in their order: each is as large as half of what a job has left to read.
    """
    left = sum(relation.pages for relation in relations)
    least = max(_PIECE_PAGES, left // (_PIECES_A_JOB * jobs))
    pieces = []
    for relation in relations:
        page, bounds = 0, list[int]()
        # What is left at the end and less than half of a piece, goes with the one before.
        while (page := page + max(least, min(left // (2 * jobs), _MOST_PAGES))) + least // 2 < relation.pages:
            left -= page - (bounds[-1] if bounds else 0)
            bounds.append(page)
        left -= relation.pages - (bounds[-1] if bounds else 0)
        pieces += [Piece(relation, first, last) for first, last in itertools.pairwise([None, *bounds, None])]
    return pieces


def share(relations: t.Iterable[Relation], jobs: int) -> tuple[list[Piece], list[list[Relation]]]:
    """Return what several jobs read: pieces of the large relations and then the small ones, many with one message.

    Those that are read together are no more than a last piece is.
    """
    largest_first = sorted(relations, key=lambda relation: -relation.size)
    most = max(_PIECE_PAGES * _PAGE_BYTES, sum(relation.size for relation in largest_first) // (_PIECES_A_JOB * jobs))
    large = [relation for relation in largest_first if relation.size > most]
    return cut(large, jobs), list(group(largest_first[len(large) :], most))


#: How many relations are read with one message (which takes more; server/batches.py): until its end, they and their
#: indexes are locked. And how large they may be together (1 GiB), so that people see that it goes on.
_SUMS_AT_ONCE: t.Final = 200
_BYTES_AT_ONCE: t.Final = 1 << 30


def group(relations: t.Iterable[Relation], most: int = _BYTES_AT_ONCE) -> t.Iterator[list[Relation]]:
    """Yield the relations, those together that are read with one message.

    :param most: how many bytes these may be
    """
    together: list[Relation] = []
    size = 0
    for relation in relations:
        if together and (len(together) == _SUMS_AT_ONCE or size + relation.size > most):
            yield together
            together, size = [], 0
        together.append(relation)
        size += relation.size
    if together:
        yield together
