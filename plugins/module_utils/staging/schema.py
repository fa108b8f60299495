# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements of the schema's archive, sent to the staging database."""

from __future__ import annotations

import dataclasses
import typing as t

from ..archive.schema import Entry
from ..batches import Statement, execute_all
from ..catalog.content import Content
from ..catalog.database import DatabaseProperties
from ..catalog.foreign_keys import FIRST_NOT_VALID_TREES
from ..endpoint import Session, use_search_path


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
