# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The halves of a migration: a dump that is carried away and restored elsewhere, and the way back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.compression import SummedFile, unpack

from tests.databases import APPLICATION, BEFORE, Database, database, untouched
from tests.migration import prepare
from tests.playbooks import Controller, Run
from tests.servers import Servers


@dataclasses.dataclass(frozen=True)
class Dump:
    """An archive that the sandbox has made and that was carried away."""

    controller: Controller
    source: Database
    run: Run
    archive: Path


@pytest.fixture(scope="module")
def dump(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Dump]:
    """Dump the small source, packed, of which nobody is told later; only the sandbox reaches it."""
    folder = tmp_path_factory.mktemp("halves")
    controller = Controller(folder)
    with database(servers.source(), APPLICATION) as source:
        # A dump does without any target.
        controller.add_host("sandbox", source.variables("source"))
        run = controller.run("playbooks/dump.yml", extra={"archive_compression": "zstd"})
        assert run.rc == 0, run.output
        yield Dump(controller, source, run, Path(run.result("dump")["archive"]))


def test_dump_is_private_and_described(dump: Dump) -> None:
    """Nobody else can read it, and its manifest tells every file by size and digest, and every table by its rows."""
    assert dump.run.report("sandbox-db")["status"] == "dumped"
    assert dump.archive.stat().st_mode & 0o777 == 0o700
    assert dump.controller.archives() == [dump.archive]
    manifest = json.loads((dump.archive / "manifest.json").read_bytes())
    rows = {(table["schema"], table["name"]): table["rows"] for table in manifest["tables"]}
    assert rows == {("public", "owner"): 2, ("public", "item"): 3}
    described = [manifest["schema"], manifest["large_objects"], *(table["file"] for table in manifest["tables"])]
    assert [file.get("compression", "none") for file in described] == ["none", "zstd", "zstd", "zstd"]
    assert {file["name"] for file in described} | {"manifest.json"} == {path.name for path in dump.archive.iterdir()}
    for file in described:
        content = (dump.archive / file["name"]).read_bytes()
        assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    for path in dump.archive.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_dump_is_tied_to_no_machine(dump: Dump) -> None:
    """It names no server and no folder, and a role only where it tells what roles own and were granted."""
    server = dump.source.server
    for path in dump.archive.iterdir():
        with path.open("rb") as stream:
            content = b"".join(unpack(SummedFile(stream), "zstd" if path.suffix == ".zst" else "none"))
        for traitor in (server.host, str(server.port), server.password, str(dump.controller.folder)):
            assert traitor.encode() not in content, path
    manifest = json.loads((dump.archive / "manifest.json").read_bytes())
    assert server.user in json.dumps(manifest.pop("privileges"))
    # One value of IntervalStyle has the name of the role.
    assert manifest["database"].pop("in_force")
    assert server.user not in json.dumps(manifest)


def test_dump_restored_elsewhere(dump: Dump, servers: Servers, tmp_path: Path) -> None:
    """A copy of the archive is enough: restored to another group, verified there, undone and redone."""
    carried = tmp_path / "carried"
    shutil.copytree(dump.archive, carried)
    controller = Controller(tmp_path)
    with database(servers.target(), BEFORE) as target:
        before = target.contents()
        # No source at all: the archive stands for it.
        controller.add_host("production", target.variables("target"), confirm_answer="MIGRATE PRODUCTION")

        # As it is typed where it lies; a program that types it may not have told PWD so.
        options = ("--limit=production", f"--extra-vars=archive={carried.name}")
        restored = controller.start("playbooks/restore.yml", *options, cwd=carried.parent, environment={"PWD": "/"})
        rc, words = restored.finish()
        assert rc == 0, words
        assert "production-db: migrated" in words
        assert target.contents() == dump.source.contents()
        assert target.previous.contents() == before

        with untouched(target, target.previous):
            verified = controller.run("playbooks/verify.yml", limit="production", extra={"archive": str(carried)})
        assert verified.rc == 0, verified.output
        assert verified.stats["changed"] == {}
        assert verified.report("production-db")["status"] == "equal"

        back = controller.run("playbooks/rollback.yml", limit="production")
        assert back.rc == 0, back.output
        report = back.report("production-db")
        assert report["status"] == "rolled_back"
        assert (report["proof"]["read"], report["proof"]["unread"]) == (3, 0)
        assert f"live again, as database {report['proof']['oid']}; 3 of its 3 tables, " in back.output
        assert target.contents() == before
        assert target.previous.contents() == dump.source.contents()

        forth = controller.run("playbooks/rollback.yml", limit="production", extra={"archive": str(carried)})
        assert forth.rc == 0, forth.output
        assert forth.result("compare")["equal"]
        assert target.contents() == dump.source.contents()
        assert target.previous.contents() == before
        assert target.generations() == [target.name, target.previous.name]

        # It goes back all the same: what the archive holds is a question of its own.
        other = controller.run("playbooks/rollback.yml", limit="production", extra={"archive": str(carried)})
        assert other.rc != 0
        assert "table public.forgotten: " in other.message
        assert f'"{target.name}" was replaced' in other.message
        assert target.contents() == before


def test_rollback_to_what_cannot_be_used(sandbox: Controller, source: Database, target: Database) -> None:
    """It is found before anything changes places."""
    sandbox.migrate()
    with target.server.connect() as connection:
        connection.execute(f"ALTER DATABASE {target.previous.name} ALLOW_CONNECTIONS false")
    with untouched(source, target):
        run = sandbox.run("playbooks/rollback.yml")
    assert run.rc != 0
    assert run.report("sandbox-db")["status"] == "refused"
    assert f'database "{target.previous.name}": it cannot be used' in run.message
    assert "not currently accepting connections" in run.message


def test_rollback_without_previous_database(sandbox: Controller, source: Database, target: Database) -> None:
    """There is nothing to go back to, and the live database stays."""
    with untouched(source, target):
        message = sandbox.refuse("playbooks/rollback.yml")
    assert f'database "{target.previous.name}": there is none to go back to' in message


@pytest.mark.parametrize("noted", [True, False], ids=["goes-on", "anew"])
def test_restore_goes_on_where_a_killed_one_was(dump: Dump, servers: Servers, tmp_path: Path, noted: bool) -> None:
    """What it has left of the same archive is filled on, and both plan and report say so; or that it is not."""
    controller = Controller(tmp_path)
    with database(servers.target(), BEFORE) as target:
        controller.add_host("sandbox", target.variables("target"))
        killed = prepare(dump.source.server, dump.source.name, target.server, target.name, dump.archive)
        killed.preflight()
        killed.restore_schema()
        if not noted:
            with target.server.connect(killed.generations.staging) as connection:
                connection.execute('DROP SCHEMA "__pgconvoy_notes" CASCADE')
        run = controller.run("playbooks/restore.yml", limit="sandbox", extra={"archive": str(dump.archive)})
        assert run.rc == 0, run.output
        step = f"which run {killed.run_id} has left: the rows of 0 of "
        assert (step in str(run.result("preflight")["plan"])) is noted
        report = run.report("sandbox-db")
        assert (report["status"], report["resumed_from"]) == ("migrated", killed.run_id if noted else None)
        told = [finding["message"] for finding in report["findings"] if finding["code"] == "not-resumed"]
        assert [killed.run_id in message for message in told] == ([] if noted else [True])
        assert target.contents() == dump.source.contents()
