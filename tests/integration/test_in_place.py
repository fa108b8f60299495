# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in place: the live database itself is replaced, backed up before, and can be taken back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests import corpus
from tests.databases import APPLICATION, BEFORE, Database, database, role, untouched
from tests.integration.test_gate import _PHRASE
from tests.integration.test_migrate import _PARTIAL, _SAMPLE
from tests.playbooks import Controller, wait_until
from tests.servers import Servers


@pytest.fixture
def place(sandbox: Controller) -> Controller:
    """Give a machine whose sandbox is filled in place."""
    sandbox.vary(load_mode="in_place")
    return sandbox


def identity(live: Database) -> object:
    """Return what the database is, apart from what it holds."""
    with live.server.connect() as session:
        return session.execute(
            "SELECT oid, datdba, datacl::text, datconnlimit FROM pg_database WHERE datname = %s", (live.name,)
        ).fetchone()


def test_incident_in_place_and_back(servers: Servers, controller: Controller) -> None:
    """All rows this time; what was there before comes back, from a backup that is packed, and goes again."""
    with database(servers.source(), "") as source, database(servers.target(), "") as target:
        for side in (source, target):
            side.server.run_sql_file(_SAMPLE, side.name)
        target.execute(_PARTIAL)
        target.execute(f"GRANT CREATE ON DATABASE {target.name} TO pg_monitor")
        before, itself, wanted = target.contents(), identity(target), corpus.fingerprint(source.server, source.name)
        how = {"load_mode": "in_place", "archive_compression": "zstd"}
        controller.add_host("sandbox", source.variables("source"), target.variables("target"), **how)

        run = controller.migrate()
        assert corpus.fingerprint(target.server, target.name) == wanted
        assert target.contents("--data-only") == source.contents("--data-only")
        assert identity(target) == itself
        assert target.generations() == [target.name]
        report = run.report("sandbox-db")
        assert (report["status"], report["load_mode"], report["live"]) == ("migrated", "in_place", target.name)
        assert {table["name"]: table["target_rows"] for table in report["tables"]}["position_factor_exposures"] == 29262
        assert all(entry["conserved"] for entry in report["ledger"])
        assert len(report["ledger"]) == 21
        assert run.result("backup") | {"changed": True} == run.result("backup")
        assert run.result("backup")["restored"] is True
        assert run.result("backup")["archive"] == report["backup"]
        assert {path.suffix for path in Path(report["backup"]).glob("rows-*")} == {".zst"}

        with untouched(source, target):
            assert controller.migrate().stats["changed"] == {}

        # After one restore, definitions are worded as the target's server words them; the rows are as they were.
        after = target.contents()
        back = controller.run("playbooks/rollback.yml")
        assert back.rc == 0, back.output
        assert back.report("sandbox-db")["status"] == "rolled_back"
        assert rows(target.contents()) == rows(before)
        assert identity(target) == itself
        # The undo of the undo: not the backup that was taken first, but the one that differs from what is live.
        again = controller.run("playbooks/rollback.yml")
        assert again.rc == 0, again.output
        assert target.contents() == after


def rows(contents: str) -> list[str]:
    """Return the part of a dump that holds rows, positions of sequences and large objects."""
    return sorted(part for part in contents.split("\n--\n-- ") if "; Type: TABLE DATA;" in part or "setval" in part)


def test_check_mode_shows_the_plan(place: Controller, source: Database, target: Database) -> None:
    with untouched(source, target):
        run = place.run("migrate.yml", "--check", "--diff")
    assert run.rc == 0, run.output
    assert run.stats["changed"] == {"sandbox-db": 3}, "dump, backup, replace"
    assert not place.archive_root.exists()
    assert "\n-table public.forgotten: 1 rows" in run.output
    plan = run.result("preflight")["plan"]
    assert plan[1:] == [
        f'back up "{target.name}" into an archive, the undo',
        f'clear "{target.name}" and fill it, in a transaction that is committed if it equals the source',
    ]


