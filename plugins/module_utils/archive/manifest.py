# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive's description: every file, and everything that a copy must hold."""

from __future__ import annotations

import dataclasses
import typing as t

import msgspec

from ..catalog.bindings import Binding
from ..catalog.checksums import ALGORITHM
from ..catalog.content import Content, Rows
from ..catalog.database import DatabaseProperties
from ..catalog.earlier import Earlier, Instant
from ..catalog.formats import Format
from ..catalog.large_objects import LargeObject
from ..catalog.members import Members
from ..catalog.requirements import Requirements
from ..catalog.selection import Name, Patterns, Selection, select
from ..catalog.sequences import Sequence
from ..catalog.unsaid import Unsaid
from ..errors import MigrationError
from ..privileges.catalog import Privileges
from .compression import Compression

FORMAT: t.Final = 1
FILE_NAME: t.Final = "manifest.json"


@dataclasses.dataclass(frozen=True)
class ArchivedFile:
    """A file of the archive, by a name that has no folder in it; ``size`` in bytes and checksum as it lies there."""

    name: t.Annotated[str, msgspec.Meta(pattern=r"\A\w[\w.-]*\Z")]
    size: int
    sha256: str
    compression: Compression = "none"


@dataclasses.dataclass(frozen=True)
class ArchivedRows:
    """A table's rows; an empty table has none of these."""

    schema: str
    name: str
    rows: int
    #: None where the rows are streamed, from the snapshot to the target
    file: ArchivedFile | None = None
    #: the form in which COPY has written it
    format: Format = "text"


@dataclasses.dataclass(frozen=True)
class TableChange:
    """What was done to the rows of a table, or of a tree of tables; those that went are in the archive."""

    schema: str
    name: str
    #: the hashes of the keys of what went and of what came; None if all rows were replaced
    keys: tuple[int, ...] | None
    went: Rows
    came: Rows
    inserted: int
    updated: int
    deleted: int


