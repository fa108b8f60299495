# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a table holds what it held at an earlier instant, without a look at any value.

Each row tells the transaction that wrote it (docs: 5.6 System Columns). Where no row is of a transaction which had not
ended by then, every row was there then; and where they are as many, they are the same rows, since a row never changes:
another version of it is another one's. That proves "the same", never "another": a table of which it cannot be told is
read. The table must be itself, too: its name is still its own, and the database the one that it was, since a copy made
of a template has the same rows. What its values mean, functions and types may tell otherwise by now: see identity.py.

Two things could make a later row look like an earlier one: 2^31 transactions in between, and a crash that has undone
one whose commit nobody had waited for (synchronous_commit), as its number is given out again then. A server that
recovers from a crash discards its statistics (pgstat_reset_after_failure in pgstat.c), and says since when it has them.
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..server.batches import ask_all
from ..server.endpoint import Session
from ..server.inquiry import Inquiry
from .content import Content, Rows
from .pieces import Piece, cut, group
from .relations import Relation
from .selection import Name

_INSTANT: t.Final = """
SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.text,
       pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text,
       pg_catalog.concat_ws(' ', (SELECT oid FROM pg_catalog.pg_database
                                  WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()),
                            (SELECT pg_catalog.date_part('epoch', stats_reset) FROM pg_catalog.pg_stat_wal))
"""
#: Smaller tables (16 MiB) are read: that takes no longer.
_LARGE_PAGES: t.Final = 1 << 11

# Numbers are compared by their distance, so that a row of 2^31 transactions ago is taken for one that was written
# since. As functions, which no operator of the user's can stand in for.
_SINCE: t.Final = "pg_catalog.int4le(pg_catalog.age({}xmin), pg_catalog.age({{since}}::pg_catalog.xid))"
_WRITTEN: t.Final = f"SELECT count(*), count(*) FILTER (WHERE {_SINCE.format('')}) FROM {{rows}}"
# An extension's way of storing rows need not note who wrote them, and may refuse to say so or say anything (docs: Table
# Access Method Interface). And whatever gives a table another name or schema writes its row in the catalog.
_UNTOLD: t.Final = (psycopg.errors.FeatureNotSupported, psycopg.errors.InternalError_)
_IS_ITSELF: t.Final = f"""
SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.oid OPERATOR(pg_catalog.=) {{name}}::pg_catalog.regclass::pg_catalog.oid
  AND a.amhandler::pg_catalog.oid
      OPERATOR(pg_catalog.=) 'pg_catalog.heap_tableam_handler'::pg_catalog.regproc::pg_catalog.oid
  AND NOT {_SINCE.format("c.")} AND NOT {_SINCE.format("n.")}
"""
_MOST_BETWEEN: t.Final = 1 << 31
#: A piece of which nothing is known, as if a row had been written.
_OTHER: t.Final = (0, 1)


class Instant(t.NamedTuple):
    """When a database was read, in its server's own time."""

    #: the number below which all transactions had ended, and so were seen
    unseen_from: int
    #: the database's number, and since when its server had its statistics
    life: str


def ask_instant() -> Inquiry[Instant]:
    """Ask a session for the instant of its snapshot; outside of a transaction, for one before now."""
    (((unseen_from, _, life),),) = yield [_INSTANT]
    return Instant(int(unseen_from), life)


@dataclasses.dataclass(frozen=True)
class Earlier:
    """What a database held at an instant."""

    instant: Instant
    content: Content
    #: under which it was read
    search_path: str
    #: of its catalogs then (identity.py); empty if nobody has asked
    identity: str = ""

    def of(self, identity: str) -> Earlier | None:
        """Return it, if the catalogs are what they were; else functions and types may make other values of its rows."""
        return self if self.identity == identity else None


class Comparison:
    """The comparison of tables with what they were, piece by piece, by sessions that are at work at once."""

    def __init__(self, earlier: Earlier, relations: t.Iterable[Relation], jobs: int) -> None:
        """Choose the tables of which it can be told, and is worth asking.

        :param relations: with the forms in which they would be hashed
        :param jobs: how many sessions there are; of one, a table is asked as a whole
        """
        held = {m.relation.full_name: m for m in earlier.content.relations if m.relation.kind == "table"}
        large = [
            relation
            for relation in sorted(relations, key=lambda relation: -relation.size)
            if relation.pages >= _LARGE_PAGES
            # Rows that are an extension's are not counted, and those of a whole tree may lie in other partitions.
            and not relation.condition
            and not relation.load_through
            and (before := held.get(relation.full_name))
            and before.relation.hashed == relation.hashed
        ]
        #: what is asked at once
        self.portions = (
            [[piece] for piece in cut(large, jobs)]
            if jobs > 1
            else [[Piece(relation) for relation in some] for some in group(large)]
        )
        self._instant = earlier.instant
        self._held = {name: measured.rows for name, measured in held.items() if measured.rows}
        self._found: dict[Name, list[tuple[int, int]]] = collections.defaultdict(list)

    def ask(self, pieces: t.Sequence[Piece], session: Session) -> None:
        """Ask how many rows pieces have, and how many of them were written since; each is of another table."""
        questions = [question for piece in pieces for question in self._questions(piece, session)]
        try:
            ((_, seen_until, life),), *answers = ask_all(session, _INSTANT, *questions)
        except _UNTOLD:
            if len(pieces) == 1:
                self._found[pieces[0].relation.full_name].append(_OTHER)
            else:
                # Of which it cannot be told, each must say by itself.
                for piece in pieces:
                    self.ask([piece], session)
            return
        is_known = life == self._instant.life and int(seen_until) - self._instant.unseen_from < _MOST_BETWEEN
        for piece, is_itself, ((count, written),) in zip(pieces, answers[::2], answers[1::2], strict=True):
            told = (int(count), int(written)) if is_itself and is_known else _OTHER
            self._found[piece.relation.full_name].append(told)

    def _questions(self, piece: Piece, session: Session) -> tuple[sql.Composed, sql.Composed]:
        """Return the questions whether its table is itself, and for its rows."""
        since = str(self._instant.unseen_from % 2**32)
        return (
            sql.SQL(_IS_ITSELF).format(since=since, name=piece.relation.identifier.as_string(session)),
            sql.SQL(_WRITTEN).format(since=since, rows=piece.stored),
        )

    def same(self) -> dict[Name, Rows]:
        """Return the rows of the tables that hold what they held; all pieces must have been asked."""
        return {
            name: self._held[name]
            for name, found in self._found.items()
            if not any(written for _, written in found) and sum(count for count, _ in found) == self._held[name].count
        }
