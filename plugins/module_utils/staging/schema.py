# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore does with a schema's archive otherwise than its statements say, and its first half."""

from __future__ import annotations

import dataclasses
import typing as t

from ..archive.schema import Entry
from ..catalog.database import DatabaseProperties
from ..catalog.foreign_keys import FIRST_NOT_VALID_TREES
from ..catalog.in_force import set_known
from ..catalog.relations import Relation
from ..filling.objects import create_entries
from ..schedule.progress import Step, doing
from ..server.endpoint import Session, set_search_path


def left_unvalidated(relations: t.Iterable[Relation], allowed: t.Iterable[str], server_version: int) -> frozenset[str]:
    """Return which of the allowed keys, as ``fk constraint <table> <name>``, a server can be given as NOT VALID.

    One that cannot is validated, like those that nothing is said of.
    """
    if server_version // 10000 >= FIRST_NOT_VALID_TREES:
        return frozenset(allowed)
    trees = tuple(f"fk constraint {relation} " for relation in relations if relation.kind == "partitioned table")
    return frozenset(name for name in allowed if not name.startswith(trees))


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


def create_pre_data(session: Session, entries: t.Sequence[Entry], source: DatabaseProperties) -> None:
    """Create in an empty database all that must be there before the rows.

    The schema public, which every new database has, goes if the source has none: no dump says so.

    :param session: keeps the path that serves the source, and its settings
    :raises MigrationError: naming the object that failed, with the server's message
    """
    if not source.has_public:
        session.execute("DROP SCHEMA public")
    with doing(Step("types, functions and tables")):
        create_entries(session, [serving(session, source), *entries])


def serving(session: Session, source: DatabaseProperties) -> Entry:
    """Return what gives a session the path that serves the source, and its settings; it travels with what follows."""
    statements = [set_search_path(source.serving_path), *set_known(source.begun_with)]
    return Entry("SEARCHPATH", "of the source", b"".join(one.as_bytes(session) + b";" for one in statements))


def without_event_triggers(entries: t.Sequence[Entry]) -> tuple[t.Sequence[Entry], t.Sequence[Entry]]:
    """Return what comes before the event triggers, and them with what follows: they fire at what anybody creates."""
    first = next((i for i, entry in enumerate(entries) if entry.kind == "EVENT TRIGGER"), len(entries))
    return entries[:first], entries[first:]
