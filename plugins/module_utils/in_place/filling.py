# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables emptied and filled again, with all that goes with their rows."""

from __future__ import annotations

import pathlib
import typing as t

from psycopg import sql

from ..archive.manifest import ArchivedRows, Manifest
from ..batches import Statement, execute_all
from ..catalog.foreign_keys import Link
from ..catalog.relations import Relation
from ..catalog.selection import Selection
from ..catalog.sequences import Sequence, set_sequences
from ..endpoint import Session, use_search_path
from ..rows.receiver import Receiver
from ..staging.restore import TableLoader, load_large_objects, refresh
from .locks import execute, impatient
from .order import LoadOrder
from .transaction import Transaction


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
    for name in reversed(order.tables):
        if by_name[name].condition:
            execute(session, f"empty table {by_name[name]}", sql.SQL("DELETE FROM {}").format(by_name[name].own_rows))


def fill(
    transaction: Transaction,
    folder: pathlib.Path,
    manifest: Manifest,
    order: LoadOrder,
    selection: Selection | None,
) -> list[tuple[ArchivedRows, int]]:
    """Load the archive's rows, or those of the selected tables; sequences, large objects and views follow.

    Return, for each table of the archive that was loaded, how many rows the target received.

    :raises MigrationError: naming what failed
    """
    archived = {(table.schema, table.name): table for table in manifest.tables}
    loaded = [archived[name] for name in order.tables if name in archived]
    content = manifest.content if selection is None else manifest.content.of(selection)
    # Each row locks the one that it refers to, which may be in use where the parents are not loaded.
    with impatient(transaction.session), transaction.open_session() as session:
        receiver = Receiver(session, manifest.database.search_path)
        relations = {measured.relation.full_name: measured.relation for measured in content.relations}
        received: dict[ArchivedRows, int] = {}
        loader = TableLoader(receiver, folder, relations, manifest.database.locale.encoding, received)
        for table in loaded:
            loader.run(table)
        _set_sequences(session, content.sequences)
        if selection is None:
            session.execute("SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata")
            if manifest.large_objects:
                load_large_objects(receiver, folder, manifest, manifest.large_objects)
            use_search_path(session, manifest.database.serving_path)
            refresh(session, manifest.refresh_order)
            # The query of a view may have drawn from them.
            set_sequences(session, content.sequences)
            _empty_views(session, manifest)
            session.execute("ANALYZE")
        else:
            use_search_path(session, manifest.database.serving_path)
            session.execute(sql.SQL("ANALYZE {}").format(sql.SQL(", ").join(sql.Identifier(*n) for n in order.tables)))
    return list(received.items())


def _set_sequences(session: Session, sequences: t.Sequence[Sequence]) -> None:
    """Put the sequences where they stood, so that a rollback undoes it.

    setval does not obey transactions; but RESTART gives the sequence a new file, on which setval then acts, and a
    rollback returns to the old one (docs: ALTER SEQUENCE, Notes).
    """
    restart = sql.SQL("ALTER SEQUENCE {} RESTART")
    execute_all(
        session,
        [Statement(f"set sequence {s}", restart.format(sql.Identifier(s.schema, s.name))) for s in sequences],
    )
    set_sequences(session, sequences)


def _empty_views(session: Session, manifest: Manifest) -> None:
    views = [m.relation for m in manifest.content.relations if m.relation.kind == "materialized view"]
    empty = sql.SQL("REFRESH MATERIALIZED VIEW {} WITH NO DATA")
    statements = [
        Statement(f"empty materialized view {v}", empty.format(v.identifier)) for v in views if not v.populated
    ]
    execute_all(session, statements)
