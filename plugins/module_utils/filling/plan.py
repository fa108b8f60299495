# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an empty schema is filled: rows, and then what must hold over complete rows. Nothing here asks a database.

What is made of rows begins as soon as they are there, and of tables that are copied together it is made together.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..archive.manifest import Manifest
from ..archive.schema import Entry
from ..catalog.relations import Relation
from ..catalog.selection import Name
from ..schedule.work import Work
from .bundles import Label, Tables


@dataclasses.dataclass(frozen=True)
class CopyRows:
    """The rows of tables, one after the other in one transaction."""

    tables: tuple[Name, ...]
    #: whether the tables were made without a row, and rows can be frozen at once (docs: COPY, FREEZE)
    frozen: bool = False

    def __str__(self) -> str:
        """Return it as people name it."""
        return f"rows of {_first([*map('.'.join, self.tables)])}"


@dataclasses.dataclass(frozen=True)
class MakeObjects:
    """Objects of the schema's archive, in its order."""

    entries: tuple[Entry, ...]

    def __str__(self) -> str:
        """Return it as people name it."""
        return _first(self.entries)


@dataclasses.dataclass(frozen=True)
class Analyze:
    """Statistics of tables, for the planner."""

    tables: tuple[Name, ...]

    def __str__(self) -> str:
        """Return it as people name it."""
        return f"statistics of {_first([*map('.'.join, self.tables)])}"


def _first(things: t.Sequence[object]) -> str:
    others = len(things) - 1
    return f"{things[0]} and {others:,} more" if others else str(things[0])


#: What is done once in a database, if there are any.
Once = t.Literal["large objects", "sequences", "materialized views", "finish"]
Task: t.TypeAlias = "CopyRows | MakeObjects | Analyze | Once"


def all_once(manifest: Manifest) -> list[Once]:
    """Return what there is to be done once for all that a manifest describes."""
    there: list[tuple[Once, t.Sized]] = [
        ("large objects", manifest.content.large_objects if manifest.large_objects or manifest.streamed else ()),
        ("sequences", manifest.content.sequences),
        ("materialized views", manifest.refresh_order),
    ]
    return [what for what, things in there if things]


#: Indexes of partitioned tables, to which those of their partitions are attached then; all that is cheap, in the
#: archive's order; what hides rows; and what would fire at all of that.
_TREES, _ATTACHED, _REST, _ROW_SECURITY, _EVENT_TRIGGERS = (
    ("trees",),
    ("attached",),
    ("rest",),
    ("row security",),
    ("event triggers",),
)

#: What takes time, and locks no more than the tables that it is about: several sessions make these at once.
_DEAR: t.Final = frozenset({"CONSTRAINT", "FK CONSTRAINT", "INDEX", "INDEX ATTACH"})


def plan_filling(
    relations: t.Iterable[Relation],
    filled: t.Container[Name],
    pre_data: t.Iterable[Entry],
    post_data: t.Sequence[Entry],
    once: t.Collection[Once] = (),
) -> list[Work[Task]]:
    """Return all that is to be done when the schema's pre-data is there.

    :param relations: all that hold rows
    :param filled: the tables, by schema and name, of which there are rows to copy
    :param pre_data: the entries that are made already; those of tables tell what an entry of post-data is about
    :param once: what else there is to do; materialized views are filled over all that they may read
    """
    tables = Tables(list(relations))
    made = {entry.number: entry.name for entry in pre_data if entry.kind == "TABLE"}
    copying = {
        ("rows", *bundle): Work[Task](
            key=("rows", *bundle),
            item=CopyRows(names, tables.can_be_frozen(names, made.values())),
            needs=frozenset(("rows", *label) for label in tables.called_for(names)),
            alone=frozenset(tables.roots(names)),
            weight=tables.size(names),
        )
        for bundle, members in tables.bundles().items()
        if (names := tuple(name for name in members if name in filled))
    }
    groups = _group(tables, made, post_data)
    making = [
        Work[Task](
            key=label,
            item=MakeObjects(tuple(group.entries)),
            needs=frozenset(group.needs | group.rows),
            alone=frozenset() if group.may_share else frozenset(group.tables),
            shared=frozenset(group.tables) if group.may_share else frozenset(),
            weight=tables.size(group.tables),
        )
        for label, group in groups.items()
        if label not in (_REST, _ROW_SECURITY, _EVENT_TRIGGERS)
    ]
    works = [*copying.values(), *making, *_analyzing(tables, groups)]
    works += [Work[Task](key=(what,), item=what) for what in once if what in ("large objects", "sequences")]
    for label, task in _ending(groups, once):
        works.append(Work[Task](key=label, item=task, needs=frozenset(work.key for work in works)))
    return works


