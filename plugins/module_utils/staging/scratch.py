# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A schema in the words of the target's server.

A definition comes back in other words after a restore: an IN list grows casts, a newer server qualifies fewer names,
inherited columns change places. What the target must say is therefore asked of the target: the source's schema is
restored into an empty scratch database beside it and read from there.
"""

from __future__ import annotations

import pathlib

from ..archive.schema import Entry, dump_schema, read_schema, read_section
from ..catalog.database import DatabaseProperties
from ..catalog.snapshot import exported_snapshot
from ..endpoint import Endpoint, connect
from ..errors import MigrationError
from ..tools import ClientTools
from .databases import create_database, drop_database, maintenance_session, may_create_databases
from .locks import lock_name
from .names import Generations
from .schema import create_entries, create_pre_data


class NoScratchError(MigrationError):
    """The target's server cannot be asked, since no database can be made there."""


def reword_schema(
    target: Endpoint, tools: ClientTools, source: DatabaseProperties, schema: pathlib.Path, folder: pathlib.Path
) -> list[Entry]:
    """Return the entries of the source's schema as the target's server words them.

    Of several comparisons at once on one target, each waits for its turn in the scratch database.

    :param folder: where a file may be left
    :raises NoScratchError: when no database can be created there
    :raises MigrationError: when an object cannot
    """
    if not may_create_databases(target):
        raise NoScratchError(
            f"Some definitions on the {target} are worded otherwise than the source's, and whether they mean the same, "
            f"its server could tell in a scratch database alone, which {target.user} may not create. Let an "
            f'administrator run ALTER ROLE "{target.user}" CREATEDB.'
        )
    scratch = target.at(Generations(target.dbname).scratch)
    with maintenance_session(target) as maintenance:
        with maintenance.transaction():
            # However long the others take.
            maintenance.execute("SET LOCAL lock_timeout = 0")
            lock_name(maintenance, scratch.dbname)
        create_database(maintenance, scratch.dbname, source.locale)
        try:
            with connect(scratch) as session:
                create_pre_data(session, read_section(tools, schema, "pre-data"), source)
                create_entries(session, read_section(tools, schema, "post-data"))
            with exported_snapshot(scratch) as snapshot:
                dump_schema(snapshot, tools, folder / "reworded.dump")
        finally:
            drop_database(maintenance, scratch.dbname)
    return read_schema(tools, folder / "reworded.dump")
