# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables emptied, and all that goes with their rows, so that a rollback brings it back."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ..catalog.content import Content
from ..catalog.foreign_keys import Link
from ..catalog.relations import Relation
from ..catalog.sequences import Sequence
from ..server.batches import Statement, execute_all
from ..server.endpoint import Session
from ..server.inquiry import answer
from .locks import execute, impatient
from .order import LoadOrder
from .replica_identity import ask_published, rows_identified


def empty(session: Session, relations: t.Collection[Relation], order: LoadOrder, links: t.Iterable[Link]) -> None:
    """Empty the tables, all at once.

    TRUNCATE wants all that refer to each other in one statement, and a partitioned table by its own name if it has a
    key. Foreign tables are no partitions of such a one. Of an extension's table only the user's rows go.

    :param links: all foreign keys of the database
    :raises MigrationError: when the server refuses
    """
    by_name = {relation.full_name: relation for relation in relations}
    linked = {side for link in links for side in (link.referring, link.referenced)}
    whole = [by_name[name] for name in order.tables if not by_name[name].condition]
    names: list[sql.Composable] = [sql.SQL("ONLY {}").format(relation.identifier) for relation in whole]
    names += [r.identifier for r in relations if r.kind == "partitioned table" and r.full_name in linked]
    if names:
        # Those of somebody else's are not locked yet.
        with impatient(session):
            execute(session, "empty the tables", sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names)))
    parts = [by_name[name] for name in reversed(order.tables) if by_name[name].condition]
    if parts:
        published = answer(session, ask_published([relation.full_name for relation in parts]))
        with impatient(session), rows_identified(session, published):
            for relation in parts:
                execute(session, f"empty table {relation}", sql.SQL("DELETE FROM {}").format(relation.own_rows))


def restart(session: Session, sequences: t.Iterable[Sequence]) -> None:
    """Make sequences such that a rollback undoes what is then set.

    setval does not obey transactions; but RESTART gives the sequence a new file, on which setval then acts, and a
    rollback returns to the old one (docs: ALTER SEQUENCE, Notes).

    :raises MigrationError: naming the one that the server refuses
    """
    statement = sql.SQL("ALTER SEQUENCE {} RESTART")
    execute_all(
        session,
        [Statement(f"set sequence {s}", statement.format(sql.Identifier(s.schema, s.name))) for s in sequences],
    )


def unlink_all(session: Session) -> None:
    """Remove all large objects."""
    session.execute("SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata")


def empty_views(session: Session, content: Content) -> None:
    """Empty the materialized views that the source has without data.

    :raises MigrationError: naming the view that the server refuses
    """
    statement = sql.SQL("REFRESH MATERIALIZED VIEW {} WITH NO DATA")
    views = [measured.relation for measured in content.relations if measured.relation.kind == "materialized view"]
    execute_all(
        session,
        [
            Statement(f"empty materialized view {view}", statement.format(view.identifier))
            for view in views
            if not view.populated
        ],
    )
