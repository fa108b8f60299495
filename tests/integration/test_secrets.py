# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords show up nowhere, and what the environment says of PostgreSQL leads nobody elsewhere."""

from __future__ import annotations

import contextlib
import threading
import typing as t
from pathlib import Path

import pytest

from tests.databases import Database, role, untouched
from tests.playbooks import Controller, Run, command_lines

_CANARIES: t.Final = {"source": "canarySourceQ7", "target": "canaryTargetQ7"}
#: All of these would change where libpq connects to, or what it finds there.
_MISLEADING: t.Final = {
    "PGHOST": "nosuch.invalid",
    "PGHOSTADDR": "127.0.0.99",
    "PGPORT": "1",
    "PGDATABASE": "template1",
    "PGUSER": "nobody",
    "PGPASSWORD": "wrong",
    "PGPASSFILE": "/nonexistent",
    "PGSERVICE": "nosuch",
    "PGSERVICEFILE": "/nonexistent",
    "PGOPTIONS": "-c search_path=nowhere -c default_transaction_read_only=on -c statement_timeout=1",
    "PGSSLMODE": "verify-full",
    "PGCLIENTENCODING": "SQL_ASCII",
    "PGTZ": "Asia/Kathmandu",
}


@pytest.fixture
def guarded(sandbox: Controller, source: Database, target: Database) -> t.Iterator[Controller]:
    """Give a machine whose roles have passwords that can be found anywhere."""
    with contextlib.ExitStack() as stack:
        for side, server in (("source", source.server), ("target", target.server)):
            stack.enter_context(role(server, f"canary_{side}", "SUPERUSER", _CANARIES[side]))
            sandbox.vary(**{f"{side}_user": f"canary_{side}", f"{side}_password": _CANARIES[side]})
        yield sandbox
        # The roles can go only after what they own.
        for database in (target, target.previous):
            database.server.drop_database(database.name)


def test_passwords_show_up_nowhere(guarded: Controller, source: Database, target: Database) -> None:
    """Neither at the highest verbosity, nor on a command line, nor in any file that a run leaves."""
    home = guarded.folder / "home"
    home.mkdir()
    with _watched_command_lines() as seen:
        run = guarded.run("migrate.yml", "-vvvv", environment={"HOME": str(home)})
    assert run.rc == 0, run.output
    assert target.contents().replace("canary_target", "postgres") == source.contents()
    assert all(any(f"/{program} " in line for line in seen) for program in ("pg_dump", "psql"))
    _assert_hidden(run, guarded.folder, *seen)


def test_wrong_passwords_show_up_nowhere(guarded: Controller, source: Database, target: Database) -> None:
    """A refusal tells the user, and not what the user typed."""
    with source.server.connect() as one, target.server.connect() as other:
        one.execute("ALTER ROLE canary_source PASSWORD 'changed'")
        other.execute("ALTER ROLE canary_target PASSWORD 'changed'")
    with untouched(source, target):
        run = guarded.run("migrate.yml", "-vvvv")
    assert run.rc != 0
    assert run.message.count("password authentication failed") == 2
    _assert_hidden(run, guarded.folder)


def test_environment_does_not_lead_elsewhere(sandbox: Controller, source: Database, target: Database) -> None:
    """The inventory alone says where to connect, and the session's settings are ours."""
    run = sandbox.run(environment=_MISLEADING)
    assert run.rc == 0, run.output
    assert target.contents() == source.contents()


def _assert_hidden(run: Run, folder: Path, *more: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "inventory.json"]
    assert len(files) > 20, "the events, the run's folder"
    haystacks = [*more, run.output, repr(run.events), *(path.read_bytes().decode(errors="replace") for path in files)]
    for canary in _CANARIES.values():
        assert not [haystack for haystack in haystacks if canary in haystack]


@contextlib.contextmanager
def _watched_command_lines() -> t.Iterator[set[str]]:
    """Collect the command lines of all processes that run meanwhile."""
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            seen.update(command_lines().values())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()
