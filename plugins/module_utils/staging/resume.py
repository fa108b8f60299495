# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A staging database that a killed run has left is filled on by the next one, if that would fill it with the same."""

from __future__ import annotations

import hashlib
import json
import typing as t

import psycopg

from ..archive.archive import Archive
from ..archive.manifest import FILE_NAME, Manifest, encode
from ..archive.reuse import essence
from ..archive.schema import read_schema
from ..errors import MigrationError
from ..filling.notes import Notes, counted, is_of
from ..server.client_tools import ClientTools
from ..server.endpoint import Endpoint, Session, connect
from .databases import mark_staging, staging_run
from .names import Generations

#: The collection's version: another one may fill otherwise.
VERSION: t.Final = "0.1.0"

#: What a killed run has under way goes on without it for a while: an index that is built, say.
_END_SESSIONS: t.Final = """
SELECT pg_catalog.pg_terminate_backend(pid, 10000) FROM pg_catalog.pg_stat_activity
WHERE datname = %s AND backend_type = 'client backend'
"""


def describe_origin(archive: Archive, tools: ClientTools, target: Endpoint, allowed: t.Iterable[str]) -> str:
    """Return what a database is filled from, by whom and how, as one word.

    :param allowed: the differences that are allowed; by them keys are added or not
    """
    return _digest(json.dumps([VERSION, _identify(archive, tools), target.user, sorted(allowed)]).encode())


def _identify(archive: Archive, tools: ClientTools) -> str:
    """Return what an archive is known by; of what is streamed, what it holds: a later snapshot may hold the same."""
    if not archive.manifest.streamed:
        # The manifest has the sums of all other files.
        return _digest((archive.folder / FILE_NAME).read_bytes())
    # Objects are noted by the numbers that pg_dump has given them.
    entries = [(entry.number, entry.kind, entry.name, entry.statements) for entry in read_schema(tools, archive.schema)]
    return _digest(encode(essence(archive.manifest)) + repr(entries).encode())


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def take_over(session: Session, target: Endpoint, run_id: str, origin: str, manifest: Manifest) -> str | None:
    """Make what a killed run has left the run's own, if that was to be filled from the same; return that run's id.

    Else it is of no use, and the caller makes a new one.

    :param session: outside of it
    """
    generations = Generations(target.dbname)
    earlier = staging_run(session, generations)
    if earlier is None:
        return None
    try:
        mark_staging(session, generations, run_id)
        session.execute(_END_SESSIONS, (generations.staging,))
        with connect(target.at(generations.staging)) as inside:
            same = Notes(run_id).take_over(inside, Notes(earlier), origin, manifest)
    except (psycopg.Error, MigrationError):
        # Its schema is half made, it is full already, or it is somebody else's.
        return None
    return earlier if same else None


def foresee(session: Session, target: Endpoint, origin: str, manifest: Manifest) -> str:
    """Return what would be taken over, in words for the plan; nothing where a run begins anew.

    :param session: outside of it
    """
    generations = Generations(target.dbname)
    earlier = staging_run(session, generations)
    if earlier is None:
        return ""
    try:
        with connect(target.at(generations.staging)) as inside:
            done = Notes(earlier).read(inside)
    except (psycopg.Error, MigrationError):
        return ""
    if not is_of(done, origin, manifest):
        return ""
    return (
        f'go on filling "{generations.staging}", which run {earlier} has left: '
        f"the rows of {len(counted(done))} of {len(manifest.tables)} tables are there"
    )
