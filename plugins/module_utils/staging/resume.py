# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A staging database that a killed run has left is filled on by the next one, if that would fill it with the same."""

from __future__ import annotations

import hashlib
import json
import pathlib
import typing as t

import psycopg

from ..archive.manifest import FILE_NAME, Manifest
from ..errors import MigrationError
from ..filling.notes import Notes, counted, is_of
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


def describe_origin(archive: pathlib.Path, target: Endpoint, allowed: t.Iterable[str]) -> str:
    """Return what a database is filled from, by whom and how, as one word.

    :param allowed: the differences that are allowed; by them keys are added or not
    """
    # The manifest has the sums of all other files.
    manifest = hashlib.sha256((archive / FILE_NAME).read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps([VERSION, manifest, target.user, sorted(allowed)]).encode()).hexdigest()


def take_over(session: Session, target: Endpoint, run_id: str, origin: str, manifest: Manifest) -> str | None:
    """Make what a killed run has left the run's own, if that was to be filled from the same; return that run's id.

    Else it is of no use, and the caller makes a new one.

    :param session: outside of it
    """
    generations = Generations(target.dbname)
    earlier = staging_run(session, generations)
    if earlier is None or manifest.streamed:
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
    if earlier is None or manifest.streamed:
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
