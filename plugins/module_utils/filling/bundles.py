# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tables are filled together: a large one is by itself, small ones are bundled, and so is what is made of them.

A far server is asked a few times, then, however many tables there are.
"""

from __future__ import annotations

import collections
import typing as t

from ..catalog.graph import find_components
from ..catalog.relations import Relation
from ..catalog.selection import Name

#: Tables of at least so many bytes are copied, indexed and analyzed by themselves; of smaller ones, so many together.
LARGE: t.Final = 8 << 20
#: How many at the most: each takes a lock or more, which the server has room for (docs: max_locks_per_transaction).
_MOST: t.Final = 200

#: What is done together is known by it.
Label = tuple[t.Hashable, ...]


class Tables:
    """Relations, as far as it matters here who is whose partition and how large."""

    def __init__(self, relations: t.Sequence[Relation]) -> None:
        self._relations = {relation.full_name: relation for relation in relations}
        self._by_label: dict[str, list[Name]] = collections.defaultdict(list)
        self._loaded_through: dict[Name | None, list[Name]] = collections.defaultdict(list)
        self._bundles: dict[Name, Label] = {}
        self._levels = _levels(self._relations)
        number = count = size = level = 0
        levels = self._levels
        # Rows that functions read come before those for which they are called.
        for relation in sorted(relations, key=lambda relation: levels[relation.full_name]):
            # A line break in a name is a blank in the archive (sanitize_line in dumputils.c); two may look alike there.
            self._by_label[str(relation).replace("\n", " ").replace("\r", " ")].append(relation.full_name)
            if relation.kind == "table":
                self._loaded_through[relation.load_through].append(relation.full_name)
                if relation.size >= LARGE:
                    self._bundles[relation.full_name] = ("large", *relation.full_name)
                else:
                    if size >= LARGE or count == _MOST or levels[relation.full_name] > level:
                        number, count, size = number + 1, 0, 0
                    level = levels[relation.full_name]
                    self._bundles[relation.full_name] = ("small", number)
                    count, size = count + 1, size + relation.size

    def bundles(self) -> dict[Label, list[Name]]:
        """Return the tables that go together."""
        together: dict[Label, list[Name]] = collections.defaultdict(list)
        for name, bundle in self._bundles.items():
            together[bundle].append(name)
        return together

    def bundle(self, name: Name) -> Label:
        """Return which bundle a table belongs to."""
        return self._bundles[name]

    def named(self, label: str) -> list[Name]:
        """Return which tables, or trees of them, the archive may mean by a name."""
        return self._by_label[label]

    def is_tree(self, name: Name) -> bool:
        """Whether it is a partitioned table."""
        return self._relations[name].kind == "partitioned table"

    def leaves(self, name: Name) -> t.Collection[Name]:
        """Return the tables that hold its rows."""
        return self._relations[name].partitions if self.is_tree(name) else (name,)

    def loaded_with(self, name: Name) -> t.Collection[Name]:
        """Return the tables whose rows may end up in this one: itself, or all that are loaded through the same root."""
        through = self._relations[name].load_through
        return self._loaded_through[through] if through else (name,)

    def called_for(self, names: t.Iterable[Name]) -> set[Label]:
        """Return the other bundles whose rows functions read that the tables' expressions call.

        Of tables that need each other, nothing is told.
        """
        levels = self._levels
        return {
            self._bundles[leaf]
            for name in names
            for read in self._relations[name].calls_for
            if levels.get(read, levels[name]) < levels[name]
            for leaf in self.leaves(read)
        }

    def roots(self, names: t.Iterable[Name]) -> t.Iterator[Name]:
        """Return the tables that COPY names to load these, and these."""
        for name in names:
            yield name
            if through := self._relations[name].load_through:
                yield through

    def is_large(self, name: Name) -> bool:
        """Whether it goes by itself."""
        return self._bundles[name][0] == "large"

    def can_be_frozen(self, names: t.Iterable[Name], made: t.Container[str]) -> bool:
        """Whether to empty these tables once more, as COPY wants for that, costs little and takes no row of anybody's.

        An extension's table may have rows that the extension has made.

        :param made: the tables that the archive makes, as it spells them
        """
        return all(
            self.is_large(name) and not relation.load_through and str(relation) in made
            for name in names
            for relation in [self._relations[name]]
        )

    def size(self, names: t.Iterable[Name]) -> int:
        """Return how many bytes tables have together."""
        return sum(self._relations[name].size for name in names if not self.is_tree(name))


def _levels(relations: t.Mapping[Name, Relation]) -> dict[Name, int]:
    """Return how many tables one after the other are called for by each relation; those of a circle have one level."""
    calls = {
        name: {leaf for read in relation.calls_for if read in relations for leaf in {read, *relations[read].partitions}}
        for name, relation in relations.items()
    }
    # A tree is as late as its latest leaf.
    calls |= {name: {*calls[name], *tree.partitions} for name, tree in relations.items() if tree.partitions}
    levels: dict[Name, int] = {}
    for component in find_components(calls):
        below = [levels[read] for name in component for read in calls[name] if read in levels]
        level = max(below, default=-1) + 1
        levels |= dict.fromkeys(component, level)
    return levels
