# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which databases source and target are: never one and the same."""

from __future__ import annotations

import contextlib
import secrets
import typing as t

from psycopg import sql

from ...server.batches import Rows, ask_all
from ...server.endpoint import Endpoint, Session
from ...server.inquiry import Inquiry, ask
from ...staging.names import Generations
from ...verdict.findings import Finding

#: The first half of the lock's key; the other is random.
_LOCK_CLASS: t.Final = 1346913110
_HELD: t.Final = """
SELECT (SELECT datname FROM pg_database d WHERE d.oid = l.database) FROM pg_locks l
WHERE locktype = 'advisory' AND classid = {} AND objid = {}
"""


def ask_identity(key: int, dbname: str) -> Inquiry[t.Sequence[Rows]]:
    """Ask the target's server, in whatever database, where a lock is held, and which server it is.

    :param key: of a lock that the source's session holds
    :param dbname: the live database
    """
    return ask(sql.SQL(_HELD).format(_LOCK_CLASS, key), _identify(dbname))


def check_identity(source_session: Session, told: t.Sequence[Rows], target: Endpoint) -> list[Finding]:
    """Refuse a source that the run would replace or drop: the live database under any name, or one made beside it.

    :param told: what the target's server has told
    """
    generations = Generations(target.dbname)
    held, (there,) = told
    if not held:
        return _check_replica(source_session, there, target)
    ((name,),) = held
    if name == generations.live:
        return [_same_database(target, "it is the source itself, under whatever name.")]
    if name in generations.neighbours:
        return [
            Finding(
                "error",
                "source-beside-target",
                f'database "{name}"',
                f'it is the source, and one of those that a run makes beside "{target.dbname}": the run would drop it.',
                "Rename it, or use playbooks/rollback.yml if the previous database is to return.",
            )
        ]
    return [
        Finding(
            "notice",
            "same-server",
            str(target),
            f'the source, "{name}", is a database of the same server, which does the work and needs the room of both.',
        )
    ]


@contextlib.contextmanager
def advisory_lock(session: Session) -> t.Iterator[int]:
    """Hold a lock of a random key, which is given."""
    key = secrets.randbits(31)
    session.execute("SELECT pg_advisory_lock_shared(%s, %s)", (_LOCK_CLASS, key))
    yield key
    session.execute("SELECT pg_advisory_unlock_shared(%s, %s)", (_LOCK_CLASS, key))


def _identify(dbname: str) -> sql.Composed:
    """Return the query for whether the server replicates another one, the database's OID, and the cluster."""
    return sql.SQL(
        "SELECT pg_is_in_recovery(), (SELECT oid FROM pg_database WHERE datname = {}),"
        " CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')"
        " THEN (SELECT system_identifier FROM pg_control_system()) END"
    ).format(dbname)


def _check_replica(source_session: Session, there: tuple[t.Any, ...], target: Endpoint) -> list[Finding]:
    """Refuse a database and its physical replica, which share no locks; a clone that was promoted is another one."""
    (((source_replicates, *source),),) = ask_all(source_session, _identify(source_session.info.dbname))
    target_replicates, *live = there
    if source != live or None in source or not (source_replicates or target_replicates):
        return []
    return [_same_database(target, "it and the source are one database, on a server and on its replica.")]


def _same_database(target: Endpoint, message: str) -> Finding:
    return Finding(
        "error", "same-database", str(target), message, "Correct target_host, target_port and target_dbname."
    )
