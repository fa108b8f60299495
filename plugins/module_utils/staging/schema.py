# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements of the schema's archive, sent to the staging database."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

import psycopg

from ..archive.schema import Entry
from ..endpoint import OpenSession, Session, break_off, use_search_path
from ..errors import MigrationError, describe
from ..parallel import run_parallel

#: How many objects are made in one transaction: each holds locks until it ends (docs: max_locks_per_transaction).
_BATCH_ENTRIES: t.Final = 200


def allow_orphans(entries: t.Iterable[Entry], keys: t.Container[str]) -> list[Entry]:
    """Return the entries; of those that are named, foreign keys are added so that rows which break them can stay.

    :param keys: as ``fk constraint <table> <name>``
    """
    return [
        dataclasses.replace(entry, statements=entry.statements.rstrip().removesuffix(b";") + b" NOT VALID;")
        if entry.kind == "FK CONSTRAINT" and str(entry) in keys
        else entry
        for entry in entries
    ]


def create_pre_data(session: Session, entries: t.Sequence[Entry], has_public: bool) -> None:
    """Create in an empty database all that must be there before the rows.

    :param has_public: whether the source has the schema public, which every new database has and no dump mentions
    :raises MigrationError: naming the object that failed, with the server's message
    """
    if not has_public:
        session.execute("DROP SCHEMA public")
    create_entries(session, entries)


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
        raise MigrationError(f"Cannot create {refusal.entry}: {describe(refusal.error)}")


def try_entries(session: Session, entries: t.Sequence[Entry], absent: set[int]) -> t.Iterator[Refusal]:
    """Create the entries' objects in order, many with one message to the server; yield those that it refuses.

    What needs an absent one is not tried, and absent itself.

    :param absent: the numbers of entries that are not there; those that are left out are added
    :raises MigrationError: when the connection breaks, naming what was being made
    """
    for start in range(0, len(entries), _BATCH_ENTRIES):
        batch = _possible(entries[start : start + _BATCH_ENTRIES], absent)
        if not batch:
            continue
        try:
            with session.transaction():
                session.execute(b"\n".join(entry.statements for entry in batch))
        except psycopg.Error as error:
            _require_open(session, batch, error)
            # The batch was rolled back. Which object it was, the server does not say: send them singly to learn it.
            yield from _try_singly(session, batch, absent)


def _try_singly(session: Session, entries: t.Iterable[Entry], absent: set[int]) -> t.Iterator[Refusal]:
    for entry in entries:
        if _possible([entry], absent):
            try:
                with session.transaction():
                    session.execute(entry.statements)
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


def without_event_triggers(entries: t.Sequence[Entry]) -> tuple[t.Sequence[Entry], t.Sequence[Entry]]:
    """Return what comes before the event triggers, and them with what follows: they fire at what anybody creates."""
    first = next((i for i, entry in enumerate(entries) if entry.kind == "EVENT TRIGGER"), len(entries))
    return entries[:first], entries[first:]


def create_post_data(open_session: OpenSession, entries: t.Sequence[Entry], jobs: int, search_path: str) -> None:
    """Create indexes, constraints, triggers and the rest over complete rows, indexes several at a time.

    :raises MigrationError: naming the object that failed, with the server's message
    """

    @contextlib.contextmanager
    def open_builder() -> t.Iterator[_Builder]:
        with open_session() as session:
            use_search_path(session, search_path)
            yield _Builder(session)

    for step in plan_steps(entries):
        if len(step) > 1:
            run_parallel(step, jobs, open_builder)
        else:
            with open_builder() as builder:
                builder.run(step[0])


def plan_steps(entries: t.Sequence[Entry]) -> list[list[list[Entry]]]:
    """Return steps, one after the other; a step's groups may run at once, a group's entries run in order.

    Only indexes and the constraints that are made of them run side by side: each locks one table alone, and in the
    archive's order none needs another one of the same run. A comment stays with the object before it.
    """
    steps: list[list[list[Entry]]] = []
    side_by_side = False
    for entry in entries:
        if entry.kind == "COMMENT" and steps:
            steps[-1][-1].append(entry)
        elif entry.kind in ("INDEX", "CONSTRAINT"):
            if side_by_side:
                steps[-1].append([entry])
            else:
                steps.append([[entry]])
            side_by_side = True
        else:
            if side_by_side or not steps:
                steps.append([[entry]])
            else:
                steps[-1][-1].append(entry)
            side_by_side = False
    return steps


class _Builder:
    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, group: t.Sequence[Entry]) -> None:
        create_entries(self._session, group)

    def cancel(self) -> None:
        break_off(self._session)
