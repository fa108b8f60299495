# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the content of databases is read: counted, hashed and evaluated by the servers, in many pieces at once."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import typing as t

import psycopg

from ..errors import MigrationError, describe
from ..schedule.progress import Step
from ..schedule.threads import Lane, in_order, run_lanes
from ..server.endpoint import Session, set_search_path
from ..server.inquiry import Inquiry, answer, ask, together
from ..server.shared_memory import read
from .checksums import ALGORITHM, add, digest
from .content import Content, Measured, Rows
from .earlier import Comparison, Earlier
from .evaluations import Evaluations
from .extension_rows import ask_extension_rows
from .foreign_keys import ask_foreign_keys
from .in_force import Settings
from .large_objects import LIST as LARGE_OBJECTS
from .large_objects import LargeObject, Numbers, read_listed
from .pieces import Piece, group, share
from .portions import Portion, Reader
from .relations import Relation, ask_relations, in_the_same_forms
from .rewritten import ask_rewritten
from .selection import Name, Selection
from .sequences import Sequence, ask_sequences, sequence_dropped
from .snapshot import Snapshot
from .sums import ColumnSum, read_sums
from .transaction import Transaction
from .views import read_definitions


@dataclasses.dataclass(frozen=True)
class Reading:
    """What is to be read of a database, and how.

    :param search_path: the one that serves the source, on both sides the same: values that name objects (regclass) are
        printed by it
    :param settings: what a session of the source begins with, under which materialized views are evaluated
    :param like: the relations to compare with; where the columns are the same, they are hashed in the same forms
    :param evaluated: whether materialized views are evaluated afresh as well: all, none, or the named ones
    :param summed: whether columns are summed up as well
    """

    snapshot: Snapshot
    jobs: int
    search_path: str
    like: t.Collection[Relation] = ()
    selection: Selection | None = None
    evaluated: bool | t.Container[tuple[str, str]] = False
    summed: bool = False
    settings: Settings = ()
    #: what there is, and the numbers of its large objects, where that is known
    relations: t.Sequence[Relation] | None = None
    large_objects: Numbers | None = None
    #: what it held before: a table that has not been written since need not be read
    earlier: Earlier | None = None
    #: rows of tables that need not be read again, and the sequences that there probably are, by name
    known: t.Mapping[Name, Rows] = dataclasses.field(default_factory=dict)
    sequences: t.Collection[Sequence] = ()


def ask_held() -> Inquiry[tuple[list[Relation], Numbers]]:
    """Ask which relations there are, and which large objects, by their numbers."""
    relations, (large_objects,) = yield from together(ask_relations(), ask(LARGE_OBJECTS))
    return relations, large_objects


def read_content(reading: Reading) -> Content:
    """Count and checksum everything in the snapshot, or what is selected, several pieces at a time.

    :raises MigrationError: when a relation cannot be read, with the server's message, or not as it was at that instant
    """
    (content,) = read_contents(reading)
    return content


def read_contents(*readings: Reading) -> list[Content]:
    """Read several databases at once, as `read_content` does; what fails for one of them, or Ctrl-C, ends all."""
    begun = [_Begun(reading) for reading in readings]
    if any(reading.earlier for reading in readings):
        run_lanes([one.lane(one.comparisons()) for one in begun], "see what was written since")
    run_lanes([one.lane(one.first_portions()) for one in begun], "count and checksum rows")
    run_lanes([one.lane(one.second_portions()) for one in begun], "evaluate materialized views")
    return [one.content() for one in begun]


def read_views(reading: Reading, content: Content) -> Content:
    """Return the content of a target with the named views evaluated as well.

    :raises MigrationError: when the query of one fails
    """
    begun = _Begun(reading)
    run_lanes([begun.lane(begun.evaluations())], "evaluate materialized views")
    begun.rows |= {m.relation.full_name: m.rows for m in content.relations if m.rows}
    run_lanes([begun.lane(begun.second_portions())], "evaluate materialized views")
    return dataclasses.replace(content, relations=tuple(begun.measured(m.relation) for m in content.relations))


def _only(relations: t.Collection[Relation], selection: Selection) -> list[Relation]:
    """Return the selected relations, with the partitions that a selected tree has here but not on the other side."""
    chosen = [relation for relation in relations if relation.full_name in selection]
    names = {relation.full_name for relation in chosen}.union(*(tree.partitions for tree in chosen))
    return [relation for relation in relations if relation.full_name in names]


#: Relations that take no more than that together (64 MiB) are read by the session that is there, all at once: others
#: would have to be opened, which takes as long by a long line as it would spare.
_FEW_BYTES: t.Final = 1 << 26