@dataclasses.dataclass(frozen=True)
class Changes:
    """What a run has done to the database that the manifest describes, as far as that is not told by the description.

    An archive with these is the undo of that run. It holds the rows and large objects that went, and no others.
    """

    tables: tuple[TableChange, ...]
    #: where it has put the sequences that stood elsewhere
    sequences: tuple[Sequence, ...]
    large_objects_went: tuple[LargeObject, ...]
    large_objects_came: tuple[LargeObject, ...]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a dump left on disk. Nothing in it names the machine it was made on."""

    format: int
    #: when the snapshot was taken: ISO 8601, UTC
    taken_at: str
    #: the version of pg_dump that wrote the schema
    tools_version: str
    database: DatabaseProperties
    requirements: Requirements
    content: Content
    #: what the source answered to the queries of verify_queries, by their names
    answers: dict[str, str]
    #: populated materialized views as (schema, name), each after those it reads
    refresh_order: tuple[tuple[str, str], ...]
    schema: ArchivedFile
    tables: tuple[ArchivedRows, ...]
    large_objects: ArchivedFile | None
    #: the rows of that file: each holds a piece of a large object
    large_object_pieces: int
    #: whether ``content`` is of some tables only; the schema is always whole
    partial: bool = False
    #: what the source's expressions are bound to, which no definition tells
    bindings: tuple[Binding, ...] = ()
    #: what pg_dump does not say of objects; older archives do not tell
    unsaid: tuple[Unsaid, ...] | None = None
    #: what extensions' members are; older archives do not tell
    members: Members | None = None
    #: owners, grants and default privileges; archives of older versions have none
    privileges: Privileges | None = None
    #: whether the rows go straight to the target; there are no files of them, then
    streamed: bool = False
    #: what was changed then, where nothing but what went is in the archive
    changes: Changes | None = None
    #: the number of the oldest transaction of the source's whose rows the snapshot may lack (pg_snapshot_xmin)
    unseen_from: int | None = None
    #: the source's number, and since when its server had its statistics (catalog/earlier.py)
    life: str = ""
    #: of the source's catalogs (catalog/identity.py): where it is the same once more, so are all definitions
    identity: str = ""

    @property
    def earlier(self) -> Earlier | None:
        """What the source held, as is to be known of what it holds later."""
        if self.unseen_from is None or self.content.checksum_algorithm != ALGORITHM:
            return None
        instant = Instant(self.unseen_from, self.life)
        return Earlier(instant, self.content, self.database.serving_path, self.identity)

    @property
    def files(self) -> tuple[ArchivedFile, ...]:
        """All files but the manifest itself."""
        rows = (*(table.file for table in self.tables), self.large_objects)
        return (self.schema, *(file for file in rows if file))

    @property
    def names(self) -> frozenset[tuple[str, str]]:
        """Schema and name of each table and materialized view."""
        return frozenset((measured.relation.schema, measured.relation.name) for measured in self.content.relations)

    def select(self, patterns: Patterns) -> Selection | None:
        """Return the tables to restore: of those in the archive, what the patterns select; None if it is all there was.

        :raises MigrationError: when a pattern matches no table in the archive
        """
        if not patterns and not self.partial:
            return None
        return select([measured.relation for measured in self.content.relations], patterns)

    def in_text(self, tables: t.Container[Name]) -> Manifest:
        """Return the manifest of a stream in which the rows of some tables are in text form."""
        return dataclasses.replace(
            self,
            tables=tuple(
                dataclasses.replace(table, format="text") if (table.schema, table.name) in tables else table
                for table in self.tables
            ),
        )

    def require_rows(self) -> None:
        """Make sure that the rows are in the archive.

        :raises MigrationError: when they were streamed, by a run that has kept the description alone; or when it is the
            undo of a run that has brought what differed
        """
        if self.changes:
            raise MigrationError(
                "There are no rows in it but those that a run with load_mode: sync has replaced. "
                "playbooks/rollback.yml brings them back; for anything else, name an archive as playbooks/dump.yml "
                "leaves it."
            )
        if self.streamed:
            raise MigrationError(
                "There are no rows in it: it is what a run with transfer: stream has kept to compare with. Name an "
                "archive, as playbooks/dump.yml leaves it."
            )

    def of(self, selection: Selection | None) -> Manifest:
        """Return the manifest of the selected tables; large objects and views belong to whole runs only."""
        if selection is None:
            return self
        return dataclasses.replace(self, content=self.content.of(selection), refresh_order=(), large_objects=None)

    def require_privileges(self, needed: bool) -> Privileges | None:
        """Return owners and grants of the source, if the archive holds them.

        :raises MigrationError: when they are needed, and an older version has written it without
        """
        if needed and self.privileges is None:
            raise MigrationError(
                "The archive does not hold the source's owners and grants: an older version has written it. Dump "
                "again, or leave out grants: source and owners: source."
            )
        return self.privileges

    def require_whole(self) -> None:
        """Make sure that a database can be made of the archive.

        :raises MigrationError: when it holds the rows of some tables only
        """
        if self.partial:
            raise MigrationError(
                "The archive holds the rows of some tables only. They can be filled in place in a database that has "
                "these tables; nothing else can be made of it. Leave out load_mode and fk_strategy."
            )


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as JSON, for people too; the same of the same."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1) + b"\n"


def decode(text: bytes, where: str) -> Manifest:
    """Return the manifest that a file holds.

    :raises MigrationError: when it is not a manifest of this format
    """
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise MigrationError(f"{where} is not a manifest that this version can read: {error}") from None
    if manifest.format != FORMAT:
        raise MigrationError(
            f"{where} has format {manifest.format}, this version reads {FORMAT}. Use the version that wrote it."
        )
    if (algorithm := manifest.content.checksum_algorithm) != ALGORITHM:
        raise MigrationError(
            f"{where} has checksums of the kind {algorithm}, this version computes {ALGORITHM}, and the two cannot be "
            "compared. Use the version that wrote it, or dump again."
        )
    described = {(measured.relation.schema, measured.relation.name) for measured in manifest.content.relations}
    names = [file.name for file in manifest.files]
    if len(set(names)) < len(names) or not {(rows.schema, rows.name) for rows in manifest.tables} <= described:
        raise MigrationError(f"{where} contradicts itself: rows of a table that it does not know, or a file twice.")
    return manifest
