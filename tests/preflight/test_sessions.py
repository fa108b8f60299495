# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Poolers and other ways in which a session is not one, and settings that the client tools must be given."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import subprocess
import tempfile
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import server_command
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.session import check_session
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint, connect

from tests.case import execute, new_case
from tests.migration import endpoint, prepare, run
from tests.playbooks import wait_until
from tests.servers import PostgresServer, Servers

_SETTINGS: t.Final = """
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
{more}
"""


@contextlib.contextmanager
def pgbouncer(server: PostgresServer, mode: str, *, size: int = 20, more: str = "") -> t.Iterator[int]:
    """Give the port of a PgBouncer before a server."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen_port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pgconvoy-pgbouncer-") as folder:
        Path(folder).chmod(0o755)
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(
                host=server.host,
                port=server.port,
                user=server.user,
                password=server.password,
                listen_port=listen_port,
                mode=mode,
                size=size,
                more=more,
            ),
            encoding="utf-8",
        )
        process = subprocess.Popen(
            server_command([program, "--quiet", str(settings)]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_until(lambda: _answers(listen_port))
            yield listen_port
        finally:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    with (
        contextlib.suppress(psycopg.OperationalError),
        psycopg.connect(host="127.0.0.1", port=port, dbname="postgres", user="anybody", sslmode="disable"),
    ):
        return True
    return False


def codes(at: Endpoint) -> list[str]:
    with contextlib.closing(connect(at)) as session:
        return [finding.code for finding in check_session(at, session, lambda: connect(at))]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(("mode", "size"), [("transaction", 20), ("transaction", 1), ("statement", 20)])
def test_pooler_by_transaction(servers: Servers, side: t.Literal["source", "target"], mode: str, size: int) -> None:
    """A setting would hold for whoever gets the server's process next, and not for us."""
    with pgbouncer(servers.source(), mode, size=size) as port:
        at = dataclasses.replace(endpoint(side, servers.source(), "postgres"), port=port)
        with contextlib.closing(connect(at)) as session:
            (finding,) = check_session(at, session, lambda: connect(at))
        assert finding.code == "pooler"
        assert f"{side}_host" in finding.remedy
        assert "DATABASE_PUBLIC_UNPOOLED_URL" in finding.remedy


def test_pooler_that_takes_turns(servers: Servers) -> None:
    """With two processes at hand each statement comes to the other one, and every second one to the first."""
    with pgbouncer(servers.source(), "transaction", more="server_round_robin = 1") as port:
        at = dataclasses.replace(endpoint("source", servers.source(), "postgres"), port=port)
        with connect(at) as first, connect(at) as second, first.transaction(), second.transaction():
            first.execute("SELECT")
            second.execute("SELECT")
        assert codes(at) == ["pooler"]


def test_pooler_by_session(servers: Servers, tmp_path: Path) -> None:
    """It takes nothing away; the client tools must not need what it refuses."""
    with new_case(servers.source(), servers.target(), "create table t(a int); insert into t values (1)") as case:
        with pgbouncer(servers.source(), "session") as port:
            migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
            migration.source = dataclasses.replace(migration.source, port=port)
            outcome = run(migration)
        assert outcome.status == "migrated", outcome
        assert case.ask("select count(*) from t") == 1


def test_pooler_beside_odd_settings(servers: Servers, tmp_path: Path) -> None:
    """Under this setting pg_dump would word definitions in another way, if it came in by its own session."""
    with new_case(servers.source(), servers.target(), "create table t(a int)") as case:
        execute(case.source, "postgres", f"alter database {case.name} set quote_all_identifiers = on")
        with pgbouncer(case.source, "session") as port:
            migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
            migration.source = dataclasses.replace(migration.source, port=port)
            assert run(migration).status == "migrated"


def test_load_balancer(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that end on different servers share no snapshot."""
    here, there = endpoint("source", servers.source(), "postgres"), endpoint("source", servers.target(), "postgres")
    turns = iter([here, there])
    module = "ansible_collections.pgconvoy.migrate.plugins.module_utils"

    def connect_in_turn(at: Endpoint) -> t.Any:
        return connect(next(turns))

    monkeypatch.setattr(f"{module}.catalog.snapshot.connect", connect_in_turn)
    with contextlib.closing(connect_in_turn(here)) as session:
        assert [finding.code for finding in check_session(here, session, lambda: connect_in_turn(here))] == ["snapshot"]


def test_direct(servers: Servers) -> None:
    for server in (servers.source(), servers.target("15")):
        assert codes(endpoint("source", server, "postgres")) == []


def test_user_whose_sessions_take_another_role(servers: Servers) -> None:
    """What it lacks, the other one lacks: who is told to GRANT something must know to whom."""
    with new_case(servers.source(), servers.target(), "create table t(a int)") as case:
        case.make_roles()
        role, other = f"{case.name}_role", f"{case.name}_x"
        execute(case.source, "postgres", f"create role {other}; grant {other} to {role}")
        try:
            execute(case.source, "postgres", f"alter role {role} set role = {other}")
            found = [f for f in case.examine() if f.code in ("own-role", "not-readable")]
            assert [(f.code, f.object) for f in found] == [
                ("own-role", f"role {role}"),
                ("not-readable", "table public.t"),
            ]
            assert f"the source user has the rights of {other}" in found[0].message
        finally:
            execute(case.source, "postgres", f"alter role {role} reset role; drop role {other}")


def test_second_session_that_is_refused(servers: Servers) -> None:
    with new_case(servers.source(), servers.target(), "create table t(a int)") as case:
        case.make_roles("LOGIN CONNECTION LIMIT 1")
        at = endpoint("source", case.source, case.name, case.source_user)
        with contextlib.closing(connect(at)) as session:
            (finding,) = check_session(at, session, lambda: connect(at))
        assert finding.code == "no-connection"
        assert "too many connections for role" in finding.message
