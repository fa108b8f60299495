# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs whose rows go straight from the source to the target."""

from __future__ import annotations

from tests.databases import Database, untouched
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
