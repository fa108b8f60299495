# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a target must be like: the definitions of a source, live or archived."""

from __future__ import annotations

import dataclasses
import pathlib

from ..archive.archive import Archive
from ..archive.schema import dump_schema
from ..catalog.bindings import Binding, read_bindings
from ..catalog.database import DatabaseProperties, read_database
from ..catalog.extension_rows import ExtensionRows, read_extension_rows
from ..catalog.members import Members, read_members
from ..catalog.refresh_order import read_refresh_order
from ..catalog.relations import list_relations
from ..catalog.requirements import Extension, read_extensions
from ..catalog.selection import EVERYTHING, Patterns, Selection, select
from ..catalog.snapshot import Snapshot
from ..catalog.unsaid import Unsaid, read_unsaid
from ..server.client_tools import ClientTools


@dataclasses.dataclass(frozen=True)
class Original:
    """Definitions, and what goes with them; ``schema`` is pg_dump's file."""

    database: DatabaseProperties
    extensions: tuple[Extension, ...]
    bindings: tuple[Binding, ...]
    schema: pathlib.Path
    selection: Selection | None
    #: the materialized views that are refreshed, as schema and name, in this order
    refresh_order: tuple[tuple[str, str], ...]
    #: what extensions' members are, and what their own tables hold; None where an older archive does not tell
    members: Members | None
    extension_rows: tuple[ExtensionRows, ...]
    #: what no dump says; None where an older archive does not tell
    unsaid: tuple[Unsaid, ...] | None


def archived_original(archive: Archive, patterns: Patterns = EVERYTHING) -> Original:
    """Return what an archive holds.

    :raises MigrationError: when a pattern matches no table in it
    """
    manifest = archive.manifest
    return Original(
        manifest.database,
        manifest.requirements.extensions,
        manifest.bindings,
        archive.schema,
        manifest.select(patterns),
        manifest.refresh_order,
        manifest.members,
        manifest.content.extension_rows,
        manifest.unsaid,
    )


def read_original(here: Snapshot, tools: ClientTools, work: pathlib.Path, patterns: Patterns = EVERYTHING) -> Original:
    """Return what a source holds now; its schema's file is made in a folder.

    :raises MigrationError: when pg_dump fails, or a pattern matches no table
    """
    dump_schema(here, tools, work / "source.dump")
    return Original(
        database=read_database(here.session),
        extensions=read_extensions(here.session),
        bindings=read_bindings(here.session),
        schema=work / "source.dump",
        selection=select(list_relations(here.session), patterns) if patterns else None,
        refresh_order=tuple(read_refresh_order(here.session)),
        members=read_members(here.session),
        extension_rows=tuple(read_extension_rows(here.session)),
        unsaid=read_unsaid(here.session),
    )
