# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole migrations out of a container whose port is not published."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.container.route import open_route

from tests import corpus, oracle
from tests.containers import DatabaseContainer, Engine
from tests.databases import BEFORE, Database, database, untouched
from tests.migration import Migration, endpoint, run
from tests.playbooks import ROOT, Controller, wait_until
from tests.servers import Servers

_SAMPLE: t.Final = ROOT / "roles/lab/files/sigmasight.sql"
_WAITS: t.Final = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"


@pytest.fixture(scope="module")
def container(session_engine: Engine) -> t.Iterator[DatabaseContainer]:
    with session_engine.database("debian", name="backend-postgres-1") as started:
        yield started


@pytest.fixture
def railway(servers: Servers) -> t.Iterator[Database]:
    with database(servers.target(), BEFORE) as made:
        yield made


def test_incident(
    engine: Engine, container: DatabaseContainer, railway: Database, controller: Controller, tmp_path: Path
) -> None:
    """It arrives whole, twice, although the container was restarted in between; the report tells the way it came.

    Frozen or not: what freezes it has a way of its own.
    """
    container.server.create_database("sigmasight")
    container.server.run_sql_file(_SAMPLE, "sigmasight")
    # As group_vars/all sets it: a container outranks it.
    controller.add_host(
        "sandbox",
        container.variables("sigmasight"),
        railway.variables("target"),
        source_host="nowhere",
        downtime="short",
    )
    done = controller.migrate()
    oracle.assert_equal(container.server, "sigmasight", railway.server, railway.name)
    report = done.report("sandbox-db")
    way = "tunnel through docker exec (bash, 127.0.0.1)"
    assert (report["source"]["container"], report["source"]["way"]) == (container.name, way)
    assert report["freeze"]["ended_by"] == "run"
    page = (done.folders["sandbox-db"] / "report.html").read_text(encoding="utf-8")
    assert f"container {container.name}" in page
    assert way in page
    container.assert_unharmed()

    engine.run("restart", "--time=1", container.name)
    container.wait_until_ready()
    with container.server.connect("sigmasight") as connection:
        connection.execute("DELETE FROM position_greeks")
    with open_route(container.endpoint("sigmasight")) as reached:
        outcome = run(Migration(reached, endpoint("target", railway.server, railway.name), tmp_path / "archive"))
    assert outcome.status == "migrated", outcome
    oracle.assert_equal(container.server, "sigmasight", railway.server, railway.name)


def test_container_killed_during_the_dump(engine: Engine, railway: Database, controller: Controller) -> None:
    """The target stays as it was, no half archive, and the last lines say what happened."""
    with engine.database("debian") as container:
        container.server.create_database("sigmasight")
        container.server.run_sql_file(_SAMPLE, "sigmasight")
        query = {"name": "patience", "sql": "SELECT pg_advisory_lock_shared(7)::text", "expect": "same"}
        sides = container.variables("sigmasight"), railway.variables("target")
        controller.add_host("sandbox", *sides, verify_queries=[query])
        with untouched(railway), contextlib.closing(container.server.connect("sigmasight")) as connection:
            connection.execute("BEGIN; SELECT pg_advisory_xact_lock(7)")
            playbook = controller.start("migrate.yml", "--limit=sandbox")
            # Examined by now, and being read.
            wait_until(lambda: connection.execute(_WAITS).fetchall())
            engine.run("kill", container.name)
            rc, output = playbook.finish()
        assert rc != 0
        assert f"The container {container.name} is exited, with status 137" in output
        assert controller.archives() == []
        assert not playbook.processes()


@pytest.mark.parametrize("name", ["chinook", "northwind", "pagila", "pgcopydb_blobs", "sakila"])
def test_corpus(engine: Engine, container: DatabaseContainer, servers: Servers, name: str, tmp_path: Path) -> None:
    target = servers.target()
    corpus.load(container.server, name, name)
    with open_route(container.endpoint(name)) as reached:
        outcome = run(Migration(reached, endpoint("target", target, f"contained_{name}"), tmp_path / "archive"))
    assert outcome.status == "migrated", outcome
    oracle.assert_equal(container.server, name, target, f"contained_{name}")
    target.drop_database(f"contained_{name}")
    container.assert_unharmed()
