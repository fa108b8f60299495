# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The undo of a run that brings what differs: what goes, and how to know what came instead.

It is written in the very transaction that then changes the database, where nobody else can write, and it is on the disk
before anything is changed: so it can be no other than what is needed, and it is small where little differs. What it
describes besides is the whole database, as any archive does.
"""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import shutil
import typing as t

from ..archive.folder import describe_file, new_folder
from ..archive.manifest import ArchivedFile, ArchivedRows, Changes, TableChange
from ..archive.writer import LARGE_OBJECTS_FILE, SCHEMA_FILE, write_manifest, write_stream
from ..catalog.content import Content, Measured, refresh_order
from ..catalog.formats import choose_formats
from ..catalog.large_objects import LargeObject, count_pieces
from ..catalog.relations import Relation
from ..in_place.frame import LockedDatabase
from ..privileges.catalog import Privileges
from ..privileges.reading import read_privileges
from ..rows.differing import rows_of
from ..rows.statements import copy_large_objects_out, copy_out
from ..server.endpoint import Session
from .differences import Differences, TableDifference
from .moving import send


def write_undo(
    folder: pathlib.Path, live: LockedDatabase, session: Session, found: Content, differences: Differences
) -> None:
    """Write what will go; the folder appears only when all of it is on the disk.

    :param session: to read the live database by, under the path that serves it
    :param found: what that holds
    :raises MigrationError: when anything at all fails
    """
    content = dataclasses.replace(found, relations=tuple(_keyed(found, differences)))
    relations = {measured.relation.full_name: measured.relation for measured in content.relations}
    going = differences.large_objects.unlinked
    with new_folder(folder, durable=True) as partial:
        shutil.copyfile(live.schema, partial / SCHEMA_FILE)
        writer = _Writer(session, partial, live.database.locale.encoding)
        tables = [
            writer.write_rows(number, relations[difference.relation.full_name], difference)
            for number, difference in enumerate(differences.tables, start=1)
            if difference.going.count
        ]
        large_objects = writer.write_large_objects(going) if going else None
        # The verdict on the schema has found all else that describes it to be as it is there.
        manifest = dataclasses.replace(
            live.manifest,
            taken_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            database=live.database,
            content=content,
            answers={},
            refresh_order=refresh_order(content.relations) if live.selection is None else (),
            schema=describe_file(partial / SCHEMA_FILE),
            tables=tuple(tables),
            large_objects=large_objects,
            large_object_pieces=count_pieces(going),
            partial=live.selection is not None,
            privileges=_read_privileges(live) if going else None,
            streamed=False,
            changes=_describe(differences),
        )
        write_manifest(manifest, partial)


def _read_privileges(live: LockedDatabase) -> Privileges:
    """Return them as they are read of any database, whatever path serves this one."""
    with live.transaction.another_session() as session:
        return read_privileges(session)


def _keyed(found: Content, differences: Differences) -> t.Iterator[Measured]:
    """Yield what the database holds; where rows go, by the key and the columns by which these were found."""
    differing = {difference.relation.full_name: difference.relation for difference in differences.tables}
    for measured in found.relations:
        relation = differing.get(measured.relation.full_name, measured.relation)
        by = measured if len(relation.hashed) == len(measured.relation.hashed) else measured.given
        yield dataclasses.replace(by, relation=dataclasses.replace(by.relation, key=relation.key))


def _describe(differences: Differences) -> Changes:
    return Changes(
        tables=tuple(
            TableChange(
                one.relation.schema,
                one.relation.name,
                one.keys,
                went=one.going,
                came=one.coming,
                inserted=one.inserted,
                updated=one.updated,
                deleted=one.deleted,
            )
            for one in differences.tables
        ),
        sequences=differences.sequences,
        large_objects_went=differences.large_objects.unlinked,
        large_objects_came=differences.large_objects.sent,
    )


@dataclasses.dataclass(frozen=True)
class _Writer:
    session: Session
    folder: pathlib.Path
    encoding: str

    def write_rows(self, number: int, relation: Relation, difference: TableDifference) -> ArchivedRows:
        format_ = choose_formats(self.session, [relation], self.encoding, streamed=False)[relation.full_name]
        rows = None if difference.keys is None else rows_of(relation, difference.keys, difference.there)
        what, path = f"table {relation}", self.folder / f"rows-{number:06}.copy"
        statement = copy_out(relation, self.encoding, format_, rows)
        chunks = send(self.session, what, [statement], difference.going.count)
        file, sent = write_stream(what, chunks, path, format_)
        return ArchivedRows(relation.schema, relation.name, sent, file, format_)

    def write_large_objects(self, objects: t.Sequence[LargeObject]) -> ArchivedFile:
        what, path = "the large objects", self.folder / LARGE_OBJECTS_FILE
        chunks = send(self.session, what, copy_large_objects_out(objects), count_pieces(objects))
        return write_stream(what, chunks, path)[0]
