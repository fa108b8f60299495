# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a copy holds what it must: two contents in, every difference by name out. Nothing here asks a database."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.content import Content
from ..catalog.database import DatabaseProperties
from ..catalog.foreign_keys import ForeignKey
from ..catalog.large_objects import LargeObject
from ..catalog.queries import SAME, Query
from ..catalog.requirements import Extension
from ..catalog.sequences import Sequence
from ..catalog.sums import ColumnSum
from ..privileges.effective import Change
from .definitions import TypeVerdict
from .findings import Difference, Finding
from .tables import TableVerdict, compare_relations


@dataclasses.dataclass(frozen=True)
class Pair:
    """A named thing on both sides, in words; None where it is missing."""

    name: str
    source: str | None
    target: str | None
    equal: bool


@dataclasses.dataclass(frozen=True)
class SequenceVerdict(Pair):
    """A sequence on both sides, with the table that owns it."""

    #: by schema and name
    owner: tuple[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class ForeignKeyVerdict:
    """A foreign key on both sides; None where it is missing."""

    name: str
    table: str
    references: str
    source_validated: bool | None
    target_validated: bool | None
    equal: bool


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


def compare(source: Content, target: Content) -> Verdict:
    """Compare what two databases hold; ``source`` is what must be."""
    tables, differences, notices = compare_relations(source.relations, target.relations)
    owners = {str(sequence): sequence.owner for sequence in (*target.sequences, *source.sequences)}
    sequences = [
        SequenceVerdict(**dataclasses.asdict(pair), owner=owners[pair.name])
        for pair in _pair(_describe_sequences(source.sequences), _describe_sequences(target.sequences))
    ]
    large_objects = _pair(_describe_large_objects(source.large_objects), _describe_large_objects(target.large_objects))
    return Verdict(
        tables=tuple(tables),
        sequences=tuple(sequences),
        large_objects=tuple(large_objects),
        differences=(
            *differences,
            *(Difference(f"sequence {pair.name}", _say(pair)) for pair in sequences if not pair.equal),
            *(Difference(f"large object {pair.name}", _say(pair)) for pair in large_objects if not pair.equal),
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


def _pair(source: dict[str, str], target: dict[str, str]) -> list[Pair]:
    names = sorted(source.keys() | target.keys())
    return [Pair(n, source.get(n), target.get(n), source.get(n) == target.get(n)) for n in names]


def _say(pair: Pair) -> str:
    if pair.target is None:
        return "missing on the target"
    if pair.source is None:
        return "only on the target"
    return f"{pair.source} on the source, {pair.target} on the target"


def compare_foreign_keys(source: t.Collection[ForeignKey], target: t.Collection[ForeignKey]) -> Verdict:
    """Compare the foreign keys, also in what no definition tells: whether their triggers are enabled."""
    verdicts = _compare_foreign_keys(source, target)
    return Verdict(
        foreign_keys=tuple(verdicts),
        differences=tuple(_foreign_key_differences(verdicts, _unchecked(source, target))),
    )


def _compare_foreign_keys(source: t.Iterable[ForeignKey], target: t.Iterable[ForeignKey]) -> list[ForeignKeyVerdict]:
    ours = {(key.table, key.name): key for key in source}
    theirs = {(key.table, key.name): key for key in target}
    verdicts = []
    for table, name in sorted(ours.keys() | theirs.keys()):
        our, their = ours.get((table, name)), theirs.get((table, name))
        if our and their and not our.enforced:
            # A restore makes every key enforced.
            our = dataclasses.replace(our, enforced=their.enforced)
        verdicts.append(
            ForeignKeyVerdict(
                name=name,
                table=table,
                references=(our or theirs[table, name]).references,
                source_validated=our.validated if our else None,
                target_validated=their.validated if their else None,
                equal=our == their,
            )
        )
    return verdicts


def _unchecked(source: t.Iterable[ForeignKey], target: t.Iterable[ForeignKey]) -> set[tuple[str, str]]:
    """Return the keys, as (table, name), that are checked on the source alone, which no definition tells."""
    checked = {(key.table, key.name) for key in source if key.enforced}
    return checked & {(key.table, key.name) for key in target if not key.enforced}


def _foreign_key_differences(
    verdicts: t.Iterable[ForeignKeyVerdict], unchecked: t.Container[tuple[str, str]]
) -> list[Difference]:
    """Name the keys as pg_dump does, so that what is allowed of one is allowed of the other."""
    differences = []
    for key in verdicts:
        if key.equal:
            continue
        if key.target_validated is None:
            message = "missing on the target"
        elif key.source_validated is None:
            message = "only on the target"
        elif key.source_validated != key.target_validated:
            message = "validated on one side only"
        elif (key.table, key.name) in unchecked:
            message = "its triggers are disabled on the target: no row is checked"
        else:
            message = "defined otherwise on the target"
        differences.append(Difference(f"fk constraint {key.table} {key.name}", message))
    return differences


#: Settings may hold keys and passwords of applications.
_OTHER_VALUE: t.Final = "another value on the target than on the source"


def compare_databases(
    source: DatabaseProperties, target: DatabaseProperties, with_settings: bool
) -> tuple[Difference, ...]:
    """Compare what the databases themselves are; settings and comment reach a copy only as it becomes live."""
    pairs = [
        Pair(f"database {field.name}", str(ours), str(theirs), ours == theirs)
        for field in dataclasses.fields(source.locale)
        for ours, theirs in [(getattr(source.locale, field.name), getattr(target.locale, field.name))]
    ]
    settings: tuple[Difference, ...] = ()
    if source.has_public != target.has_public:
        there = {True: "present", False: None}
        pairs.append(Pair("schema public", there[source.has_public], there[target.has_public], equal=False))
    if with_settings:
        ours, theirs = dict(source.settings), dict(target.settings)
        settings = tuple(
            Difference(f"database setting {name}", _OTHER_VALUE if name in theirs else "missing on the target")
            for name, value in ours.items()
            if theirs.get(name) != value
        )
        if source.comment is not None:
            pairs.append(Pair("database comment", source.comment, target.comment, source.comment == target.comment))
    return (*(Difference(pair.name, _say(pair)) for pair in pairs if not pair.equal), *settings)


def compare_extensions(
    source: t.Iterable[Extension], target: t.Iterable[Extension], default_versions: t.Mapping[str, str]
) -> tuple[Difference, ...]:
    """Compare the versions, which no definition tells; a copy is made in the version that the target's server prefers.

    :param default_versions: that version, by the extensions' names
    """
    versions = {extension.name: extension.version for extension in source}
    return tuple(
        Difference(
            f"extension {found.name}",
            f"version {versions[found.name]} on the source, {found.version} on the target,"
            f" whose server would make it {default_versions.get(found.name, 'no longer')}",
        )
        for found in target
        if found.name in versions and found.version not in (versions[found.name], default_versions.get(found.name))
    )


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
