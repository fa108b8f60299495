# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: one message that says what, where and what to do, and both sides as they were."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import typing as t
from pathlib import Path

import pytest

from tests.databases import BEFORE, Database, database, role, untouched
from tests.playbooks import Controller
from tests.servers import Servers

#: A name that no resolver knows (RFC 2606).
_NOWHERE: t.Final = "nosuch.invalid"


def test_wrong_passwords(sandbox: Controller, source: Database, target: Database) -> None:
    """Both sides are examined before the run gives up, and told in one message."""
    sandbox.vary(source_password="wrongSource1", target_password="wrongTarget1")
    with untouched(source, target):
        message = sandbox.refuse()
    for side, wrong in (("source", source), ("target", target)):
        assert f'Cannot connect to the {side} database "' in message
        assert f"at {wrong.server.host}:{wrong.server.port} as {wrong.server.user}: " in message
        assert f"{side}_password" in message
    assert message.count("password authentication failed") == 2
    assert message.count("Nothing was changed.") == 1


@pytest.mark.parametrize("name", ["source_dbname", "target_dbname"])
def test_empty_name(sandbox: Controller, source: Database, target: Database, name: str) -> None:
    """As of a variable that a script has not set: libpq would enter the database that is called as the user is."""
    with untouched(source, target):
        message = sandbox.refuse(extra={name: "", "load_mode": "in_place"})
    assert f"Empty, and no default would be right: {name}." in message


def test_wrong_ports(sandbox: Controller, source: Database, target: Database) -> None:
    """Nobody listens there."""
    port = _free_port()
    sandbox.vary(source_port=port, target_port=port)
    with untouched(source, target):
        message = sandbox.refuse()
    assert message.count(f'127.0.0.1", port {port} failed: Connection refused') == 2
    assert "source_port" in message
    assert "target_port" in message


def test_wrong_host_and_remote_host_without_tls(sandbox: Controller, source: Database, target: Database) -> None:
    """A host that is not this machine is reached by TLS or not at all."""
    sandbox.vary(source_host=_NOWHERE, source_sslmode=None, target_host=_NOWHERE, target_sslmode="disable")
    with untouched(source, target):
        message = sandbox.refuse()
    assert f"failed to resolve host '{_NOWHERE}'" in message
    assert "Check source_host" in message
    assert f"at {_NOWHERE}:{target.server.port}: target_sslmode is 'disable', but the host is remote" in message
    assert "Set target_sslmode to one of require, verify-ca, verify-full" in message
    # No attempt was made to reach it.
    assert message.count("failed to resolve") == 1


def test_wrong_database_on_the_source(sandbox: Controller, source: Database, target: Database) -> None:
    """On the target it would be made; the source must be there."""
    sandbox.vary(source_dbname="misspelt")
    with untouched(source, target):
        message = sandbox.refuse()
    assert 'Cannot connect to the source database "misspelt"' in message
    assert 'database "misspelt" does not exist' in message
    assert "source_dbname" in message


def test_source_is_target(sandbox: Controller, source: Database, target: Database) -> None:
    """Two names of one database do not make two of it."""
    sandbox.vary(**source.variables("target") | {"target_host": "localhost"})
    with untouched(source, target):
        message = sandbox.refuse()
    assert f'target database "{source.name}" at localhost:{source.server.port}: it is the source itself' in message
    assert "Correct target_host, target_port and target_dbname" in message


@pytest.mark.parametrize("name", ["postgres", "template1"])
def test_server_s_own_database_as_target(sandbox: Controller, source: Database, name: str) -> None:
    """Replacing it would lame the server."""
    own = Database(source.server, name)
    sandbox.vary(target_dbname=name)
    with untouched(source, own):
        message = sandbox.refuse()
    assert f'database "{name}": it is the server\'s own and cannot be replaced' in message
    assert "target_dbname" in message


