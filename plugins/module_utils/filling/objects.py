# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of the schema's archive are made, many with one message to the server."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg

from ..archive.schema import Entry
from ..errors import MigrationError, describe
from ..server.batches import change, split
from ..server.endpoint import Session
from ..server.shared_memory import make

#: How many objects are made in one transaction: each holds locks until it ends (docs: max_locks_per_transaction).
_BATCH_ENTRIES: t.Final = 200
#: Kinds of objects that are made by reading rows.
_OVER_ROWS: t.Final = frozenset({"CHECK CONSTRAINT", "CONSTRAINT", "FK CONSTRAINT", "INDEX"})


@dataclasses.dataclass(frozen=True)
class Refusal:
    """An object that the server does not make, and what it said."""

    entry: Entry
    error: psycopg.Error


def create_entries(session: Session, entries: t.Sequence[Entry]) -> None:
    """Create the entries' objects in order, many with one message to the server.

    :raises MigrationError: naming the object that failed, with the server's message
    """
    for refusal in try_entries(session, entries, set()):
        said = describe(refusal.error, over_rows=refusal.entry.kind in _OVER_ROWS)
        raise MigrationError(f"Cannot create {refusal.entry}: {said}")


def try_entries(session: Session, entries: t.Sequence[Entry], absent: set[int]) -> t.Iterator[Refusal]:
    """Create the entries' objects in order, many with one message to the server; yield those that it refuses.

    What needs an absent one is not tried, and absent itself.

    :param absent: the numbers of entries that are not there; those that are left out are added
    :raises MigrationError: when the connection breaks, naming what was being made
    """
    for some in split(entries, _BATCH_ENTRIES):
        batch = _possible(some, absent)
        if not batch:
            continue
        try:
            change(session, b"\n".join(entry.statements for entry in batch))
        except psycopg.Error as error:
            _require_open(session, batch, error)
            # The batch was rolled back. Which object it was, the server does not say: send them singly to learn it.
            yield from _try_singly(session, batch, absent)


def _try_singly(session: Session, entries: t.Iterable[Entry], absent: set[int]) -> t.Iterator[Refusal]:
    for entry in entries:
        if _possible([entry], absent):
            try:
                make(session, entry.statements)
            except psycopg.Error as error:
                _require_open(session, [entry], error)
                absent.add(entry.number)
                yield Refusal(entry, error)


def _possible(entries: t.Iterable[Entry], absent: set[int]) -> list[Entry]:
    """Return the entries that need nothing absent; the others are absent from now on."""
    possible = []
    for entry in entries:
        if entry.needs & absent:
            absent.add(entry.number)
        else:
            possible.append(entry)
    return possible


def _require_open(session: Session, entries: t.Sequence[Entry], error: psycopg.Error) -> None:
    if session.closed:
        others = f" or one of the {len(entries) - 1} objects after it" if len(entries) > 1 else ""
        raise MigrationError(f"Cannot create {entries[0]}{others}: {describe(error)}") from None
