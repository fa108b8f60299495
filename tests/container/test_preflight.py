# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever stands between us and a container's server is a finding of its own, with what to do about it."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.container.engine import Container
from ansible_collections.pgconvoy.migrate.plugins.module_utils.container.relay import Survey, _explain
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import examine
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint

from tests.containers import RECIPES, DatabaseContainer, Engine

_SOMEWHERE: t.Final = Endpoint("source", "", 5432, "app", "app", container="backend-postgres-1")


@pytest.fixture(scope="module")
def database(session_engine: Engine) -> t.Iterator[DatabaseContainer]:
    with session_engine.database("debian", port=5433) as started:
        yield started


def check(endpoint: Endpoint, code: str, message: str, remedy: str) -> None:
    """Make sure that preflight's one finding is this, with the target's beside it."""
    nowhere = Endpoint("target", "127.0.0.1", 1, "app", "app")
    container, target = examine(Request(endpoint, nowhere)).findings
    assert (container.severity, container.code) == ("error", code), container
    assert container.object == f"container {endpoint.container}"
    assert re.search(message, container.message), container
    assert re.search(remedy, container.remedy), container
    assert target.code == "no-connection", "all findings at once"


def test_no_engine_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    check(_SOMEWHERE, "engine-missing", "neither docker nor podman is installed", "Install .* source_host")


def test_engine_does_not_run(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    # Without podman, which may be installed here and has an answer of its own.
    (tmp_path / "docker").symlink_to(engine.program)
    monkeypatch.setenv("PATH", str(tmp_path))
    check(_SOMEWHERE, "engine-down", "docker says: Cannot connect to the Docker daemon", "DOCKER_HOST")


def test_no_such_container(engine: Engine) -> None:
    with engine.sleeper("backend-postgres-1"):
        for wanted in ("backend-postgres", "backend_postgres_1"):
            endpoint = dataclasses.replace(_SOMEWHERE, container=wanted)
            check(endpoint, "no-container", "no such container", r"Is it backend-postgres-1\?")
        with engine.sleeper("other-postgres-1"):
            endpoint = dataclasses.replace(_SOMEWHERE, container="postgres")
            check(endpoint, "no-container", "", "Several .*: backend-postgres-1, other-postgres-1")
            endpoint = dataclasses.replace(_SOMEWHERE, container="xyz")
            check(endpoint, "no-container", "", "Those that there are: .*backend-postgres-1")


def test_container_that_does_not_run(engine: Engine) -> None:
    with engine.sleeper("backend-postgres-1"):
        engine.run("pause", "backend-postgres-1")
        check(_SOMEWHERE, "container-paused", "is paused", "docker unpause backend-postgres-1")
        engine.run("unpause", "backend-postgres-1")
        engine.run("kill", "backend-postgres-1")
        check(_SOMEWHERE, "container-exited", "is exited with status 137", "docker start backend-postgres-1")


def test_no_server_inside(engine: Engine) -> None:
    with engine.sleeper("backend-postgres-1"):
        check(_SOMEWHERE, "container-no-server", "No PostgreSQL server runs in it", "docker logs backend-postgres-1")
        busybox = str(RECIPES["alpine"]().programs[0])
        engine.run("exec", "--user=0", "backend-postgres-1", busybox, "rm", "/bin/sh")
        check(_SOMEWHERE, "container-no-shell", "No program can be run in it: .*sh", "source_host")


def test_no_program_that_relays() -> None:
    """A shell without cat, say."""
    survey = Survey(frozenset({"bash"}), frozenset(), server_runs=True)
    error = _explain(Container("docker", "", "c"), survey, 5432, [])
    assert (error.code, error.message) == (
        "container-no-relay",
        "No program inside can relay a connection to its server.",
    )
    assert "bash, perl, python3, socat, or nc" in error.remedy


def test_server_on_another_port(engine: Engine, database: DatabaseContainer) -> None:
    endpoint = dataclasses.replace(database.endpoint(), port=5432)
    check(endpoint, "container-other-port", "listens on port 5433, not on 5432", "Set source_port")


def test_server_not_ready(engine: Engine) -> None:
    """A standby that follows nobody lets nobody in."""
    with engine.database("debian", "hot_standby=off") as container:
        engine.run("exec", container.name, "sh", "-c", 'echo >"$PGDATA/standby.signal"')
        engine.run("restart", "--time=0", container.name)
        check(container.endpoint(), "container-not-ready", "is not ready: ", f"docker logs {container.name}")


def test_login_refused(engine: Engine, database: DatabaseContainer) -> None:
    endpoint = database.endpoint()
    missing = dataclasses.replace(endpoint, dbname="nowhere")
    check(missing, "container-database", 'database "nowhere" does not exist', "The server has: postgres")
    stranger = dataclasses.replace(endpoint, user="stranger")
    check(stranger, "container-login", 'refuses user "stranger": .*authentication failed', "source_user")
    mistyped = database.endpoint(password="wrongSecret1")
    check(mistyped, "container-login", "password authentication failed", "source_password")
    forgotten = database.endpoint(password="")
    check(forgotten, "container-login", "no password supplied", "source_password")
    database.assert_unharmed()