def test_undefined_variable(sandbox: Controller, source: Database, target: Database) -> None:
    """The variable's name is told, and no side is reached."""
    sandbox.vary(source_host=None)
    with untouched(source, target):
        message = sandbox.refuse()
    assert "'source_host' is undefined" in message


def test_empty_source(sandbox: Controller, source: Database, target: Database) -> None:
    """An empty copy of nothing is never what was meant."""
    with database(source.server, "") as empty, untouched(empty, target):
        sandbox.vary(source_dbname=empty.name)
        message = sandbox.refuse()
    assert f'database "{empty.name}": the source holds no table, view or sequence at all' in message
    assert "Check source_dbname and source_port" in message


def test_extension_that_the_target_lacks(servers: Servers, sandbox: Controller, source: Database) -> None:
    """The wheel of 16 brings no extension at all."""
    source.execute("CREATE EXTENSION citext")
    with database(servers.target("16"), BEFORE) as bare, untouched(source, bare):
        sandbox.vary(**bare.variables("target"))
        message = sandbox.refuse()
    assert "extension citext: the target's server refuses to make it: ERROR 0A000" in message
    assert "Install it on the target's server" in message


def test_role_that_may_not_create_databases(sandbox: Controller, source: Database, target: Database) -> None:
    """The administrator is told what to grant."""
    with role(target.server, "humble", "NOCREATEDB", "humbleSecret1"), untouched(source, target):
        sandbox.vary(target_user="humble", target_password="humbleSecret1")
        message = sandbox.refuse()
    assert "role humble: it may not create databases on the target" in message
    assert 'ALTER ROLE "humble" CREATEDB' in message
    # All findings at once.
    assert f'database "{target.name}": it belongs to postgres, and humble may not rename it' in message


def test_run_of_production_and_sandbox_at_once(sandbox: Controller, source: Database, target: Database) -> None:
    """Without -l, nobody has said that production is meant."""
    sandbox.add_host("production", source.variables("source"), target.variables("target"))
    with untouched(source, target):
        message = sandbox.refuse(limit="", extra={"confirm_answer": "MIGRATE PRODUCTION"})
    assert "This run would touch production and another group at once. Say which with -l" in message


@pytest.fixture
def archive(sandbox: Controller, tmp_path: Path) -> Path:
    """Give a copy of an archive of the small source."""
    dumped = sandbox.run("playbooks/dump.yml")
    assert dumped.rc == 0, dumped.output
    copy = tmp_path / "copy"
    shutil.move(dumped.result("dump")["archive"], copy)
    return copy


def test_damaged_archive(sandbox: Controller, source: Database, target: Database, archive: Path) -> None:
    """Every file that is missing, altered or foreign is named."""
    missing, altered = sorted(archive.glob("*.copy"))[:2]
    missing.unlink()
    altered.write_bytes(altered.read_bytes().replace(b"1", b"2", 1))
    (archive / "notes.txt").touch()
    with untouched(source, target):
        message = sandbox.refuse("playbooks/restore.yml", extra={"archive": str(archive)})
    assert f"The archive {archive} is not as it was written" in message
    assert f"{missing.name} is missing" in message
    assert f"{altered.name} was altered" in message
    assert "notes.txt does not belong to it" in message
    assert "Dump again" in message


def test_archive_that_is_not_there(sandbox: Controller, source: Database, target: Database, tmp_path: Path) -> None:
    """The path is told, and what belongs there."""
    with untouched(source, target):
        message = sandbox.refuse("playbooks/restore.yml", extra={"archive": str(tmp_path / "nothing")})
    assert f"{tmp_path}/nothing/manifest.json: No such file or directory" in message
    assert "Name the folder of a complete archive" in message


def test_no_archive_named(sandbox: Controller, source: Database, target: Database) -> None:
    """A restore of nothing is refused before anything is reached."""
    with untouched(source, target):
        message = sandbox.refuse("playbooks/restore.yml")
    assert "missing required arguments: archive" in message


