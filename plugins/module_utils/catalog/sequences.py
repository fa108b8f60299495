# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where every sequence stands."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, describe
from ..server.batches import split
from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer
from .selection import Name, Selection


@dataclasses.dataclass(frozen=True)
class Sequence:
    """A sequence and its position: ``last_value`` is given out next if not ``is_called``."""

    schema: str
    name: str
    last_value: int
    is_called: bool
    #: the table whose column owns the sequence, by schema and name
    owner: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


# A column owns its sequence as serial columns do (a) or as identity columns do (i). The schema is looked up, as a
# relation's is.
_LIST: t.Final = """
SELECT n.nspname, c.relname,
       (SELECT ARRAY[ownn.nspname::text, own.relname::text]
        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class own ON own.oid = d.refobjid
        JOIN pg_catalog.pg_namespace ownn ON ownn.oid = own.relnamespace
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i'))
FROM pg_catalog.pg_class c
CROSS JOIN LATERAL (SELECT nspname FROM pg_catalog.pg_namespace WHERE oid = c.relnamespace OFFSET 0) n
WHERE c.relkind = 'S' AND c.relpersistence <> 't'
  AND (c.oid IN (SELECT pg_catalog.unnest(extconfig) FROM pg_catalog.pg_extension) OR (
       n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                       AND d.objid = c.oid AND d.deptype = 'e')))
ORDER BY n.nspname, c.relname
"""


def read_sequences(session: Session, selection: Selection | None = None) -> list[Sequence]:
    """Return every sequence with its position; see `ask_sequences`.

    :raises MigrationError: when one was dropped since it was listed
    """
    try:
        return answer(session, ask_sequences(selection))
    except psycopg.errors.UndefinedTable as error:
        raise sequence_dropped(error) from None


def sequence_dropped(error: psycopg.Error) -> MigrationError:
    """Return what is told where a sequence that was listed is no longer there."""
    return MigrationError(f"While it was read, somebody dropped a sequence: {describe(error)}\nRun again.")


def ask_sequences(selection: Selection | None = None, likely: t.Collection[Sequence] = ()) -> Inquiry[list[Sequence]]:
    """Ask for every sequence of the user's with its position, by name; a thousand are asked with one message.

    Sequences do not obey snapshots: a position is that of now, never behind the rows that the snapshot sees.

    :param selection: given, only the sequences that its tables own are read
    :param likely: which there probably are, by name: their positions are asked for with the list
    :raises psycopg.errors.UndefinedTable: when one was dropped since it was listed
    """
    names = [(sequence.schema, sequence.name) for sequence in likely]
    rows, *positions = yield [_LIST, *map(_position, names)]
    chosen = [(schema, name, tuple(owner) if owner else None) for schema, name, owner in rows]
    if selection is not None:
        chosen = [row for row in chosen if row[2] in selection]
    if names != [(schema, name) for schema, name, _ in chosen]:
        positions = [*(yield [_position((schema, name)) for schema, name, _ in chosen])]
    return [
        Sequence(schema, name, last_value, is_called, owner)
        for (schema, name, owner), ((last_value, is_called),) in zip(chosen, positions, strict=True)
    ]


def _position(name: Name) -> sql.Composed:
    return sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(*name))


#: How many are set in one statement: each is locked until its end.
_SET_AT_ONCE: t.Final = 1000
_SET: t.Final = """
SELECT pg_catalog.setval(pg_catalog.format('%%I.%%I', s.schema, s.name)::pg_catalog.regclass, value, called)
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::boolean[]) s(schema, name, value, called)
"""


def set_sequences(session: Session, sequences: t.Sequence[Sequence]) -> None:
    """Put every sequence where it stood."""
    for batch in split(sequences, _SET_AT_ONCE):
        session.execute(
            _SET,
            (
                [sequence.schema for sequence in batch],
                [sequence.name for sequence in batch],
                [sequence.last_value for sequence in batch],
                [sequence.is_called for sequence in batch],
            ),
        )
