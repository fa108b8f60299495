# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database holds, read at one instant: the thing that two databases are compared by."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import typing as t

import psycopg
from psycopg import sql

from ..endpoint import Session, break_off
from ..errors import MigrationError, describe
from ..parallel import run_parallel
from .checksums import ALGORITHM, add, digest, sum_query
from .extension_rows import ExtensionRows, read_extension_rows
from .foreign_keys import ForeignKey, list_foreign_keys
from .large_objects import LargeObject, read_large_objects
from .relations import Relation, list_relations
from .selection import Selection
from .sequences import Sequence, read_sequences
from .snapshot import Snapshot


@dataclasses.dataclass(frozen=True)
class Rows:
    """How many rows there are, and the checksum of all of them."""

    count: int
    checksum: str


@dataclasses.dataclass(frozen=True)
class Measured:
    """A relation and its rows: None for a materialized view without data.

    ``fresh`` is what a materialized view would hold were it refreshed now: a copy can only be made by a refresh.
    """

    relation: Relation
    rows: Rows | None
    fresh: Rows | None = None

    @property
    def stale(self) -> bool:
        """Whether a refresh would change it."""
        return self.fresh is not None and self.fresh != self.rows


@dataclasses.dataclass(frozen=True)
class Content:
    """All that is compared, each list sorted by name."""

    checksum_algorithm: str
    relations: tuple[Measured, ...]
    sequences: tuple[Sequence, ...]
    large_objects: tuple[LargeObject, ...]
    foreign_keys: tuple[ForeignKey, ...]
    #: what extensions' relations hold that is not the user's
    extension_rows: tuple[ExtensionRows, ...] = ()

    def of(self, selection: Selection) -> Content:
        """Return the selected tables, the sequences that they own, and the keys by which they refer to others."""
        return dataclasses.replace(
            self,
            relations=tuple(m for m in self.relations if m.relation.full_name in selection),
            sequences=tuple(sequence for sequence in self.sequences if sequence.owner in selection),
            large_objects=(),
            extension_rows=(),
            foreign_keys=tuple(key for key in self.foreign_keys if key.table in selection.labels),
        )


def read_content(
    snapshot: Snapshot,
    jobs: int,
    refresh_search_path: str | None = None,
    like: t.Iterable[Relation] = (),
    selection: Selection | None = None,
) -> Content:
    """Count and checksum everything in the snapshot, or what is selected, ``jobs`` pieces at a time.

    :param refresh_search_path: given, materialized views are evaluated afresh as well; their functions may rely on it
    :param like: the relations to compare with; where the columns are the same, they are hashed in the same forms
    :raises MigrationError: when a relation cannot be read, with the server's message, or not as it was at that instant
    """
    session = snapshot.session
    relations = _in_the_same_forms(list_relations(session), like)
    if selection is not None:
        relations = _only(relations, selection)
    rows = _measure(snapshot, jobs, [r for r in relations if r.kind != "partitioned table" and r.populated])
    fresh = _evaluate(session, relations, refresh_search_path) if refresh_search_path is not None else {}
    for tree in relations:
        if tree.kind == "partitioned table":
            leaves = [rows[leaf] for leaf in tree.partitions]
            checksum = add(leaf.checksum for leaf in leaves)
            rows[tree.schema, tree.name] = Rows(sum(leaf.count for leaf in leaves), checksum)
    _check_not_rewritten(session)
    content = Content(
        checksum_algorithm=ALGORITHM,
        relations=tuple(Measured(r, rows.get((r.schema, r.name)), fresh.get((r.schema, r.name))) for r in relations),
        sequences=tuple(read_sequences(session, selection)),
        large_objects=tuple(read_large_objects(session)) if selection is None else (),
        foreign_keys=tuple(list_foreign_keys(session)),
        extension_rows=tuple(read_extension_rows(session)) if selection is None else (),
    )
    return content if selection is None else content.of(selection)


def _only(relations: t.Collection[Relation], selection: Selection) -> list[Relation]:
    """Return the selected relations, with the partitions that a selected tree has here but not on the other side."""
    chosen = [relation for relation in relations if relation.full_name in selection]
    names = {relation.full_name for relation in chosen}.union(*(tree.partitions for tree in chosen))
    return [relation for relation in relations if relation.full_name in names]


