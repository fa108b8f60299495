# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two halves of a restore into an empty database: its schema, and then all that the schema holds."""

from __future__ import annotations

import contextlib
import typing as t

from ..archive.archive import Archive
from ..archive.manifest import ArchivedRows
from ..archive.origin import Origin
from ..archive.schema import Entry, read_section
from ..filling.filler import fill
from ..filling.notes import Notes
from ..filling.plan import all_once, plan_filling
from ..server.client_tools import ClientTools
from ..server.endpoint import OpenSession, Session, handing_on
from .schema import allow_orphans, create_pre_data, left_unvalidated


def restore_schema(session: Session, tools: ClientTools, archive: Archive, notes: Entry | None = None) -> int:
    """Create everything that must be there before the rows: types, functions, tables, views. Return how many objects.

    :param notes: what makes the notes of what follows
    :raises MigrationError: naming the object that failed
    """
    archive.manifest.require_whole()
    entries = read_section(tools, archive.schema, "pre-data")
    create_pre_data(session, [*entries, notes] if notes else entries, archive.manifest.database)
    return len(entries)


def restore_data(
    open_session: OpenSession,
    tools: ClientTools,
    archive: Archive,
    jobs: int,
    allowed: t.Collection[str] = (),
    finish: t.Callable[[Session], object] | None = None,
    origin: Origin | None = None,
    notes: Notes | None = None,
) -> list[tuple[ArchivedRows, int]]:
    """Load rows, large objects and sequences, and make what must hold over complete rows.

    Return, for each table of the archive, how many rows the target received.

    :param allowed: foreign keys, as ``fk constraint <table> <name>``, that are added without a look at the rows
    :param finish: what else is to be done when everything is made but event triggers, which would fire at it
    :param origin: where the rows come from, if not from the archive's files
    :param notes: what is done already, and where the rest is noted
    :raises MigrationError: naming the table or object that failed
    """
    manifest, schema = archive.manifest, archive.schema
    relations = [measured.relation for measured in manifest.content.relations]
    pre_data, post_data = read_section(tools, schema, "pre-data"), read_section(tools, schema, "post-data")
    once = all_once(manifest)
    if finish:
        once.append("finish")
    filled = {(table.schema, table.name) for table in manifest.tables}
    with open_session() as first:
        not_valid = left_unvalidated(relations, allowed, first.info.server_version)
        plan = plan_filling(relations, filled, pre_data, allow_orphans(post_data, not_valid), once)
        return fill(
            handing_on(contextlib.nullcontext(first), open_session),
            manifest,
            origin or archive,
            plan,
            jobs,
            finish,
            notes,
            notes.read(first) if notes else {},
        )
