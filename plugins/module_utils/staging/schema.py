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
from ..catalog.content import Content
from ..catalog.foreign_keys import FIRST_NOT_VALID_TREES
from ..endpoint import OpenSession, Session, break_off, use_search_path
from ..parallel import run_parallel


def left_unvalidated(content: Content, allowed: t.Container[str], server_version: int) -> frozenset[str]:
    """Return which of the allowed keys a server can be given as NOT VALID, as ``fk constraint <table> <name>``.

    One that cannot is validated, like those that nothing is said of.
    """
    can_all = server_version // 10000 >= FIRST_NOT_VALID_TREES
    trees = {str(m.relation) for m in content.relations if m.relation.kind == "partitioned table" and not can_all}
    return frozenset(str(key) for key in content.foreign_keys if str(key) in allowed and key.table not in trees)


def without_validation(entry: Entry) -> Entry:
    """Return a foreign key's entry so that rows which break it can stay; anything else is as it was."""
    if entry.kind != "FK CONSTRAINT":
        return entry
    return dataclasses.replace(entry, statements=entry.statements.rstrip().removesuffix(b";") + b" NOT VALID;")


def create_pre_data(session: Session, entries: t.Sequence[Entry], has_public: bool) -> None:
    """Create in an empty database all that must be there before the rows.

    :param has_public: whether the source has the schema public, which every new database has and no dump mentions
    :raises MigrationError: naming the object that failed, with the server's message
    """
    if not has_public:
        session.execute("DROP SCHEMA public")
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