def _step(pieces: t.Iterable[Piece]) -> Step:
    """Return what people are told of pieces that are read together."""
    steps = [piece.step for piece in pieces]
    return steps[0] if len(steps) == 1 else Step(f"{len(steps):,} tables", sum(step.size for step in steps))


class _Begun:
    """A reading under way: what is to be done, and what has come of it so far."""

    def __init__(self, reading: Reading) -> None:
        session, selection = reading.snapshot.session, reading.selection
        #: the numbers of the large objects, if they are known
        self._listed = reading.large_objects
        listed = reading.relations
        if listed is None:
            listed, self._listed = answer(session, ask_held())
        relations = in_the_same_forms(listed, reading.like)
        self.reading = reading
        self.relations = relations if selection is None else _only(relations, selection)
        self.rows: dict[Name, Rows] = dict(reading.known)
        definitions = read_definitions(session) if reading.evaluated else {}
        self._evaluations = Evaluations(definitions, reading.search_path, reading.settings)
        self._sums: dict[Name, list[tuple[int, ...]]] = collections.defaultdict(list)
        self._large_objects: list[LargeObject] = []
        self._compared: Comparison | None = None
        #: what was told with the last rows, if it was
        self._last: list[t.Any] = []

    def lane(self, portions: t.Iterable[Portion]) -> Lane[Portion]:
        """Return the portions with sessions that take part in the snapshot to do them in."""
        if self._is_for_one:
            reader = Reader(self.reading.snapshot.session)
            return Lane(in_order(portions, lambda portion: portion.step), 1, lambda: contextlib.nullcontext(reader))

        # What a view's query yields is to be asked in two transactions.
        open_session = self.reading.snapshot.readers(fresh=bool(self._evaluations))

        @contextlib.contextmanager
        def open_reader() -> t.Iterator[Reader]:
            with open_session() as session:
                yield Reader(session)

        # Of a transaction there is one session.
        jobs = 1 if isinstance(self.reading.snapshot, Transaction) else self.reading.jobs
        return Lane(in_order(portions, lambda portion: portion.step), jobs, open_reader)

    def comparisons(self) -> list[Portion]:
        """Return how it is found out which tables hold what they held before."""
        earlier, jobs = self.reading.earlier, 1 if self._is_for_one else self.reading.jobs
        if not earlier or earlier.search_path != self.reading.search_path:
            return []
        compared = self._compared = Comparison(earlier, self._unread(), jobs)
        return [Portion(functools.partial(compared.ask, some), _step(some)) for some in compared.portions]

    def _unread(self) -> list[Relation]:
        return [
            relation
            for relation in self.relations
            if relation.kind != "partitioned table" and relation.populated and relation.full_name not in self.rows
        ]

    def first_portions(self) -> list[Portion]:
        """Return all that must be read, what may take longest first."""
        self.rows |= self._compared.same() if self._compared else {}
        stored = self._unread()
        if self._is_for_one:
            groups = list(group(stored)) or [[]]
            return [
                Portion(
                    functools.partial(self._add_all, some, is_first=place == 0, is_last=place == len(groups) - 1),
                    Step("all tables" if len(groups) == 1 else "tables", sum(relation.size for relation in some)),
                )
                for place, some in enumerate(groups)
            ]
        pieces, groups = share(stored, self.reading.jobs)
        has_large_objects = self._listed != [] and not self.reading.selection
        return [
            *self.evaluations(),
            *([Portion(self._read_large_objects, Step("large objects"))] if has_large_objects else []),
            *(Portion(functools.partial(self._add, piece), piece.step) for piece in pieces),
            *(Portion(functools.partial(self._add_all, some), _step(map(Piece, some))) for some in groups),
        ]

    def evaluations(self) -> list[Portion]:
        """Return the evaluation of each materialized view that is asked for."""
        return self._evaluations.first(filter(self._is_asked, self.relations))

    def second_portions(self) -> list[Portion]:
        """Return another evaluation, in another transaction, of the views that do not hold what the first yielded."""
        for name, parts in self._sums.items():
            counts, *sums = zip(*parts, strict=True)
            self.rows[name] = Rows(sum(counts), *map(digest, sums))
        return self._evaluations.second(view for view in self.relations if self.measured(view).stale)

    def content(self) -> Content:
        """Return what was read; the portions must have been done."""
        session, selection = self.reading.snapshot.session, self.reading.selection
        for tree in self.relations:
            if tree.kind == "partitioned table":
                leaves = [self.rows[leaf] for leaf in tree.partitions]
                self.rows[tree.full_name] = Rows(
                    sum(leaf.count for leaf in leaves),
                    add(leaf.checksum for leaf in leaves),
                    add(leaf.given or leaf.checksum for leaf in leaves) if any(leaf.given for leaf in leaves) else "",
                )
        _, keys, sequences, *others = self._last or self._read_last(session)
        content = Content(
            checksum_algorithm=ALGORITHM,
            relations=tuple(map(self.measured, self.relations)),
            sequences=tuple(sequences),
            large_objects=tuple(self._large_objects),
            foreign_keys=tuple(keys),
            extension_rows=tuple(others[0]) if others else (),
            sums=self._read_sums(),
        )
        return content if selection is None else content.of(selection)

    def _read_last(self, session: Session) -> list[t.Any]:
        try:
            with contextlib.suppress(psycopg.errors.UndefinedTable):
                return answer(session, self._ask_last())
            # One of the sequences that there were to be is not there, perhaps.
            return answer(session, self._ask_last(likely=()))
        except psycopg.errors.UndefinedTable as error:
            raise sequence_dropped(error) from None
        except psycopg.errors.LockNotAvailable:
            raise
        except psycopg.Error as error:
            raise MigrationError(f"Cannot read what extensions' own tables hold: {describe(error)}") from None

    def _ask_last(self, likely: t.Collection[Sequence] | None = None) -> Inquiry[list[t.Any]]:
        """Ask for what is no row of a relation, after these, and whether the snapshot has shown all of them."""
        selection = self.reading.selection
        return together(
            ask_rewritten(self.relations),
            ask_foreign_keys(),
            ask_sequences(selection, self.reading.sequences if likely is None else likely),
            *([ask_extension_rows()] if selection is None else []),
        )

    def _read_sums(self) -> tuple[ColumnSum, ...]:
        reading = self.reading
        return read_sums(reading.snapshot, self.relations, reading.jobs, reading.search_path) if reading.summed else ()

    def measured(self, relation: Relation) -> Measured:
        """Return what was read of a relation."""
        return self._evaluations.measured(relation, self.rows.get(relation.full_name))

    @property
    def _is_for_one(self) -> bool:
        """Whether one session does for all: what is small, and no materialized view, whose query may take long.

        Where there is only one, it is asked seldom, too.
        """
        small = sum(relation.size for relation in self.relations) <= _FEW_BYTES
        return not self._evaluations and (small or self.reading.jobs == 1)

    def _is_asked(self, view: Relation) -> bool:
        asked = self.reading.evaluated
        return asked is True or (asked is not False and view.full_name in asked)

    def _read_large_objects(self, session: Session) -> None:
        if self._listed is None:
            self._listed = session.execute(LARGE_OBJECTS).fetchall()
        self._large_objects = read_listed(session, self._listed)

    def _add(self, piece: Piece, session: Session) -> None:
        relation = piece.relation
        try:
            (sums,) = read(session, piece.sums, self.reading.search_path)
        except psycopg.errors.LockNotAvailable:
            # The snapshot tells who stands in the way.
            raise
        except psycopg.Error as error:
            raise MigrationError(
                f"Cannot read the rows of {relation.kind} {relation}: {describe(error, over_rows=True)}"
            ) from None
        self._sums[relation.full_name].append(tuple(map(int, sums)))

    def _add_all(
        self, relations: t.Sequence[Relation], session: Session, *, is_first: bool = False, is_last: bool = False
    ) -> None:
        has_objects = is_first and self.reading.selection is None and self._listed != []
        queries = [Piece(relation).sums for relation in relations]
        # What goes with them is asked under the session's own path.
        sums = ask(set_search_path(self.reading.search_path), *queries, set_search_path(""))
        objects = ask(LARGE_OBJECTS) if has_objects and self._listed is None else ask()
        try:
            told, listed, last = answer(session, together(sums, objects, self._ask_last() if is_last else ask()))
        except psycopg.errors.LockNotAvailable:
            raise
        except psycopg.errors.QueryCanceled as error:
            # Broken off: none of them is to be read then.
            what = _step(map(Piece, relations)).title
            raise MigrationError(f"Cannot read the rows of {what}: {describe(error)}") from None
        except psycopg.Error:
            # Which one cannot be read, each must tell by itself.
            for relation in relations:
                self._add(Piece(relation), session)
        else:
            self._listed = listed[0] if listed else self._listed
            self._last = [*last]
            for relation, (found,) in zip(relations, told[1:-1], strict=True):
                self._sums[relation.full_name].append(tuple(map(int, found)))
        if has_objects:
            self._read_large_objects(session)
