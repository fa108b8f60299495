# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room: on the disks, for connections, for locks."""

from __future__ import annotations

import os
import pathlib
import shutil
import struct
import typing as t

from psycopg import sql

from ...server.endpoint import Endpoint, Session
from ...server.inquiry import Inquiry, answer, one_line
from ...verdict.findings import Finding
from .check import RELATIONS

# Sizes are in bytes. COPY's text may take a tenth of what a table takes, where rows are narrow or there is much dead
# space in it, and more where values are compressed: only what is far too little is surely too little.
_SURELY: t.Final = 10

#: Sessions that a run has at once besides its jobs, on either side.
_SESSIONS_BESIDE_JOBS: t.Final = 3


def read_rows_size(session: Session) -> int:
    """Return the size of all that COPY will write: heap and TOAST of tables, and large objects; in bytes."""
    row = session.execute(
        f"SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint + pg_table_size('pg_largeobject') {RELATIONS}"
        " AND c.relkind = 'r'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def check_archive_room(archive_root: pathlib.Path, needed: int) -> list[Finding]:
    """Return whether an archive of that many bytes can be written.

    :param needed: the size of the source's rows
    """
    name = f"archive_root {archive_root}"
    place = next(path for path in (archive_root, *archive_root.parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        message = f"{place} is not a directory in which this user may write."
        return [Finding("error", "archive-root", name, message, "Point archive_root elsewhere.")]
    what = "the source's rows take"
    return _check_disk(
        name, "archive-room", what, needed, shutil.disk_usage(place).free, "point archive_root elsewhere"
    )


def check_target_room(session: Session, target: Endpoint, needed: int, room: int | None = None) -> list[Finding]:
    """Return whether the target's disk can hold one more copy; see `ask_target_room`."""
    return answer(session, ask_target_room(target, needed, room))


# All databases share a managed server's volume. Whose size this role may not know is left out (docs: 9.28.7 Database
# Object Management Functions, pg_database_size). Of write-ahead log, max_wal_size is what is kept as a rule.
_HELD: t.Final = """
SELECT coalesce(sum(CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
                         THEN pg_database_size(oid) END), 0)::bigint,
       pg_size_bytes(current_setting('max_wal_size'))
FROM pg_database
"""


def ask_target_room(target: Endpoint, needed: int, room: int | None = None) -> Inquiry[list[Finding]]:
    """Ask whether the target's disk can hold one more copy, as far as that is told, or can be seen from here.

    Until a switch is over, what was live before is there as well, and the oldest database that is kept.

    :param needed: the size of the source's database, in bytes
    :param room: how many bytes the target may hold, if the user says so
    """
    name = f"disk of the target {target.host}:{target.port}"
    if room is not None:
        (((held, wal),),) = yield [_HELD]
        if held + needed + wal <= room:
            return []
        message = (
            f"its databases take {held:,} bytes, the copy about {needed:,} more, and write-ahead log up to {wal:,}: "
            f"{held + needed + wal:,} together, where target_room is {room:,}."
        )
        remedy = "Take a larger volume, and say so in target_room; or drop databases there that nobody needs any more."
        return [Finding("error", "target-room", name, message, remedy)]
    directory = (yield from _ask_local_data_directory()) if target.is_local else None
    if directory is None:
        message = f"the copy needs about {needed:,} bytes there; how many are free cannot be seen from here."
        return [Finding("notice", "target-room-unknown", name, message)]
    free = shutil.disk_usage(directory).free
    return _check_disk(name, "target-room", "the source's database takes", needed, free, "use a larger disk")


def _ask_local_data_directory() -> Inquiry[str | None]:
    """Ask for the server's data directory where it is one of this machine: its control file tells whose it is.

    The file begins with the system identifier (ControlFileData in pg_control.h).
    """
    (((directory, identifier),),) = yield [
        "SELECT (SELECT setting FROM pg_settings WHERE name = 'data_directory'),"
        " CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')"
        " THEN (SELECT system_identifier FROM pg_control_system()) END"
    ]
    if directory is None or identifier is None:
        return None
    try:
        beginning = pathlib.Path(directory, "global", "pg_control").read_bytes()[:8]
    except OSError:
        return None
    return directory if beginning == struct.pack("=q", identifier) else None


def _check_disk(name: str, code: str, what: str, needed: int, free: int, elsewhere: str) -> list[Finding]:
    if free >= needed:
        return []
    return [
        Finding(
            "error" if free * _SURELY < needed else "warning",
            code,
            name,
            f"{what} {needed:,} bytes, and {free:,} are free there.",
            f"Free some space, or {elsewhere}.",
        )
    ]


# reserved_connections and its role came with 16. Who may not see other users' sessions sees no backend_type.
_CONNECTIONS: t.Final = """
WITH activity AS (
    SELECT usename, datname FROM pg_stat_activity
    WHERE usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
      AND pid NOT IN (pg_backend_pid(), {})
), me AS (
    SELECT rolname, rolsuper, rolconnlimit,
           coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'pg_use_reserved_connections'),
                    false) AS reserved
    FROM pg_roles WHERE rolname = session_user
)
SELECT 'max_connections of the server',
       (SELECT sum(CASE WHEN name = 'max_connections' THEN setting::int
                        WHEN name = 'superuser_reserved_connections' AND rolsuper THEN 0
                        WHEN name = 'reserved_connections' AND (rolsuper OR reserved) THEN 0
                        ELSE -setting::int END)::int
        FROM pg_settings
        WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')),
       (SELECT count(*) FROM activity)
FROM me
UNION ALL
SELECT format('connection limit of role %s', rolname), rolconnlimit,
       (SELECT count(*) FROM activity WHERE usename = rolname)
FROM me WHERE rolconnlimit >= 0 AND NOT rolsuper
UNION ALL
SELECT format('connection limit of database "%s"', d.datname), datconnlimit,
       (SELECT count(*) FROM activity WHERE activity.datname = d.datname)
FROM me JOIN pg_database d ON d.datname = {} AND datconnlimit >= 0 AND NOT rolsuper
"""


def check_connections(session: Session, endpoint: Endpoint, jobs: int) -> list[Finding]:
    """Return which limits leave too few connections for a run; see `ask_connections`."""
    return answer(session, ask_connections(endpoint, jobs))


def ask_connections(endpoint: Endpoint, jobs: int, own: int = 0) -> Inquiry[list[Finding]]:
    """Ask which limits leave too few connections for a run with so many jobs.

    :param own: the server process of a session of ours besides the one that asks, if there is one
    """
    needed = jobs + _SESSIONS_BESIDE_JOBS
    (rows,) = yield [sql.SQL(one_line(_CONNECTIONS)).format(own, endpoint.dbname)]
    return [
        Finding(
            "error",
            "connections",
            f"{endpoint.side}: {limit}",
            f"it allows {allowed} connections, {others} are in use, and a run with {jobs} jobs needs {needed}.",
            f"Raise it, or lower jobs (each is one connection; {_SESSIONS_BESIDE_JOBS} more are needed).",
        )
        for limit, allowed, others in rows
        if allowed - others < needed
    ]


# What the shared lock table is made for (docs: max_locks_per_transaction); it has some room beyond that. Sessions and
# background processes count alike (InitializeMaxBackends in postinit.c); 18 renames those of autovacuum.
_LOCKS: t.Final = """
SELECT max(setting::bigint) FILTER (WHERE name = 'max_locks_per_transaction') * sum(setting::bigint) FILTER (
           WHERE name IN ('max_connections', 'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions')
           OR name = CASE WHEN current_setting('server_version_num')::int >= 180000
                          THEN 'autovacuum_worker_slots' ELSE 'autovacuum_max_workers' END)
FROM pg_settings
"""


def read_locks_needed(session: Session) -> int:
    """Return how many locks reading everything takes: pg_dump and our readers lock tables, their indexes and views."""
    row = session.execute(f"SELECT count(*) {RELATIONS} AND c.relkind IN ('r', 'p', 'm', 'v', 'i', 'I')").fetchone()
    assert row is not None
    return int(row[0])


def ask_lock_table() -> Inquiry[int]:
    """Ask how many locks the server's lock table is made for."""
    (((room,),),) = yield [_LOCKS]
    return int(room)


def check_lock_room(session: Session, side: str, needed: int) -> list[Finding]:
    """Return whether the server's lock table may be too small; see `ask_lock_room`."""
    return answer(session, ask_lock_room(side, needed))


def ask_lock_room(side: str, needed: int) -> Inquiry[list[Finding]]:
    """Ask whether the server's lock table may be too small for a schema of that many relations."""
    room = yield from ask_lock_table()
    if needed <= room:
        return []
    return [
        Finding(
            "warning",
            "lock-table",
            f"{side} server",
            f"its lock table is made for {room:,} locks, and the source's schema has {needed:,} tables, views and "
            "indexes, which are locked within one transaction.",
            "Raise max_locks_per_transaction there if the run fails for want of shared memory.",
        )
    ]
