# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which databases source and target are: one and the same is refused, however it is hidden."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import NOBODY, server_command
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import Server
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import examine
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request

from tests import oracle
from tests.case import Case, new_case
from tests.migration import prepare
from tests.playbooks import wait_until
from tests.servers import PostgresServer, Servers


@pytest.fixture(scope="module")
def primary(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[PostgresServer]:
    """Give a server with nothing in it, which is soon copied."""
    model = servers.source()
    server = Server(tmp_path_factory.mktemp("primary"), model.bindir)
    server.create()
    server.start()
    assert server.port
    try:
        yield dataclasses.replace(model, server=server, port=server.port, password=server.password)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def replica(primary: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[PostgresServer]:
    """Give its physical replica."""
    server = Server(tmp_path_factory.mktemp("replica"), primary.bindir)
    shutil.copy(primary.server.password_file, server.password_file)
    data = server.folder / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        # pg_basebackup keeps the owner of what it is given, and the server runs as nobody.
        os.chown(data, NOBODY, NOBODY)
        os.chown(server.folder, NOBODY, NOBODY)
        for parent in server.folder.parents[:-2]:
            parent.chmod(0o755)
    command = [
        str(primary.bindir / "pg_basebackup"),
        "--pgdata",
        str(data),
        "--checkpoint=fast",
        "--write-recovery-conf",
    ]
    subprocess.run(server_command(command), env=primary.environment(), check=True, capture_output=True)
    server.start()
    assert server.port
    try:
        yield dataclasses.replace(primary, server=server, port=server.port)
    finally:
        server.stop()


@pytest.fixture
def case(primary: PostgresServer, servers: Servers) -> t.Iterator[Case]:
    """Give a case with a table."""
    with new_case(primary, servers.target(), "create table t(a int); insert into t values (1)") as made:
        yield made


def found(source: PostgresServer, source_db: str, target: PostgresServer, target_db: str) -> set[tuple[str, str]]:
    """Return severity and code of what preflight finds of the two sides' identity."""
    findings = prepare(source, source_db, target, target_db, Path("unused")).preflight().findings
    codes = {"same-database", "source-beside-target", "same-server"}
    return {(finding.severity, finding.code) for finding in findings if finding.code in codes}


def test_two_servers(case: Case) -> None:
    assert found(case.source, case.name, case.target, case.name) == set()
    assert case.migrate().status == "migrated"
    assert found(case.source, case.name, case.target, case.name) == set()


def test_another_database_of_the_server(case: Case) -> None:
    """It can be copied, and who does so may want to know."""
    assert found(case.source, case.name, case.source, "other") == {("notice", "same-server")}


def test_the_database_itself(case: Case) -> None:
    other_name = dataclasses.replace(case.source, host="localhost")
    assert found(case.source, case.name, other_name, case.name) == {("error", "same-database")}


@pytest.mark.parametrize("suffix", ["staging", "previous", "discarded", "scratch"])
def test_a_database_that_the_run_would_drop(case: Case, suffix: str) -> None:
    """To migrate from the previous database into the live one would end with neither."""
    beside = f"{case.name}__pgconvoy_{suffix}"
    with case.source.connect() as connection:
        connection.execute(f'ALTER DATABASE "{case.name}" RENAME TO "{beside}"'.encode())
    try:
        assert found(case.source, beside, case.source, case.name) == {("error", "source-beside-target")}
        assert beside in oracle.databases(case.source)
    finally:
        case.source.drop_database(beside)


def test_a_replica_as_source(case: Case, replica: PostgresServer) -> None:
    """It is the target's own database, though it shares no lock with it."""
    wait_for_replay(case, replica)
    assert found(replica, case.name, case.source, case.name) == {("error", "same-database")}
    assert found(replica, case.name, case.source, "other") == set()
    migration = prepare(replica, case.name, case.target, case.name, Path("unused"))
    assert [f.code for f in migration.preflight().findings if f.severity == "error"] == []
    case.run("create unlogged table fleeting(id int)")
    wait_for_replay(case, replica)
    errors = [(f.code, f.object) for f in migration.preflight().findings if f.severity == "error"]
    assert errors == [("replica-unlogged", "table public.fleeting")]


def test_a_replica_as_target(case: Case, replica: PostgresServer) -> None:
    """Nothing can be written there."""
    wait_for_replay(case, replica)
    findings = prepare(case.source, case.name, replica, "other", Path("unused")).preflight().findings
    assert ("error", "target-replica") in {(finding.severity, finding.code) for finding in findings}
    findings = prepare(case.source, case.name, case.target, "other", Path("unused")).preflight().findings
    assert "target-replica" not in {finding.code for finding in findings}


def test_a_replica_is_compared(case: Case, replica: PostgresServer) -> None:
    """A verdict writes nothing; and what only a restore needs is not asked for."""
    case.run("create table compared(id int primary key); insert into compared values (1)")
    wait_for_replay(case, replica)
    migration = prepare(case.source, case.name, replica, case.name, Path("unused"))
    found = examine(Request(migration.source, migration.target, "verify"))
    assert {f.code for f in found.findings if f.severity == "error"} <= {"same-database"}
    migration.tools = found.tools
    assert migration.compare().equal
    assert found.target_readable


def test_a_clone(case: Case, replica: PostgresServer) -> None:
    """A replica that was promoted has gone its own way, though it has the same identifier."""
    wait_for_replay(case, replica)
    with replica.connect() as connection:
        assert connection.execute("SELECT pg_promote()").fetchone() == (True,)
    assert found(replica, case.name, case.source, case.name) == set()


def wait_for_replay(case: Case, replica: PostgresServer) -> None:
    """Wait until the replica has all that the source has written."""
    with case.source.connect() as primary, replica.connect() as standby:
        row = primary.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        assert row
        wait_until(lambda: standby.execute("SELECT pg_last_wal_replay_lsn() >= %s", row).fetchone() == (True,))