def test_the_mode_is_chosen_and_told(servers: Servers, controller: Controller) -> None:
    """A role that may create no databases; its database is filled in place, and nothing beside it is made."""
    with (
        role(servers.target(), "lodger", "", "lodgerSecret1"),
        database(servers.source(), APPLICATION) as source,
        database(servers.target(), "") as target,
    ):
        target.execute(f"ALTER DATABASE {target.name} OWNER TO lodger; SET ROLE lodger; {BEFORE}")
        lodger: dict[str, str | int] = {"target_user": "lodger", "target_password": "lodgerSecret1"}
        controller.add_host("sandbox", source.variables("source"), target.variables("target") | lodger)
        run = controller.migrate()
        assert target.contents() == source.contents().replace("Owner: postgres", "Owner: lodger").replace(
            "OWNER TO postgres", "OWNER TO lodger"
        )
        told = [
            finding["message"] for finding in run.report("sandbox-db")["findings"] if finding["code"] == "load-mode"
        ]
        assert len(told) == 1
        assert "it is filled in place" in told[0]
        assert "role lodger: it may not create databases" in told[0]
        # The archive of what was there could only be read.
        assert run.result("backup")["restored"] is False
        assert controller.migrate().stats["changed"] == {}
        verified = controller.run("playbooks/verify.yml")
        assert verified.report("sandbox-db")["status"] == "equal"


def test_failure_leaves_all_as_it_was(place: Controller, source: Database, target: Database) -> None:
    """A verdict that is not equal, as a query of the user's makes it."""
    place.vary(verify_queries=[{"name": "owners", "sql": "SELECT count(*) FROM owner", "expect": "3"}])
    with untouched(source, target):
        run = place.run()
    assert run.rc != 0
    assert "query owners: '3' expected, '2' on the target" in run.message
    assert "The live database was not touched." in run.message
    report = run.report("sandbox-db")
    assert (report["status"], report["live"]) == ("failed", None)
    assert [error["stage"] for error in report["errors"]] == ["replace"]
    # It has left a backup of what is live: that is nothing to go back to.
    with untouched(target):
        assert "There is nothing to go back to" in place.run("playbooks/rollback.yml").message


def test_module_is_a_gate_by_itself(controller: Controller, source: Database, target: Database) -> None:
    """Where the role confirm was talked out of asking, the module that replaces still refuses."""
    controller.add_host("production", source.variables("source"), target.variables("target"), load_mode="in_place")
    with untouched(source, target):
        none = dict.fromkeys(("confirm_wanted", "replace_confirm_phrase"), "")
        run = controller.run(limit="production", extra=none)
    assert run.rc != 0
    assert f'the phrase "{_PHRASE}" was not typed' in run.message
    assert run.report("production-db")["errors"][0]["stage"] == "replace"


def test_restore_in_place(place: Controller, source: Database, target: Database) -> None:
    """An archive that was dumped before goes the same way."""
    dumped = place.run("playbooks/dump.yml")
    archive = dumped.result("dump")["archive"]
    run = place.run("playbooks/restore.yml", extra={"archive": archive})
    assert run.rc == 0, run.output
    assert target.contents() == source.contents()
    report = run.report("sandbox-db")
    assert report["load_mode"] == "in_place"
    assert {entry["name"]: entry["received_rows"] for entry in report["ledger"]} == {"owner": 2, "item": 3, "empty": 0}


def test_no_backup_to_go_back_to(place: Controller, source: Database, target: Database) -> None:
    with untouched(source, target):
        message = place.refuse("playbooks/rollback.yml")
    assert f'database "{target.name}__pgconvoy_previous": there is none to go back to' in message
    assert "name the backup of a run in place, or any archive, with -e archive=PATH" in message


@pytest.mark.parametrize("selection", [None, ["owner"]], ids=["replaced", "refilled"])
def test_what_clients_write_meanwhile(
    place: Controller, source: Database, target: Database, selection: list[str] | None
) -> None:
    """Begun before the backup, committed when the run waits for the table: neither the backup nor the copy has it."""
    target.execute("DROP TABLE item, forgotten; ALTER TABLE owner ADD favourite int")
    if selection:
        source.execute("ALTER TABLE owner DROP CONSTRAINT owner_favourite_fkey")
        place.vary(include_tables=selection, load_mode=None)
    with target.server.connect(target.name) as client, target.server.connect() as witness:
        client.execute("BEGIN; INSERT INTO owner VALUES (7, 'written meanwhile')")

        def commit() -> None:
            wait_until(lambda: witness.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall())
            client.execute("COMMIT")

        thread = threading.Thread(target=commit)
        thread.start()
        run = place.run()
        thread.join()
    assert run.rc != 0
    assert "clients have changed it, and what they wrote would be lost: table public.owner. Run again" in run.message
    assert "The live database was not touched." in run.message
    assert "written meanwhile" not in run.output
    assert target.query("SELECT id FROM owner ORDER BY 1") == [(1,), (7,)]
    place.migrate()
    backup = run.report("sandbox-db")["backup"]
    assert backup
