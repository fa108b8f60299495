# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others do in the databases meanwhile: locks, limits, rights, and tables that come, go and change."""

from __future__ import annotations

import functools
import time
import typing as t

import psycopg
import pytest

from tests.databases import Database, role
from tests.faults import places
from tests.faults.fault import Fault
from tests.faults.proxy import Watch
from tests.faults.scene import Scene
from tests.servers import PostgresServer

_ROLE: t.Final = "fault_role"
_PASSWORD: t.Final = "secret"


def _execute(server: PostgresServer, dbname: str, statement: str) -> None:
    """Run a statement; one that waits for the run would make the run wait for it."""
    with server.connect(dbname) as connection:
        connection.execute("SET lock_timeout = '5s'")
        connection.execute(statement.encode())


def _on_source(watch: Watch, statement: str, scene: Scene) -> None:
    """Change the source when something comes by there."""

    def act(_: object) -> None:
        scene.source_has_changed = True
        _execute(scene.source.server, scene.source.name, statement)

    scene.proxies["source"].at(watch, act)


def _kept_out(watch: Watch, statement: str, scene: Scene) -> None:
    """Try to change what the source holds when something comes by there."""

    def act(_: object) -> None:
        with scene.source.server.connect(scene.source.name) as connection:
            connection.execute("SET lock_timeout = '100ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                connection.execute(statement.encode())

    scene.proxies["source"].at(watch, act)


def _fourth(watch: Watch) -> Watch:
    """Return the fourth time: preflight takes snapshots, too, to try them, for the census and to compare.

    Each has a connection of its own. What is watched may come by several times there, as statements travel together.
    """
    seen: list[t.Any] = []

    def fourth(message: t.Any) -> bool:
        if watch(message) and message.link not in seen:
            seen.append(message.link)
            return len(seen) == 4
        return False

    return fourth


def _hold(scene: Scene, database: Database, dbname: str, statement: str) -> None:
    """Let somebody begin a transaction, and not end it."""
    connection = database.server.connect(dbname)
    scene.undo_before_next.callback(connection.close)
    connection.execute(b"BEGIN")
    connection.execute(statement.encode())


def _client(scene: Scene) -> None:
    held = functools.partial(_hold, scene, scene.target, scene.target.name, "SELECT FROM forgotten")
    scene.proxies["source"].at(places.copy_start, lambda _: held())


def _altered(scene: Scene) -> None:
    statement = f'ALTER DATABASE "{scene.target.name}" CONNECTION LIMIT 50'
    held = functools.partial(_hold, scene, scene.target, "postgres", statement)
    scene.proxies["source"].at(places.copy_start, lambda _: held())


def _limits(scene: Scene) -> None:
    """Limit everything to less than it takes, for the run's roles and for the databases, but not for those who look."""
    scene.change_source(
        "CREATE FUNCTION look_at(int) RETURNS bool LANGUAGE sql AS 'SELECT true';"
        "CREATE TABLE slow (id int CHECK (look_at(id)));"
        "INSERT INTO slow VALUES (1);"
        "CREATE OR REPLACE FUNCTION look_at(int) RETURNS bool LANGUAGE sql AS 'SELECT pg_sleep(0.5) IS NOT NULL'"
    )
    limits = (
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "transaction_timeout",
    )
    for side, database in (("source", scene.source), ("target", scene.target)):
        server = database.server
        scene.undo.enter_context(role(server, _ROLE, "SUPERUSER", _PASSWORD))
        scene.users[side] = (_ROLE, _PASSWORD)
        for limit in limits:
            _execute(server, "postgres", f"ALTER ROLE {_ROLE} SET {limit} = '300ms'")
            _execute(server, "postgres", f"ALTER ROLE {server.user} SET {limit} = 0")
            scene.undo.callback(_execute, server, "postgres", f"ALTER ROLE {server.user} RESET {limit}")
            _execute(server, "postgres", f"ALTER DATABASE {database.name} SET {limit} = '300ms'")
    # The dump's snapshot is idle in its transaction meanwhile.
    scene.proxies["source"].at(places.pg_dump_begins, lambda _: time.sleep(0.6))


def _reader(scene: Scene) -> None:
    """Let the run read the source by a role that may read all, until it may not."""
    server = scene.source.server
    scene.undo.enter_context(role(server, _ROLE, "", _PASSWORD))
    scene.users["source"] = (_ROLE, _PASSWORD)
    scene.source.execute(f"GRANT pg_read_all_data TO {_ROLE}; GRANT SELECT ON LARGE OBJECT 70001 TO {_ROLE}")
    revoke = functools.partial(_execute, server, "postgres", f"REVOKE pg_read_all_data FROM {_ROLE}")
    scene.proxies["source"].at(places.copy_start, lambda _: revoke())


def _grant_reading(scene: Scene) -> None:
    _execute(scene.source.server, "postgres", f"GRANT pg_read_all_data TO {_ROLE}")


def _owner(scene: Scene) -> None:
    """Let the run write the target by a role that may create and rename databases, until it may not."""
    server = scene.target.server
    scene.undo.enter_context(role(server, _ROLE, "CREATEDB", _PASSWORD))
    scene.users["target"] = (_ROLE, _PASSWORD)
    for name in (scene.target.name, scene.target.previous.name):
        _execute(server, "postgres", f'ALTER DATABASE "{name}" OWNER TO {_ROLE}')
    revoke = functools.partial(_execute, server, "postgres", f"ALTER ROLE {_ROLE} NOCREATEDB")
    scene.proxies["target"].at(places.before_switch, lambda _: revoke())


def _grant_creating(scene: Scene) -> None:
    _execute(scene.target.server, "postgres", f"ALTER ROLE {_ROLE} CREATEDB")


_SNAPSHOT: t.Final = places.answer(rb"pg_export_snapshot")

FAULTS: t.Final = (
    Fault("client-in-live", _client, r'session \d+ of \w+ from (.|\n)* in "app\d+"'),
    Fault("live-being-altered", _altered, "The switch did not happen(.|\n)*lock timeout"),
    Fault("every-limit-too-low", _limits, None),
    Fault("reading-revoked", _reader, "rows of table public.wide(.|\n)*permission denied", repair=_grant_reading),
    Fault("creating-revoked", _owner, "did not happen(.|\n)*permission denied", repair=_grant_creating),
    # The run holds the tables that it reads: who would alter one has to wait, or gives up.
    Fault("table-dropped", functools.partial(_kept_out, places.copy_start, "DROP TABLE wide"), None),
    Fault("table-added", functools.partial(_on_source, places.copy_start, "CREATE TABLE late AS SELECT 1 AS a"), None),
    Fault(
        "table-rewritten-before-its-rows-are-sent",
        functools.partial(_kept_out, places.copy_start, "ALTER TABLE wide ALTER id TYPE bigint"),
        None,
    ),
    Fault(
        "table-truncated-before-its-rows-are-counted",
        functools.partial(_kept_out, _fourth(_SNAPSHOT), "TRUNCATE note"),
        None,
    ),
)
