# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that differ go from the target, and others come; all that do not stay where they are."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..catalog.database import DatabaseProperties
from ..catalog.formats import Format, choose_formats
from ..catalog.in_force import set_known, use_own
from ..catalog.large_objects import CREATE_PIECES, LargeObject, comment_on, count_pieces, make_large_objects
from ..errors import MigrationError, describe
from ..in_place.replica_identity import ask_published, rows_identified
from ..in_place.triggers import ask_rules, rules_silenced
from ..rows.chunks import Chunks
from ..rows.differing import has_key, rows_of
from ..rows.receiver import Stream, receive
from ..rows.statements import copy_in, copy_large_objects_out, copy_out, copy_pieces_in
from ..server.endpoint import Session
from ..server.inquiry import answer, together
from .differences import LargeObjectsDifference, TableDifference


@dataclasses.dataclass(frozen=True)
class Moved:
    """What differed in a table, how many rows of the target stayed, and how many it received."""

    difference: TableDifference
    kept: int
    received: int


class Origin(t.Protocol):
    """Where the rows come from that are missing: a source, or the undo of an earlier run."""

    def read(self, difference: TableDifference) -> tuple[Format, Chunks]:
        """Return in which form what comes to a table is copied, and its rows."""

    def read_large_objects(self, objects: t.Sequence[LargeObject]) -> Chunks:
        """Return the pieces of large objects, in text form."""


def move_rows(
    origin: Origin,
    target: Session,
    differences: t.Sequence[TableDifference],
    source: DatabaseProperties,
    first: t.Sequence[sql.Composable] = (),
) -> tuple[Moved, ...]:
    """Delete the target's rows that must not be there, or not with these values, and copy those that must.

    A row that has changed is deleted and comes anew: so values that must be unique can change places, and an identity
    that is always generated is no obstacle.

    :param differences: parents before their children
    :param source: of which the rows are, or will have been
    :param first: the statements with which it begins
    :raises MigrationError: when a server refuses, or a row is lost
    """
    shrinking = [difference for difference in differences if difference.going.count]
    asked = together(
        ask_rules([difference.relation.full_name for difference in shrinking]),
        ask_published([name for difference in shrinking for name in difference.tables]),
    )
    rules, published = answer(target, asked, first)
    with rules_silenced(target, rules), rows_identified(target, published):
        kept = [difference.before - _delete_rows(target, difference) for difference in differences]
    # Generated columns and checks may depend on these, and the hashes of keys, by which rows go, must not.
    use_own(target, source.begun_with)
    received = [_copy_rows(origin, target, difference, source) for difference in differences]
    return tuple(map(Moved, differences, kept, received))


def _delete_rows(session: Session, difference: TableDifference) -> int:
    if not difference.going.count:
        return 0
    try:
        return session.execute(_delete(difference)).rowcount
    except psycopg.Error as error:
        raise MigrationError(
            f"Cannot delete rows of table {difference.relation}: {describe(error, over_rows=True)}"
        ) from None


def _delete(difference: TableDifference) -> sql.Composed:
    relation = difference.relation
    only = sql.SQL("") if difference.is_tree else sql.SQL("ONLY ")
    conditions = []
    if difference.keys is not None:
        conditions.append(has_key(relation, difference.keys, difference.there))
    if relation.condition:
        # It is a whole WHERE clause of the extension's own.
        conditions.append(sql.SQL("ctid IN (SELECT ctid FROM {})").format(relation.own_rows))
    where = sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("")
    return sql.SQL("DELETE FROM {}{}").format(only, relation.identifier) + where


def _copy_rows(origin: Origin, target: Session, difference: TableDifference, source: DatabaseProperties) -> int:
    if not difference.coming.count:
        return 0
    relation = difference.relation
    format_, chunks = origin.read(difference)
    statements = [*set_known(source.begun_with), copy_in(relation, source.locale.encoding, format_)]
    (received,) = receive(target, [Stream(f"table {relation}", statements, chunks)])
    return received


def send(session: Session, what: str, statements: t.Iterable[sql.Composed], expected: int) -> Chunks:
    """Yield what each COPY ... TO STDOUT writes; return how many rows the session's server says it has sent.

    :raises MigrationError: when it refuses, or they are not as many as were found to differ
    """
    sent = 0
    try:
        for statement in statements:
            with session.cursor() as cursor:
                with cursor.copy(statement) as copy:
                    yield from map(bytes, copy)
                sent += cursor.rowcount
    except psycopg.Error as error:
        raise MigrationError(f"Cannot read the rows of {what}: {describe(error, over_rows=True)}") from None
    if sent != expected:
        raise MigrationError(f"{what}: {expected} rows differ, but {sent} were sent")
    return sent


@dataclasses.dataclass(frozen=True)
class Live:
    """A source that is read while its rows are brought; the session is in a transaction, at the source's instant."""

    session: Session
    encoding: str

    def read(self, difference: TableDifference) -> tuple[Format, Chunks]:
        """Have the source send what the target lacks of a table."""
        relation = difference.relation
        format_ = choose_formats(self.session, [relation], self.encoding, streamed=False)[relation.full_name]
        rows = None if difference.keys is None else rows_of(relation, difference.keys, difference.here)
        statement = copy_out(relation, self.encoding, format_, rows)
        return format_, send(self.session, f"table {relation}", [statement], difference.coming.count)

    def read_large_objects(self, objects: t.Sequence[LargeObject]) -> Chunks:
        """Have the source send large objects."""
        return send(self.session, "the large objects", copy_large_objects_out(objects), count_pieces(objects))


def move_large_objects(origin: Origin, target: Session, difference: LargeObjectsDifference) -> None:
    """Unlink the target's large objects that must not be there, and make those that are missing then.

    :raises MigrationError: when a server refuses, or a piece is lost
    """
    unlinked = [large_object.oid for large_object in difference.unlinked]
    target.execute("SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.unnest(%s::oid[]) oid", (unlinked,))
    if difference.sent:
        target.execute(CREATE_PIECES)
        chunks = origin.read_large_objects(difference.sent)
        receive(target, [Stream("the large objects", [copy_pieces_in()], chunks)])
        make_large_objects(target, difference.sent)
        comment_on(target, difference.sent)
