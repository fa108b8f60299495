# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an earlier archive holds what the source holds now, so that no other need be written.

It is judged by content, as every verdict is: rows by their checksums, definitions by pg_dump's words. Whatever differs
in the least, or cannot be read, is a reason to dump again; a needless dump costs time alone.
"""

from __future__ import annotations

import dataclasses
import pathlib

from ..errors import MigrationError
from ..server.client_tools import ClientTools
from .archive import Archive
from .folder import check_archive
from .manifest import Manifest, decode, encode
from .schema import read_schema


def find_newest(archive_root: pathlib.Path, host: str) -> pathlib.Path | None:
    """Return where the newest archive of a host's source lies, if there is any; runs' identifiers sort by time."""
    return max((archive_root / host).glob("[!.]*Z-*"), default=None)


def find_earlier(archive_root: pathlib.Path, host: str) -> Archive | None:
    """Return the newest archive of a host's source, if it is whole."""
    newest = find_newest(archive_root, host)
    if newest is None:
        return None
    try:
        return check_archive(newest)
    except (MigrationError, OSError):
        return None


def holds_the_same(earlier: Archive, tools: ClientTools, begun: Archive) -> bool:
    """Return whether an archive is as the one that is just being written, in which no rows have a file yet."""
    # A file tells less than what was read: a list is one of its own kind there.
    if essence(earlier.manifest) != essence(decode(encode(begun.manifest), str(begun.folder))):
        return False
    # The files differ by their dates.
    try:
        return read_schema(tools, earlier.schema) == read_schema(tools, begun.schema)
    except MigrationError:
        return False


def essence(manifest: Manifest) -> Manifest:
    """Return a manifest without what says when and how it was written, and without what VACUUM alone changes."""
    relations = tuple(
        dataclasses.replace(measured, relation=dataclasses.replace(measured.relation, size=0, pages=0))
        for measured in manifest.content.relations
    )
    return dataclasses.replace(
        manifest,
        taken_at="",
        tools_version="",
        database=dataclasses.replace(manifest.database, size=0),
        content=dataclasses.replace(manifest.content, relations=relations),
        schema=dataclasses.replace(manifest.schema, size=0, sha256=""),
        tables=tuple(dataclasses.replace(table, file=None) for table in manifest.tables),
        large_objects=None,
        large_object_pieces=0,
        unseen_from=None,
        life="",
        identity="",
    )
