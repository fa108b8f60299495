# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The claim by itself: held by a process of its own, as long as another process lives."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.background import end_background
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.claim import TargetClaimedError, begin_to_claim
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.playbook_process import PlaybookProcess
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint

from tests.databases import Database, role
from tests.migration import endpoint
from tests.playbooks import wait_until


@pytest.fixture
def controller() -> t.Iterator[subprocess.Popen[bytes]]:
    """Give a process that lives until it is killed."""
    with subprocess.Popen(["sleep", "600"]) as process:  # noqa: S607 - the same in every distribution
        yield process
        process.kill()


@pytest.fixture
def live(target: Database) -> Endpoint:
    """Give the target as the engine knows it."""
    return endpoint("target", target.server, target.name)


def is_free(live: Endpoint, folder: Path) -> bool:
    """Return whether another run could claim the target; it lets go of it at once."""
    other = folder / "other"
    try:
        begin_to_claim(live, "other", other, os.getpid())()
    except TargetClaimedError:
        return False
    assert end_background(other)
    return True


def test_held_until_ended(live: Endpoint, tmp_path: Path) -> None:
    """One at a time on a database; another database of the server is another target."""
    begin_to_claim(live, "first", tmp_path / "first", os.getpid())()
    with pytest.raises(TargetClaimedError, match=r"^run first of role postgres from 127.0.0.1, since 2.* UTC"):
        begin_to_claim(live, "second", tmp_path / "second", os.getpid())()
    assert is_free(live.at("another"), tmp_path)
    assert end_background(tmp_path / "first")
    assert not end_background(tmp_path / "first"), "it is gone"
    assert is_free(live, tmp_path)


def claimant(lock_file: Path) -> PlaybookProcess:
    """Return the process that holds a claim; it is watched as the controller is."""
    return PlaybookProcess(int(lock_file.read_text(encoding="ascii")))


@pytest.mark.parametrize("waits", [True, False], ids=["the system tells", "looked for again and again"])
def test_held_until_controller_is_killed(
    live: Endpoint,
    tmp_path: Path,
    controller: subprocess.Popen[bytes],
    waits: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing has to be done for it; where the system can tell, not even its exit status has to be asked for."""
    if not waits:
        monkeypatch.delattr(os, "pidfd_open")
    begin_to_claim(live, "first", tmp_path / "first", controller.pid)()
    assert not is_free(live, tmp_path)
    controller.kill()
    if not waits:
        controller.wait()
        monkeypatch.undo()
    assert claimant(tmp_path / "first").has_ended(within=60)
    assert is_free(live, tmp_path)


def test_broken_connection_ends_it(
    live: Endpoint, target: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that holds nothing any more would be a lie."""
    monkeypatch.setattr("ansible_collections.pgconvoy.migrate.plugins.module_utils.run.held_session.ALIVE_SECONDS", 1)
    begin_to_claim(live, "first", tmp_path / "first", os.getpid())()
    target.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgconvoy first'")
    wait_until(lambda: is_free(live, tmp_path))
    assert claimant(tmp_path / "first").has_ended(within=60)


def test_role_that_may_not_enter_the_maintenance_database(live: Endpoint, target: Database, tmp_path: Path) -> None:
    """It cannot make databases, so it can only fill the live one, and has the claim there."""
    with role(target.server, "humble", "NOCREATEDB", "humbleSecret1"), target.server.connect() as administrator:
        administrator.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
        try:
            humble = dataclasses.replace(live, user="humble", password="humbleSecret1")
            begin_to_claim(humble, "first", tmp_path / "first", os.getpid())()
            with pytest.raises(TargetClaimedError, match=r"^run first of role humble"):
                begin_to_claim(humble, "second", tmp_path / "second", os.getpid())()
            assert end_background(tmp_path / "first")
        finally:
            administrator.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")


def test_server_that_cannot_be_asked(live: Endpoint, tmp_path: Path) -> None:
    """No claim is no claim, and the message is that of the maintenance database."""
    nobody = dataclasses.replace(live, user="nobody")
    with pytest.raises(MigrationError, match='Cannot connect to the target database "postgres"'):
        begin_to_claim(nobody, "first", tmp_path / "first", os.getpid())()
