# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether extensions' members are on both sides what they were made as. Nothing here asks a database."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.content import Content
from ..catalog.extension_rows import ExtensionRows
from ..catalog.facets import WORDED, Fields
from ..catalog.members import Member, Members
from ..catalog.requirements import Extension
from .comparison import Verdict
from .findings import Difference
from .tables import TableVerdict


@dataclasses.dataclass(frozen=True)
class MemberDifference:
    """A member that is on one side alone, or not the same on both.

    ``changes`` are the source's values and the target's by catalog and column, as ``pg_proc provolatile``.
    """

    source: Member | None
    target: Member | None
    changes: dict[str, tuple[str | None, str | None]]

    @property
    def member(self) -> Member:
        """The member, as one of both sides has it."""
        member = self.source or self.target
        assert member
        return member

    @property
    def extension(self) -> str:
        """The extension's name."""
        return self.member.extension

    def __str__(self) -> str:
        if self.target is None:
            return f"it belongs to extension {self.extension} on the source, and not on the target"
        if self.source is None:
            return f"it belongs to extension {self.extension} on the target, and not on the source"
        return f"altered: extension {self.extension} has it otherwise on the target, in {', '.join(self.changes)}"


def compare_members(source: Members, target: Members) -> list[MemberDifference]:
    """Return the members that differ, of the extensions that are on both sides in the same version and schema.

    Between two majors, what only one knows does not count, nor does the wording of a view.
    """
    both = _same_extensions(source.extensions, target.extensions)
    ours, theirs = (
        {(m.extension, m.identity): m for m in side.members if m.extension in both and _counts(m, source, target)}
        for side in (source, target)
    )
    keys = ours.keys() | theirs.keys()
    alone = {identity for _, identity in ours.keys() ^ theirs.keys()}
    differences = []
    for extension, identity in sorted(keys):
        our, their = ours.get((extension, identity)), theirs.get((extension, identity))
        if (our or theirs[extension, identity]).part_of in alone:
            # Said of the whole.
            continue
        changes = _changes(our, their, source.major == target.major) if our and their else {}
        if changes or not (our and their):
            differences.append(MemberDifference(our, their, changes))
    return differences


def _same_extensions(source: t.Iterable[Extension], target: t.Iterable[Extension]) -> set[str]:
    there = {extension.name: extension for extension in target}
    return {extension.name for extension in source if there.get(extension.name) == extension}


def _counts(member: Member, source: Members, target: Members) -> bool:
    """Until 17, a column that is NOT NULL has no constraint of its own."""
    kinds = member.facets.get("pg_constraint", {})
    return kinds.get("contype") != "n" or min(source.major, target.major) >= 18


def _changes(source: Member, target: Member, same_major: bool) -> dict[str, tuple[str | None, str | None]]:
    changes: dict[str, tuple[str | None, str | None]] = {}
    for facet in sorted(source.facets.keys() | target.facets.keys()):
        ours, theirs = source.facets.get(facet), target.facets.get(facet)
        if ours is None or theirs is None:
            changes[facet] = (_presence(ours), _presence(theirs))
            continue
        columns = ours.keys() | theirs.keys() if same_major else ours.keys() & theirs.keys()
        if not same_major and facet == "pg_rewrite":
            columns -= {WORDED}
        changes |= {
            f"{facet} {c}": (ours.get(c), theirs.get(c)) for c in sorted(columns) if ours.get(c) != theirs.get(c)
        }
    return changes


def _presence(fields: Fields | None) -> str | None:
    return None if fields is None else "present"


def judge_members(source: Members, target: Members) -> Verdict:
    """Return the verdict on the members of extensions."""
    return Verdict(
        differences=tuple(Difference(d.member.identity, str(d)) for d in compare_members(source, target)),
    )


def judge_extension_rows(source: Content, target: Content) -> Verdict:
    """Return the verdict on what extensions' tables and sequences hold that is not the user's.

    What one side alone has is a member that differs; what one side's user may not see, a finding tells.
    """
    pairs = pair_rows(source.extension_rows, target.extension_rows)
    configuration = {measured.relation.full_name for measured in source.relations}
    return Verdict(
        tables=tuple(
            TableVerdict(
                ours.schema, ours.name, "table", ours.count, theirs.count, ours.state, theirs.state, ours == theirs
            )
            for ours, theirs in pairs
            if ours.kind == "table" and (ours.schema, ours.name) not in configuration
        ),
        differences=tuple(Difference(str(ours), say_rows(ours, theirs)) for ours, theirs in pairs if ours != theirs),
    )


def pair_rows(
    source: t.Iterable[ExtensionRows], target: t.Iterable[ExtensionRows]
) -> list[tuple[ExtensionRows, ExtensionRows]]:
    """Return what is readable on both sides."""
    there = {str(rows): rows for rows in target if rows.state is not None}
    return [(rows, there[str(rows)]) for rows in source if rows.state is not None and str(rows) in there]


def say_rows(source: ExtensionRows, target: ExtensionRows) -> str:
    """Say how the two differ."""
    if source.extension != target.extension:
        return f"it belongs to extension {source.extension} on the source, to {target.extension} on the target"
    if source.kind == "sequence":
        return f"extension {source.extension}'s own sequence stands at {source.count} on the source, at {target.count}"
    if source.count != target.count:
        return (
            f"of the rows that are extension {source.extension}'s own, {source.count:,} are on the source and "
            f"{target.count:,} on the target"
        )
    return f"the {source.count:,} rows that are extension {source.extension}'s own are not the same on both sides"
