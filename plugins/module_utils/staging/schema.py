# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements of the schema's archive, sent to the staging database."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ..archive.schema import Entry
from ..batches import Statement, execute_all
from ..catalog.database import DatabaseProperties
from ..endpoint import OpenSession, Session, break_off, use_search_path
from ..schedule.threads import run_parallel


def without_validation(entry: Entry) -> Entry:
    """Return a foreign key's entry so that rows which break it can stay; anything else is as it was."""
    if entry.kind != "FK CONSTRAINT":
        return entry
    return dataclasses.replace(entry, statements=entry.statements.rstrip().removesuffix(b";") + b" NOT VALID;")


def create_pre_data(session: Session, entries: t.Sequence[Entry], source: DatabaseProperties) -> None:
    """Create in an empty database all that must be there before the rows.

    The schema public, which every new database has, goes if the source has none: no dump says so.

    :param session: keeps the path that serves the source
    :raises MigrationError: naming the object that failed, with the server's message
    """
    if not source.has_public:
        session.execute("DROP SCHEMA public")
    use_search_path(session, source.serving_path)
    create_entries(session, entries)


def create_entries(session: Session, entries: t.Sequence[Entry]) -> None:
    """Create the entries' objects in order, many with one message to the server.

    :raises MigrationError: naming the object that failed, with the server's message
    """
    execute_all(session, [Statement(f"create {entry}", entry.statements) for entry in entries])


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