def _ending(groups: t.Mapping[Label, _Group], once: t.Container[Once]) -> t.Iterator[tuple[Label, Task]]:
    """Yield what comes after all else, one after the other. Event triggers are last: they fire at what anybody does."""
    if rest := groups.get(_REST):
        yield _REST, MakeObjects(tuple(rest.entries))
    if "materialized views" in once:
        yield ("materialized views",), "materialized views"
    if "finish" in once:
        yield ("finish",), "finish"
    # Views are refreshed by the owner of what they read, who is to see all of it.
    if row_security := groups.get(_ROW_SECURITY):
        yield _ROW_SECURITY, MakeObjects(tuple(row_security.entries))
    if event_triggers := groups.get(_EVENT_TRIGGERS):
        yield _EVENT_TRIGGERS, MakeObjects(tuple(event_triggers.entries))


def plan_refilling(
    tables: t.Sequence[Name], filled: t.Container[Name], once: t.Collection[Once] = ()
) -> list[Work[Task]]:
    """Return how tables are filled whose indexes and keys are there: one after the other.

    :param tables: in an order in which each row finds the one that it refers to
    :param filled: those of which there are rows
    """
    tasks: list[Task] = [CopyRows((name,)) for name in tables if name in filled]
    tasks += [what for what in once if what != "materialized views"]
    # Views are refreshed by queries, which are planned by statistics.
    tasks += [Analyze(tuple(tables))] if tables else []
    tasks += [what for what in once if what == "materialized views"]
    return [
        Work[Task](key=(place,), item=task, needs=frozenset([(place - 1,)] if place else []))
        for place, task in enumerate(tasks)
    ]


@dataclasses.dataclass
class _Group:
    """What is made together, of which tables, and what must have ended before."""

    entries: list[Entry] = dataclasses.field(default_factory=list)
    tables: set[Name] = dataclasses.field(default_factory=set)
    needs: set[Label] = dataclasses.field(default_factory=set)
    #: the labels under which the tables' rows are copied
    rows: set[Label] = dataclasses.field(default_factory=set)

    @property
    def may_share(self) -> bool:
        """Whether others may index the tables at the same time: CREATE INDEX alone lets them (docs: 13.3.1)."""
        return {entry.kind for entry in self.entries} <= {"INDEX", "COMMENT"}


def _group(tables: Tables, names: t.Mapping[int, str], post_data: t.Sequence[Entry]) -> dict[Label, _Group]:
    """Return what of post-data is made together.

    :param names: of the tables, as the archive spells them, by the numbers of their entries
    """
    groups: dict[Label, _Group] = {}
    labels: dict[int, Label] = {}
    for entry in post_data:
        subjects = {name for number in entry.needs & names.keys() for name in tables.named(names[number])}
        needed = {labels[number] for number in entry.needs & labels.keys()}
        label = labels[entry.number] = _label(entry, subjects, needed, tables)
        group = groups.setdefault(label, _Group())
        leaves = {leaf for name in subjects for leaf in tables.leaves(name)}
        group.entries.append(entry)
        group.tables |= leaves | subjects
        group.needs |= needed - {label}
        if label != _TREES:
            group.rows |= {("rows", *tables.bundle(name)) for leaf in leaves for name in tables.loaded_with(leaf)}
        if entry.kind == "FK CONSTRAINT":
            # The server looks for orphans by a join, which it plans by statistics.
            group.needs |= {("statistics", *tables.bundle(leaf)) for leaf in leaves}
    return groups


def _label(entry: Entry, subjects: set[Name], needed: set[Label], tables: Tables) -> Label:
    """Return under which label an entry is made.

    :param subjects: the tables that it is about
    :param needed: the labels of what it depends on
    """
    if entry.kind == "EVENT TRIGGER":
        return _EVENT_TRIGGERS
    if entry.kind == "ROW SECURITY":
        return _ROW_SECURITY
    if entry.kind == "COMMENT" and needed:
        return next(iter(needed))
    if entry.kind not in _DEAR or not subjects or _REST in needed:
        return _REST
    leaves = sorted(leaf for name in subjects for leaf in tables.leaves(name))
    is_large = any(map(tables.is_large, leaves))
    if entry.kind == "FK CONSTRAINT":
        return ("key", entry.number) if is_large else ("keys", *(tables.bundle(leaves[0]) if leaves else ()))
    if entry.kind == "INDEX ATTACH":
        return _ATTACHED
    if any(tables.is_tree(name) for name in subjects):
        return _TREES
    return ("object", entry.number) if is_large else ("objects", *tables.bundle(min(subjects)))


def _analyzing(tables: Tables, groups: t.Mapping[Label, _Group]) -> list[Work[Task]]:
    """Return that statistics are taken, of a bundle's tables when their indexes are there: some index expressions."""
    bundles = tables.bundles()
    needs: dict[Label, set[Label]] = {bundle: {("rows", *bundle)} for bundle in bundles}
    for label, group in groups.items():
        if label[0] in ("object", "objects"):
            for name in group.tables:
                needs[tables.bundle(name)].add(label)
    return [
        Work[Task](
            key=("statistics", *bundle),
            item=Analyze(tuple(members)),
            needs=frozenset(needs[bundle]),
            alone=frozenset(members),
        )
        for bundle, members in bundles.items()
    ]
