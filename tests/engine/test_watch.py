# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the server is with one long thing, it is asked, and only then."""

from __future__ import annotations

import concurrent.futures
import contextvars
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.filling import watch
from ansible_collections.pgconvoy.migrate.plugins.module_utils.schedule.progress import (
    Progress,
    State,
    Step,
    doing,
    listening,
    phase,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Session, connect

from tests.case import Case, new_case
from tests.migration import endpoint, prepare
from tests.playbooks import wait_until
from tests.servers import Servers

_ROWS: t.Final = 9_000
#: The copy's server stops at a row in the middle for as long as somebody else holds a lock.
_SCRIPT: t.Final = f"""
    CREATE FUNCTION stop(id int, door int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
    CREATE TABLE long (id int CHECK (stop(id, 1)), wide text);
    INSERT INTO long SELECT n, repeat('x', 1000) FROM generate_series(1, {_ROWS}) n;
    CREATE INDEX long_index ON long (stop(id, 2));
    CREATE OR REPLACE FUNCTION stop(id int, door int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        IF id = {_ROWS // 2} AND current_database() LIKE '%staging' THEN
            PERFORM pg_advisory_lock_shared(door), pg_advisory_unlock_shared(door);
        END IF;
        RETURN true;
    END $$;
"""


@pytest.fixture
def case(servers: Servers) -> t.Iterator[Case]:
    """Give a table whose index is built by itself."""
    with new_case(servers.source(), servers.target(), _SCRIPT) as one:
        yield one


def test_fill(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While rows are copied, how many; while an index is built, how much of it."""
    monkeypatch.setattr(watch, "_SECONDS", 0)
    told: list[State] = []
    progress = Progress(told.append)
    migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
    migration.preflight()
    migration.dump()
    migration.restore_schema()

    def told_of(name: str, what: t.Callable[[State], t.Any]) -> list[t.Any]:
        progress.tell_news()
        return [what(state) for state in told if any(name in one for one in state["doing"])]

    with case.target.connect(migration.staging.dbname) as doors, listening(progress):
        doors.execute("SELECT pg_advisory_lock(1), pg_advisory_lock(2)")
        restoring = _begin(migration.restore_data)
        # It counts those that it has written, a page or so at a time.
        wait_until(
            lambda: any(
                _ROWS // 2 - 100 < rows < _ROWS // 2
                for rows in told_of("rows of public.long", lambda state: state["rows"][0])
            )
        )
        doors.execute("SELECT pg_advisory_unlock(1)")
        # To sort them is the other half.
        wait_until(lambda: ["index public.long_index 25%"] in told_of("long_index", lambda state: state["doing"]))
        doors.execute("SELECT pg_advisory_unlock(2)")
        restoring.result()
        assert told[-1]["rows"] == [_ROWS, _ROWS]
        assert told[-1]["sizes"][0] == told[-1]["sizes"][1]


def test_statistics(case: Case) -> None:
    """Nobody is asked before something takes long; all that asked is gone in the end."""
    told: list[State] = []
    progress, seen = Progress(told.append), watch.Watch()
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    case.run(
        "CREATE OR REPLACE FUNCTION stop(id int, door int) RETURNS bool LANGUAGE sql IMMUTABLE"
        " AS 'SELECT pg_advisory_lock_shared(3), pg_advisory_unlock_shared(3); SELECT true'"
    )
    with (
        case.source.connect(case.name) as doors,
        connect(endpoint("target", case.source, case.name)) as session,
        listening(progress),
        phase("fill", [Step("statistics", 100)]),
    ):
        doors.execute("SELECT pg_advisory_lock(3)")
        taking = _begin(lambda: _analyze(seen, session))
        waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_until(lambda: doors.execute(waits).fetchall())
        seen.look()
        assert doors.execute(sessions, (case.name,)).fetchone() == (2,)
        seen.look()
        assert doors.execute(sessions, (case.name,)).fetchone() == (3,)
        progress.tell_news()
        assert (told[-1]["doing"], told[-1]["sizes"]) == (["statistics 100%"], [100, 100])
        doors.execute("SELECT pg_advisory_unlock(3)")
        taking.result()
        seen.look()
        seen.close()
        wait_until(lambda: doors.execute(sessions, (case.name,)).fetchone() == (2,))


def _analyze(seen: watch.Watch, session: Session) -> None:
    with doing(Step("statistics", 100)), seen.on(session):
        session.execute("ANALYZE public.long")


def _begin(do: t.Callable[[], object]) -> concurrent.futures.Future[t.Any]:
    """Let a thread do something, with whoever listens."""
    return concurrent.futures.ThreadPoolExecutor(1).submit(contextvars.copy_context().run, do)
