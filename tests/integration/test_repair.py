# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verification found different is looked at again, and brought: that, and no more."""

from __future__ import annotations

import json
from pathlib import Path

from tests.databases import APPLICATION, database, untouched
from tests.playbooks import Controller, Run
from tests.servers import Servers


def test_there_and_back(servers: Servers, controller: Controller) -> None:
    """In production, by the phrase; what was not found stays as it is, and the backup brings back the rest."""
    with database(servers.source(), APPLICATION) as source, database(servers.target(), APPLICATION) as target:
        controller.add_host("production", source.variables("source"), target.variables("target"))
        assert "no report of a verification" in refused(controller, "repair")
        target.execute("UPDATE item SET price = 9.99 WHERE id = 3; SELECT setval('item_id_seq', 70)")
        assert verified(controller) == ("different", {"table public.item", "sequence public.item_id_seq"})
        target.execute("UPDATE owner SET name = 'somebody'")
        before = target.lines()

        with untouched(source, target):
            assert "MIGRATE PRODUCTION" in refused(controller, "repair", confirm_answer="yes")
            assert verified(controller, rerun="latest") == (
                "different",
                {"table public.item", "sequence public.item_id_seq"},
            )
        run = controller.run("playbooks/repair.yml", limit="production", extra={"confirm_answer": "MIGRATE PRODUCTION"})
        assert run.rc == 0, run.output
        report = run.report("production-db")
        assert (report["status"], report["load_mode"]) == ("repaired", "sync")
        assert [table["name"] for table in report["tables"]] == ["item"]
        assert all(entry["conserved"] for entry in report["ledger"])
        assert verified(controller) == ("different", {"table public.owner"})

        extra = {"confirm_answer": "MIGRATE PRODUCTION"}
        back = controller.run("playbooks/rollback.yml", limit="production", extra=extra)
        assert back.rc == 0, back.output
        assert target.lines() == before


def test_everything_else_is_looked_at_as_a_whole(servers: Servers, controller: Controller, tmp_path: Path) -> None:
    """Where more than tables differed; and what is no report, or of another host, is told."""
    with database(servers.source(), APPLICATION) as source, database(servers.target(), APPLICATION) as target:
        controller.add_host("production", source.variables("source"), target.variables("target"))
        target.execute("SELECT lo_put(70001, 0, 'LARGE'); UPDATE owner SET name = 'somebody'")
        path = tmp_path / "report.json"
        path.write_text("{}")
        assert f"{path} is not a report" in refused(controller, "verify", rerun=str(path))
        run = controller.run("playbooks/verify.yml", limit="production")
        path = run.folders["production-db"] / "report.json"
        assert verified(controller, rerun=str(path)) == (
            "different",
            {"large object 70001", "table public.owner"},
        )
        foreign = json.loads(path.read_text()) | {"host": "sandbox-db"}
        (tmp_path / "foreign.json").write_text(json.dumps(foreign))
        assert "is a report on sandbox-db" in refused(controller, "verify", rerun=str(tmp_path / "foreign.json"))
        controller.run("playbooks/repair.yml", limit="production", extra={"confirm_answer": "MIGRATE PRODUCTION"})
        assert verified(controller) == ("equal", set())
        assert "found source and target equal" in refused(controller, "repair")
        target.execute("UPDATE owner SET name = 'somebody'")
        assert verified(controller) == ("different", {"table public.owner"})
        source.execute("ALTER TABLE owner ADD note text")
        # Nobody has selected anything, or chosen how: what replaces the schema is another playbook.
        assert "or have migrate.yml replace all" in refused(controller, "repair")


def verified(controller: Controller, **extra: str) -> tuple[str, set[str]]:
    """Verify; return the status, and what differs."""
    run: Run = controller.run("playbooks/verify.yml", limit="production", extra=extra)
    report = run.report("production-db")
    told = [finding["message"] for finding in report["findings"] if finding["code"] == "rerun"]
    assert bool(told) is bool(extra)
    return report["status"], {difference["object"] for difference in report["differences"]}


def refused(controller: Controller, playbook: str, **extra: str) -> str:
    """Return why a playbook is refused."""
    run = controller.run(f"playbooks/{playbook}.yml", limit="production", extra=extra)
    assert run.rc != 0
    return run.output
