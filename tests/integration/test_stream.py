# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs whose rows go straight from the source to the target."""

from __future__ import annotations

import os
import signal

from tests.databases import Database, untouched
from tests.integration.test_claim import halted
from tests.playbooks import Controller, wait_until


def is_left_alone(source: Database) -> bool:
    """Whether nobody holds a snapshot of the source any more."""
    with source.server.connect() as session:
        sessions = session.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (source.name,))
        return sessions.fetchone() == (0,)


def test_streamed_twice(sandbox: Controller, source: Database, target: Database) -> None:
    """Everything arrives, nothing of it lies on the disk, and a second run has nothing to do."""
    sandbox.vary(transfer="stream")
    run = sandbox.start("migrate.yml", "--limit=sandbox")
    rc, output = run.finish()
    assert rc == 0, output
    assert run.processes() == {}
    assert is_left_alone(source)
    assert target.contents() == source.contents()
    assert not sandbox.archive_root.exists()
    assert not [*sandbox.runs_root.rglob("*.copy")]
    with untouched(source, target):
        again = sandbox.migrate()
    assert again.stats["changed"] == {}


def test_report(sandbox: Controller, source: Database, target: Database) -> None:
    """It tells the way and why; each row is accounted for, by who sent it."""
    run = sandbox.migrate(extra={"transfer": "stream"})
    report = run.report("sandbox-db")
    assert report["transfer"] == {"way": "stream", "reason": "it is asked for"}
    assert report["archive"] is None
    # Beside what any run leaves (test_migrate.py).
    assert {"source", "snapshot"} <= {path.name for path in run.folders["sandbox-db"].iterdir()}
    assert report["ledger"]
    for entry in report["ledger"]:
        counts = {entry[f"{station}_rows"] for station in ("snapshot", "sent", "received", "target")}
        assert (entry["conserved"], len(counts)) == (True, 1), entry
    # Small databases are archived, unless it is said otherwise.
    source.execute("CREATE TABLE one_more (id int)")
    report = sandbox.migrate().report("sandbox-db")
    assert report["transfer"]["way"] == "archive"
    assert "an archive can be restored again" in report["transfer"]["reason"]
    # What a streaming run has kept is no archive.
    refused = sandbox.run(
        "playbooks/restore.yml", extra={"archive": str(run.folders["sandbox-db"] / "source" / "description")}
    )
    assert refused.rc != 0
    assert "There are no rows in it" in refused.message
    assert refused.report("sandbox-db")["status"] == "refused"


def test_streamed_in_place(sandbox: Controller, source: Database, target: Database) -> None:
    sandbox.vary(transfer="stream", load_mode="in_place")
    report = sandbox.migrate().report("sandbox-db")
    assert (report["status"], report["transfer"]["way"]) == ("migrated", "stream")
    assert all(entry["conserved"] for entry in report["ledger"])
    assert sorted(target.contents("--data-only").splitlines()) == sorted(source.contents("--data-only").splitlines())
    assert is_left_alone(source)
    assert sandbox.migrate().stats["changed"] == {}
    # The backup is an archive all the same.
    assert sandbox.run("playbooks/rollback.yml").rc == 0


def test_failure_lets_go(sandbox: Controller, source: Database, target: Database) -> None:
    """A row that the target refuses: the run fails, and neither staging nor the snapshot stay."""
    sandbox.vary(transfer="stream")
    source.execute("""
        CREATE FUNCTION rule() RETURNS boolean LANGUAGE sql IMMUTABLE AS
            $$ SELECT current_database() NOT LIKE '%pgconvoy_staging' $$;
        CREATE TABLE refused (id int CHECK (rule())); INSERT INTO refused VALUES (1);
    """)
    with untouched(source, target):
        run = sandbox.run()
    assert run.rc != 0
    assert "Cannot load the rows of table public.refused" in run.message
    wait_until(lambda: is_left_alone(source))


def test_killed_holder(sandbox: Controller, source: Database, target: Database) -> None:
    """The process that holds the snapshot is killed: the run says so, once, and leaves nothing."""
    sandbox.vary(transfer="stream")
    with untouched(target), halted(sandbox, source, target) as (run, run_id):
        folder = sandbox.runs_root / "sandbox-db" / run_id
        os.kill(int((folder / "snapshot").read_text(encoding="ascii")), signal.SIGKILL)
    with untouched(target):
        rc, output = run.finish()
    assert rc != 0
    assert "The snapshot of the source database" in output
    assert "is gone: the session that held it has ended" in output
    assert run.processes() == {}
    assert is_left_alone(source)


def test_killed_controller(sandbox: Controller, source: Database, target: Database) -> None:
    """Kill -9 of ansible-playbook alone: nobody holds the snapshot any more."""
    sandbox.vary(transfer="stream")
    with untouched(target), halted(sandbox, source, target) as (run, _):
        run.process.kill()
        run.finish()
        wait_until(lambda: run.processes() == {})
        # But for the client that has the stage halted.
        with source.server.connect() as session:
            ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgconvoy' AND datname = %s"
            wait_until(lambda: session.execute(ours, (source.name,)).fetchone() == (0,))


def test_some_tables(sandbox: Controller, source: Database, target: Database) -> None:
    """A schema that is kept, and rows of two tables that are streamed into it."""
    sandbox.migrate()
    source.execute("UPDATE item SET price = 9.99; UPDATE owner SET name = name || '!'")
    sandbox.vary(transfer="stream", include_tables=["item", "owner"])
    report = sandbox.migrate().report("sandbox-db")
    assert (report["status"], report["load_mode"], report["transfer"]["way"]) == ("migrated", "in_place", "stream")
    assert all(entry["conserved"] for entry in report["ledger"])
    assert sandbox.migrate().stats["changed"] == {}
