# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a copy holds what it must: two contents in, every difference by name out. Nothing here asks a database."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.content import Content
from ..catalog.foreign_keys import ForeignKey
from ..catalog.large_objects import LargeObject
from ..catalog.queries import SAME, Query
from ..catalog.selection import Name
from ..catalog.sequences import Sequence
from ..catalog.sums import ColumnSum
from ..privileges.effective import Change
from .definitions import TypeVerdict
from .findings import Difference, Finding
from .foreign_keys import ForeignKeyVerdict, pair_foreign_keys
from .pairs import Pair, pair_up, say
from .tables import TableVerdict, compare_relations


@dataclasses.dataclass(frozen=True)
class SequenceVerdict(Pair):
    """A sequence on both sides, with the table that owns it."""

    #: by schema and name
    owner: tuple[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class RowsVerdict:
    """The rows of a table that are not the same on both sides, and some of each kind by their primary key."""

    kind: str
    schema: str
    name: str
    missing: int
    extra: int
    changed: int
    #: about how many bytes the source would send
    bytes: int
    examples: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclasses.dataclass(frozen=True)
class Allowed:
    """A difference in an object for which the user has given a reason."""

    object: str
    message: str
    reason: str


@dataclasses.dataclass(frozen=True)
class SumPair:
    """A column's sums on both sides; None where nobody has summed them up."""

    schema: str
    table: str
    column: str
    source: ColumnSum | None
    target: ColumnSum | None
    equal: bool


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Everything compared, and all differences; none means equal."""

    tables: tuple[TableVerdict, ...] = ()
    #: where it was looked for, what differs within tables
    rows: tuple[RowsVerdict, ...] = ()
    sequences: tuple[SequenceVerdict, ...] = ()
    large_objects: tuple[Pair, ...] = ()
    foreign_keys: tuple[ForeignKeyVerdict, ...] = ()
    objects: tuple[TypeVerdict, ...] = ()
    differences: tuple[Difference, ...] = ()
    #: differences that the user has allowed
    allowed: tuple[Allowed, ...] = ()
    #: what is good to know of what was compared
    notices: tuple[Finding, ...] = ()
    #: what roles could do in the live database before, and can do now
    privileges: tuple[Change, ...] = ()
    #: sums of columns, for people: rows are judged by their checksums alone
    sums: tuple[SumPair, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether the target holds what the source held."""
        return not self.differences

    def joined(self, other: Verdict) -> Verdict:
        """Return this verdict and another one, on something else, as one; what both say is said once."""
        fields = [field.name for field in dataclasses.fields(self)]
        return Verdict(**{name: tuple(dict.fromkeys(getattr(self, name) + getattr(other, name))) for name in fields})

    def allowing(self, reasons: t.Mapping[str, str]) -> Verdict:
        """Return the verdict with the differences of the named objects set apart."""
        allowed = [Allowed(d.object, d.message, reasons[d.object]) for d in self.differences if d.object in reasons]
        differing = [difference for difference in self.differences if difference.object not in reasons]
        return dataclasses.replace(self, differences=tuple(differing), allowed=(*self.allowed, *allowed))

    def explained(self, explanations: t.Mapping[str, str]) -> Verdict:
        """Return the verdict with more said of the differences in some objects."""
        differences = tuple(
            Difference(d.object, f"{d.message}: {explanations[d.object]}") if d.object in explanations else d
            for d in self.differences
        )
        return dataclasses.replace(self, differences=differences)


def compare(source: Content, target: Content, computed: t.Collection[Name] = ()) -> Verdict:
    """Compare what two databases hold; ``source`` is what must be.

    :param computed: the target's tables whose generated columns hold what its server makes of their rows
    """
    tables, differences, notices = compare_relations(source.relations, target.relations, computed)
    owners = {str(sequence): sequence.owner for sequence in (*target.sequences, *source.sequences)}
    sequences = [
        SequenceVerdict(**vars(pair), owner=owners[pair.name])
        for pair in pair_up(_describe_sequences(source.sequences), _describe_sequences(target.sequences))
    ]
    large_objects = pair_up(
        _describe_large_objects(source.large_objects), _describe_large_objects(target.large_objects)
    )
    return Verdict(
        tables=tuple(tables),
        sequences=tuple(sequences),
        large_objects=tuple(large_objects),
        differences=(
            *differences,
            *(Difference(f"sequence {pair.name}", say(pair)) for pair in sequences if not pair.equal),
            *(Difference(f"large object {pair.name}", say(pair)) for pair in large_objects if not pair.equal),
        ),
        notices=tuple(notices),
        sums=tuple(_pair_sums(source.sums, target.sums)),
    ).joined(compare_foreign_keys(source.foreign_keys, target.foreign_keys))


def _pair_sums(source: t.Iterable[ColumnSum], target: t.Iterable[ColumnSum]) -> t.Iterator[SumPair]:
    ours, theirs = ({(one.schema, one.table, one.column): one for one in side} for side in (source, target))
    for name in sorted(ours | theirs):
        here, there = ours.get(name), theirs.get(name)
        yield SumPair(*name, here, there, here == there)


def _describe_sequences(sequences: t.Iterable[Sequence]) -> dict[str, str]:
    return {str(s): f"{s.last_value}{'' if s.is_called else ', not called'}" for s in sequences}


def _describe_large_objects(objects: t.Iterable[LargeObject]) -> dict[str, str]:
    return {
        str(o.oid): f"{o.size:,} bytes, checksum {o.checksum}" + (f", comment {o.comment!r}" if o.comment else "")
        for o in objects
    }


def compare_foreign_keys(source: t.Collection[ForeignKey], target: t.Collection[ForeignKey]) -> Verdict:
    """Compare the foreign keys, also in what no definition tells: whether their triggers are enabled."""
    verdicts, differences = pair_foreign_keys(source, target)
    return Verdict(foreign_keys=tuple(verdicts), differences=tuple(differences))


def compare_answers(
    queries: t.Iterable[Query], source: t.Mapping[str, str], target: t.Mapping[str, str]
) -> tuple[Difference, ...]:
    """Return the queries whose answer on the target is not what it must be; the answers are what the user asked for."""
    differences = []
    for query in queries:
        wanted = source.get(query.name) if query.expect == SAME else query.expect
        found = target[query.name]
        if wanted is None:
            message = "the archive holds no answer of the source: dump with the same verify_queries"
        elif found != wanted:
            message = f"{wanted!r} expected, {found!r} on the target"
        else:
            continue
        differences.append(Difference(f"query {query.name}", message))
    return tuple(differences)
