# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are broken off in the middle: nothing stays behind, and the next run succeeds."""

from __future__ import annotations

import os
import signal
import typing as t
from pathlib import Path

import pytest

from tests.databases import Database, untouched
from tests.playbooks import Background, Controller, wait_until

#: Small on disk, where the value is compressed, and 2 GB on the way: a dump takes its time.
_LONG: t.Final = """
    CREATE TABLE long AS SELECT repeat('x', 100000) AS wide;
    INSERT INTO long SELECT wide FROM long, generate_series(1, 19999);
"""
#: A row takes the target a tenth of a second, the source no time at all.
_SLOW: t.Final = """
    CREATE FUNCTION look_at(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
    CREATE TABLE slow (id int CHECK (look_at(id)));
    INSERT INTO slow SELECT generate_series(1, 1000);
    CREATE OR REPLACE FUNCTION look_at(int) RETURNS bool LANGUAGE sql
    AS $$SELECT CASE WHEN current_database() LIKE '%staging' THEN pg_sleep(0.1) IS NOT NULL ELSE true END$$;
"""
_QUICK: t.Final = "CREATE OR REPLACE FUNCTION look_at(int) RETURNS bool LANGUAGE sql AS 'SELECT true'"


def _interrupt(run: Background) -> None:
    """Do what a terminal does on Ctrl-C."""
    os.killpg(run.process.pid, signal.SIGINT)


def _terminate(run: Background) -> None:
    """Do what an init system does."""
    run.process.terminate()


def _kill_controller(run: Background) -> None:
    """Do what a closed laptop's session or an impatient user does: only ansible-playbook itself is gone at once."""
    run.process.kill()


def _kill_psql(run: Background) -> None:
    """End those who read the source."""
    assert run.kill(lambda pid, line: "/psql " in line)


def _kill(run: Background) -> None:
    """Leave no time for anything."""
    assert run.kill()


@pytest.mark.parametrize(
    "break_off",
    [
        pytest.param(_interrupt, id="ctrl-c"),
        pytest.param(_terminate, id="sigterm", marks=pytest.mark.faults),
        pytest.param(_kill_controller, id="controller-killed", marks=pytest.mark.faults),
        pytest.param(_kill_psql, id="psql-killed"),
    ],
)
def test_dump_broken_off(
    sandbox: Controller, source: Database, target: Database, break_off: t.Callable[[Background], None]
) -> None:
    """No archive is there, not even a part of one, and nobody still reads the source."""
    source.execute(_LONG)
    with untouched(target):
        run = sandbox.start("migrate.yml", "--limit=sandbox")
        wait_until(lambda: _largest(sandbox.archive_root) > 1 << 20)
        break_off(run)
        rc, output = run.finish()
        _assert_gone(run, source)
    assert rc != 0
    assert sandbox.archives() == []
    if break_off is _kill_psql:
        assert "Cannot read the rows of table public.long: psql on the source database" in output
        assert "was killed by signal 9 in the middle" in output


def test_dump_killed(sandbox: Controller, source: Database, target: Database) -> None:
    """Nobody could remove the part of an archive that it leaves, but the next dump of that host."""
    source.execute(_LONG)
    run = sandbox.start("migrate.yml", "--limit=sandbox")
    wait_until(lambda: _largest(sandbox.archive_root) > 1 << 20)
    _kill(run)
    run.finish()
    _assert_gone(run, source)
    (left,) = sandbox.archives()
    assert left.name.endswith(".partial")
    source.execute("DROP TABLE long")
    archive = Path(sandbox.migrate().result("dump")["archive"])
    assert sandbox.archives() == [archive]
    assert target.contents() == source.contents()


@pytest.mark.parametrize(
    "break_off",
    [
        pytest.param(_interrupt, id="ctrl-c", marks=pytest.mark.faults),
        pytest.param(_terminate, id="sigterm"),
        pytest.param(_kill_controller, id="controller-killed"),
        pytest.param(_kill, id="sigkill", marks=pytest.mark.faults),
    ],
)
def test_load_broken_off(
    sandbox: Controller, source: Database, target: Database, break_off: t.Callable[[Background], None]
) -> None:
    """The copy that was being built is dropped, at the latest by the next run, which succeeds."""
    source.execute(_SLOW)
    before = target.contents()
    run = sandbox.start("migrate.yml", "--limit=sandbox")
    progress = "SELECT FROM pg_stat_progress_copy WHERE datname = '{}' AND bytes_processed > 0"
    wait_until(lambda: target.query(progress.format(target.staging.name)))
    break_off(run)
    rc, output = run.finish()
    assert rc != 0
    assert target.contents() == before
    if break_off is _interrupt:
        assert "data_restore: interrupted. What it has begun is being undone" in output
        # Ansible says something, too, before or after that.
        assert "data_restore was interrupted; the live database is as it was.\n" in output
    if break_off is not _kill:
        _assert_gone(run, target.staging)
        assert target.generations() == [target.name]
    source.execute(_QUICK)
    sandbox.migrate()
    assert target.contents() == source.contents()
    assert target.generations() == [target.name, target.previous.name]


def _largest(folder: Path) -> int:
    """Return the size of the largest file in a folder where files come and go."""
    return max((path.stat().st_size for path in folder.rglob("rows-*") if path.exists()), default=0)


def _assert_gone(run: Background, used: Database) -> None:
    """Make sure that no process of the run is alive, and the server has nobody in the database any more."""
    sessions = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
    # Processes die when they are told to, not before: this takes a moment, and no more than that.
    wait_until(lambda: not run.processes())
    with used.server.connect() as connection:
        wait_until(lambda: not connection.execute(sessions, (used.name,)).fetchall())