@pytest.fixture
def tiny_disk(tmp_path: Path) -> t.Iterator[Path]:
    """Give a folder on a disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "pgconvoy-test", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S607 - the same in every distribution


def test_no_space_left(sandbox: Controller, source: Database, target: Database, tiny_disk: Path) -> None:
    """What was written is removed again; values that are compressed take more room in an archive."""
    source.execute("CREATE TABLE big AS SELECT repeat('x', 300000) FROM generate_series(1, 3)")
    sandbox.vary(archive_root=str(tiny_disk))
    with untouched(source, target):
        run = sandbox.run()
    assert run.rc != 0
    assert f"Cannot write the archive {tiny_disk}/sandbox-db/" in run.message
    assert "No space left on device" in run.message
    assert "Free some space or point archive_root elsewhere" in run.message
    assert list(tiny_disk.glob("*/*")) == []
    assert run.report("sandbox-db")["status"] == "failed"


def test_row_that_the_target_refuses(sandbox: Controller, source: Database, target: Database) -> None:
    """The server's message arrives with table, line and column; the value is nobody else's business."""
    source.execute("""
        CREATE FUNCTION fits(int) RETURNS bool LANGUAGE sql
            AS $$ SELECT $1 <> 20 OR current_database() NOT LIKE '%pgconvoy_staging' $$;
        CREATE DOMAIN fitting AS int CHECK (fits(VALUE));
        CREATE TABLE strict (id int, amount fitting);
        INSERT INTO strict VALUES (1, 10), (2, 20), (3, 30);
    """)
    with untouched(source, target):
        run = sandbox.run()
    assert run.rc != 0
    assert "Cannot load the rows of table public.strict: ERROR 23514" in run.message
    assert 'value for domain fitting violates check constraint "fitting_check"' in run.message
    assert "COPY strict, line 2, column amount" in run.message
    assert "20" not in run.message.partition("COPY strict")[2].splitlines()[0]
    assert run.report("sandbox-db")["status"] == "failed"


@pytest.mark.parametrize(
    ("statements", "object_", "reason"),
    [
        pytest.param(
            "CREATE INDEX broken ON item (inverse(price))", "index public.broken", "division by zero", id="index"
        ),
        pytest.param(
            "CREATE MATERIALIZED VIEW broken AS SELECT inverse(price) FROM item",
            "materialized view public.broken",
            "division by zero",
            id="materialized view",
        ),
    ],
)
def test_object_that_cannot_be_made(
    sandbox: Controller, source: Database, target: Database, statements: str, object_: str, reason: str
) -> None:
    """No error is tolerated: a copy without it would not be one. On the source nothing tells that it will fail."""
    source.execute("""
        CREATE FUNCTION inverse(numeric) RETURNS numeric IMMUTABLE LANGUAGE sql
        AS $$ SELECT 1 / ($1 + CASE WHEN current_database() LIKE '%pgconvoy_staging' THEN 3 ELSE 99 END) $$
    """)
    source.execute(statements)
    with untouched(source, target):
        run = sandbox.run()
    assert run.rc != 0
    assert object_ in run.message
    assert reason in run.message
    assert run.report("sandbox-db")["status"] == "failed"


def test_client_on_the_live_database(sandbox: Controller, source: Database, target: Database) -> None:
    """It is named and left alone, unless it may be disconnected."""
    with contextlib.closing(target.server.connect(target.name)) as client:
        client.execute("SET application_name = 'till 7'")
        with untouched(source, target):
            refused = sandbox.run()
        client.execute("SELECT")
        assert refused.rc != 0
        assert "The switch did not happen, and the live database is as it was" in refused.message
        assert f"session {client.info.backend_pid} of postgres from 127.0.0.1" in refused.message
        assert f'(till 7) in "{target.name}"' in refused.message
        assert "set switch_disconnects_clients to have their sessions ended" in refused.message
        sandbox.migrate({"switch_disconnects_clients": True})
    assert target.contents() == source.contents()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
