# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done as a graph, and what of it may begin next. Nothing here runs anything."""

from __future__ import annotations

import collections
import dataclasses
import heapq
import typing as t

from .progress import UNTOLD, Step

Item = t.TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Work(t.Generic[Item]):
    """One thing that one worker does.

    ``needs`` are the keys of what must have ended before. While it is done, nobody else may use the tables in
    ``alone``, and those in ``shared``, which are other ones, only who shares them, too. The heavier it is, the earlier
    it begins.
    """

    key: t.Hashable
    item: Item
    needs: frozenset[t.Hashable] = frozenset()
    alone: frozenset[t.Hashable] = frozenset()
    shared: frozenset[t.Hashable] = frozenset()
    weight: int = 0
    #: what people are told of it
    step: Step = UNTOLD


class Graph(t.Generic[Item]):
    """Works and how far they are: each is waiting, ready, begun or ended.

    Of the ready ones, that one begins next from which the heaviest way leads to the end; of equals, the first given.
    So one worker alone does them in an order in which each comes after what it needs.
    """

    def __init__(self, works: t.Iterable[Work[Item]]) -> None:
        """Take the works; what one needs that is not among them counts as done.

        :raises ValueError: when works need each other, or two have one key
        """
        works = list(works)
        self._works = {work.key: work for work in works}
        if len(self._works) < len(works):
            raise ValueError("two works have one key")
        self._waiting = {work.key: {key for key in work.needs if key in self._works} for work in works}
        self._needed_by: dict[t.Hashable, list[t.Hashable]] = collections.defaultdict(list)
        for key, needs in self._waiting.items():
            for need in needs:
                self._needed_by[need].append(key)
        self._weights = self._weigh()
        self._places = {key: place for place, key in enumerate(self._works)}
        self._ready: list[tuple[int, int, t.Hashable]] = []
        self._locks: collections.Counter[t.Hashable] = collections.Counter()
        #: the works that are ready and wait for a table, by the table
        self._locked_out: dict[t.Hashable, list[t.Hashable]] = collections.defaultdict(list)
        self._left = len(works)
        for key, needs in self._waiting.items():
            if not needs:
                self._make_ready(key)

    def __len__(self) -> int:
        """How many have not ended."""
        return self._left

    def begin(self) -> Work[Item] | None:
        """Return the work that is to begin now, or None if none can before another one has ended."""
        while self._ready:
            _, _, key = heapq.heappop(self._ready)
            work = self._works[key]
            if (table := self._conflict(work)) is None:
                # A table that is used alone is counted below zero.
                self._locks.update(work.shared)
                self._locks.update(dict.fromkeys(work.alone, -1))
                return work
            self._locked_out[table].append(key)
        return None

    def end(self, work: Work[Item]) -> None:
        """Note that a work which had begun has ended; what has waited for it may begin."""
        self._left -= 1
        self._locks.subtract(work.shared)
        self._locks.subtract(dict.fromkeys(work.alone, -1))
        for table in work.shared | work.alone:
            for key in self._locked_out.pop(table, ()):
                self._make_ready(key)
        for key in self._needed_by[work.key]:
            self._waiting[key].discard(work.key)
            if not self._waiting[key]:
                self._make_ready(key)

    def _make_ready(self, key: t.Hashable) -> None:
        heapq.heappush(self._ready, (-self._weights[key], self._places[key], key))

    def _conflict(self, work: Work[Item]) -> t.Hashable | None:
        """Return a table that the work must wait for."""
        used = (table for table in work.alone if self._locks[table])
        used_alone = (table for table in work.shared if self._locks[table] < 0)
        return next(used, next(used_alone, None))

    def _weigh(self) -> dict[t.Hashable, int]:
        """Return the weight of the heaviest way from each work to the end, its own included."""
        missing = {key: len(self._needed_by[key]) for key in self._works}
        weights = {key: work.weight for key, work in self._works.items()}
        last = collections.deque(key for key, count in missing.items() if not count)
        weighed = 0
        while last:
            key = last.popleft()
            weighed += 1
            for need in self._waiting[key]:
                weights[need] = max(weights[need], self._works[need].weight + weights[key])
                missing[need] -= 1
                if not missing[need]:
                    last.append(need)
        if weighed < len(self._works):
            raise ValueError("works need each other")
        return weights