# A query sees pg_class as it was at the snapshot's instant, the function sees it as it is now.
_REWRITTEN: t.Final = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.oid >= 16384 AND pg_relation_filenode(c.oid) <> c.relfilenode ORDER BY 1
"""


def _check_not_rewritten(session: Session) -> None:
    """Make sure that the snapshot has shown the tables as they were at its instant.

    One that was truncated or rewritten since then looks empty in it (docs: 13.6 Caveats, of Concurrency Control).
    """
    rewritten = [name for (name,) in session.execute(_REWRITTEN).fetchall()]
    if rewritten:
        raise MigrationError(
            f"While it was read, somebody truncated or rewrote (TRUNCATE, ALTER TABLE, VACUUM FULL, CLUSTER) "
            f"{', '.join(rewritten)}: what was there at the copy's instant can no longer be seen. Run again."
        )


def _in_the_same_forms(relations: t.Iterable[Relation], like: t.Iterable[Relation]) -> list[Relation]:
    """An extension may give its types a send function on one server and not yet on the other."""
    wanted = {relation.full_name: relation.hashed for relation in like}
    same = []
    for relation in relations:
        hashed = wanted.get(relation.full_name, ())
        alike = [(c.name, c.type) for c in hashed] == [(c.name, c.type) for c in relation.hashed]
        same.append(dataclasses.replace(relation, hashed=hashed) if alike else relation)
    return same


#: A larger relation is read in pieces of so many pages (16 MiB), so that several jobs can share it.
_PIECE_PAGES: t.Final = 1 << 11


@dataclasses.dataclass(frozen=True)
class _Piece:
    """The pages of a relation from ``first`` to before ``last``; the first piece and the last one are open."""

    relation: Relation
    first: int | None
    last: int | None

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


def _pieces(relation: Relation) -> list[_Piece]:
    """Return pieces that cover the relation without overlap, whatever has grown since its size was read."""
    edges: list[int | None] = [None, *range(_PIECE_PAGES, relation.pages, _PIECE_PAGES), None]
    return [_Piece(relation, first, last) for first, last in itertools.pairwise(edges)]


def _measure(snapshot: Snapshot, jobs: int, relations: t.Iterable[Relation]) -> dict[tuple[str, str], Rows]:
    """Return each relation's rows by (schema, name); the largest relations are read first."""
    sums: dict[tuple[str, str], list[tuple[int, int]]] = collections.defaultdict(list)
    pieces = [piece for r in sorted(relations, key=lambda r: -r.size) for piece in _pieces(r)]

    @contextlib.contextmanager
    def open_reader() -> t.Iterator[_Reader]:
        with snapshot.another_session() as session:
            yield _Reader(session, sums)

    run_parallel(pieces, jobs, open_reader)
    return {
        name: Rows(sum(count for count, _ in parts), digest(hashes for _, hashes in parts))
        for name, parts in sums.items()
    }


@dataclasses.dataclass(frozen=True)
class _Reader:
    session: Session
    sums: dict[tuple[str, str], list[tuple[int, int]]]

    def run(self, piece: _Piece) -> None:
        relation = piece.relation
        sum_ = _sum(self.session, relation, sum_query(relation.hashed, piece.rows))
        self.sums[relation.schema, relation.name].append(sum_)

    def cancel(self) -> None:
        break_off(self.session)


def _sum(session: Session, relation: Relation, query: sql.Composed) -> tuple[int, int]:
    try:
        row = session.execute(query).fetchone()
    except psycopg.Error as error:
        raise MigrationError(f"Cannot read the rows of {relation.kind} {relation}: {describe(error)}") from None
    assert row is not None
    count, hashes = row
    return int(count), int(hashes)


def _evaluate(session: Session, relations: t.Iterable[Relation], search_path: str) -> dict[tuple[str, str], Rows]:
    """Return what the populated materialized views would hold after a refresh."""
    fresh = {}
    for view in relations:
        if view.kind == "materialized view" and view.populated:
            definition = _definition(session, view)
            session.execute("SELECT pg_catalog.set_config('search_path', %s, true)", (search_path,))
            count, hashes = _sum(
                session, view, sum_query(view.hashed, sql.SQL("({}) AS definition").format(definition))
            )
            session.execute("SELECT pg_catalog.set_config('search_path', '', true)")
            fresh[view.schema, view.name] = Rows(count, digest([hashes]))
    return fresh


def _definition(session: Session, view: Relation) -> sql.SQL:
    """The view's query, with all names qualified since the session's search_path is empty."""
    row = session.execute(
        "SELECT pg_get_viewdef(pg_catalog.format('%%I.%%I', %s::text, %s::text)::regclass)", (view.schema, view.name)
    ).fetchone()
    assert row is not None
    return sql.SQL(row[0].rstrip().removesuffix(";"))
