# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that differ go from the target and come from the source; all others stay where they are."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..catalog.formats import choose_formats
from ..catalog.large_objects import CREATE_PIECES, comment_on, count_pieces, make_large_objects
from ..errors import MigrationError, describe
from ..in_place.triggers import rules_silenced
from ..rows.chunks import Chunks
from ..rows.differing import is_any, key_hash, rows_of
from ..rows.receiver import Stream, receive
from ..rows.statements import copy_in, copy_large_objects_out, copy_out, copy_pieces_in
from ..server.endpoint import Session
from .differences import LargeObjectsDifference, TableDifference


@dataclasses.dataclass(frozen=True)
class Moved:
    """What differed in a table, how many rows of the target stayed, and how many it received."""

    difference: TableDifference
    kept: int
    received: int


def move_rows(
    source: Session, target: Session, differences: t.Sequence[TableDifference], encoding: str
) -> tuple[Moved, ...]:
    """Delete the target's rows that the source does not have, or not with these values, and copy those that it has.

    A row that has changed is deleted and comes anew: so values that must be unique can change places, and an identity
    that is always generated is no obstacle.

    :param differences: parents before their children
    :raises MigrationError: when either server refuses, or a row is lost
    """
    with rules_silenced(target, [difference.relation.full_name for difference in differences if difference.deletes]):
        kept = [difference.before - _delete_rows(target, difference) for difference in differences]
    received = [_copy_rows(source, target, difference, encoding) for difference in differences]
    return tuple(map(Moved, differences, kept, received))


def _delete_rows(session: Session, difference: TableDifference) -> int:
    if not difference.deletes:
        return 0
    try:
        return session.execute(_delete(difference)).rowcount
    except psycopg.Error as error:
        raise MigrationError(f"Cannot delete rows of table {difference.relation}: {describe(error)}") from None


def _delete(difference: TableDifference) -> sql.Composed:
    relation = difference.relation
    only = sql.SQL("") if difference.is_tree else sql.SQL("ONLY ")
    conditions = []
    if difference.keys is not None:
        conditions.append(is_any(key_hash(relation), difference.keys))
    if relation.condition:
        # It is a whole WHERE clause of the extension's own.
        conditions.append(sql.SQL("ctid IN (SELECT ctid FROM {})").format(relation.own_rows))
    where = sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("")
    return sql.SQL("DELETE FROM {}{}").format(only, relation.identifier) + where


def _copy_rows(source: Session, target: Session, difference: TableDifference, encoding: str) -> int:
    if not difference.sent:
        return 0
    relation = difference.relation
    format_ = choose_formats(source, [relation], encoding, streamed=False)[relation.full_name]
    rows = None if difference.keys is None else rows_of(relation, difference.keys)
    what = f"table {relation}"
    chunks = _send(source, what, [copy_out(relation, encoding, format_, rows)], difference.sent)
    (received,) = receive(target, [Stream(what, [copy_in(relation, encoding, format_)], chunks)])
    return received


def _send(source: Session, what: str, statements: t.Iterable[sql.Composed], expected: int) -> Chunks:
    """Yield what each COPY ... TO STDOUT writes; return how many rows the source says it has sent.

    :raises MigrationError: when the source refuses, or they are not as many as were found to differ
    """
    sent = 0
    try:
        for statement in statements:
            with source.cursor() as cursor:
                with cursor.copy(statement) as copy:
                    yield from map(bytes, copy)
                sent += cursor.rowcount
    except psycopg.Error as error:
        raise MigrationError(f"Cannot read the rows of {what}: {describe(error)}") from None
    if sent != expected:
        raise MigrationError(f"{what}: {expected} rows differ, but the source has sent {sent}")
    return sent


def move_large_objects(source: Session, target: Session, difference: LargeObjectsDifference) -> None:
    """Unlink the target's large objects that are not the source's, and make those that are missing then.

    :raises MigrationError: when either server refuses, or a piece is lost
    """
    unlinked = [large_object.oid for large_object in difference.unlinked]
    target.execute("SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.unnest(%s::oid[]) oid", (unlinked,))
    if difference.sent:
        target.execute(CREATE_PIECES)
        what, statements = "the large objects", copy_large_objects_out(difference.sent)
        chunks = _send(source, what, statements, count_pieces(difference.sent))
        receive(target, [Stream(what, [copy_pieces_in()], chunks)])
        make_large_objects(target, difference.sent)
        comment_on(target, difference.sent)
