# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of change to a copy that is equal to its source, and how several of them are tried at once."""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A kind of single change, and the names of all objects in which it must be told, and no others."""

    kind: str
    statements: str
    objects: frozenset[str]

    def __str__(self) -> str:
        return self.kind


def mutation(kind: str, statements: str, *objects: str) -> Mutation:
    """Return a mutation."""
    return Mutation(kind, statements, frozenset(objects))


@dataclasses.dataclass(frozen=True)
class Batch:
    """Mutations that share no object: what the verdict tells of one cannot be due to another."""

    mutations: tuple[Mutation, ...]

    @property
    def objects(self) -> frozenset[str]:
        """All that must be told of the batch."""
        return frozenset().union(*(one.objects for one in self.mutations))


def batches(mutations: t.Iterable[Mutation]) -> tuple[Batch, ...]:
    """Spread the mutations over as few batches as possible."""
    made: list[list[Mutation]] = []
    for one in mutations:
        assert one.objects, one
        for batch in made:
            if all(one.objects.isdisjoint(other.objects) for other in batch):
                batch.append(one)
                break
        else:
            made.append([one])
    return tuple(Batch(tuple(batch)) for batch in made)
