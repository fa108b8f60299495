# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``downtime: short``: the application writes on until the source is frozen, and none of its rows is missing."""

from __future__ import annotations

import datetime
import re
import subprocess
import typing as t
from pathlib import Path

from tests.databases import APPLICATION, BEFORE, database, untouched
from tests.playbooks import Controller, wait_until
from tests.servers import Servers

#: Keyed by client and a number of its own, so that each transaction is known.
LOG: t.Final = """
    CREATE TABLE log (client int, number bigint, at timestamptz, PRIMARY KEY (client, number));
    CREATE SEQUENCE numbers;
"""
SCRIPT: t.Final = """
\\set amount random(1, 100)
BEGIN;
INSERT INTO log VALUES (:client_id, nextval('numbers'), clock_timestamp());
UPDATE item SET price = :amount WHERE id = 1 + :client_id;
COMMIT;
"""


def test_pgbench_writes_on(servers: Servers, controller: Controller, tmp_path: Path) -> None:
    with (
        database(servers.source(), APPLICATION + LOG) as source,
        database(servers.target(), BEFORE) as target,
    ):
        server = source.server
        controller.add_host("sandbox", source.variables("source"), target.variables("target"), downtime="short")
        with untouched(source, target):
            planned = controller.run("migrate.yml", "--check")
            assert planned.rc == 0, planned.output
            plan = planned.result("preflight")["plan"]
            assert [step for step in plan if step.startswith("freeze the source")]
        (tmp_path / "script.sql").write_text(SCRIPT)
        command = ["pgbench", "--no-vacuum", "-f", str(tmp_path / "script.sql"), "-c", "2", "-T", "600", "-R", "200"]
        with subprocess.Popen(
            [str(server.bindir / command[0]), *command[1:], source.name],
            env=server.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as writers:
            try:
                wait_until(lambda: source.query("SELECT FROM log LIMIT 1"))
                run = controller.migrate()
                # Whoever has waited for the freeze to end goes on.
                ended = run.report("sandbox-db")["freeze"]["ended_at"]
                number = source.query("SELECT max(number) FROM log")[0][0]
                wait_until(lambda: source.query(f"SELECT FROM log WHERE number > {number}"))
                assert writers.poll() is None
            finally:
                writers.terminate()
        report = run.report("sandbox-db")
        assert (report["status"], report["load_mode"]) == ("migrated", "swap")
        assert report["began_at"] < report["freeze"]["began_at"] < ended < report["ended_at"]
        assert report["freeze"]["ended_by"] == "run"
        # What is no event of Ansible's, ansible-runner keeps in a file.
        shown = max(controller.artifacts.glob("artifacts/*/stdout"), key=lambda path: path.stat().st_mtime).read_text()
        told = f"source frozen since {report['freeze']['began_at'][11:19]} UTC: "
        assert re.search(f"sandbox-db: freeze: .*{told}.*, at most .* more", shown)
        assert f"frozen from {report['freeze']['began_at'][11:19]} to {ended[11:19]} UTC" in run.output
        assert all(entry["conserved"] for entry in report["ledger"])
        moved = {table["name"]: table["inserted"] for table in report["tables"] if "inserted" in table}
        assert moved["log"] > 0
        assert moved["owner"] == 0
        # No client leaves out a row: what each had committed last is on the target with all before it.
        arrived = target.query("SELECT client, max(number), count(*) FROM log GROUP BY client ORDER BY client")
        assert [client for client, *_ in arrived] == [0, 1]
        for client, last, count in arrived:
            assert source.query(f"SELECT count(*) FROM log WHERE client = {client} AND number <= {last}") == [(count,)]
        # What is not on the target was committed after the freeze, by the source's clock.
        missing = "SELECT min(at) FROM log WHERE " + " AND ".join(
            f"NOT (client = {client} AND number <= {last})" for client, last, _ in arrived
        )
        ((first,),) = source.query(missing)
        assert first > datetime.datetime.fromisoformat(ended)


def test_refusals(servers: Servers, controller: Controller) -> None:
    """Only with a copy beside the live database, and with a limit after which it can be over."""
    with database(servers.source(), APPLICATION) as source, database(servers.target(), BEFORE) as target:
        controller.add_host(
            "sandbox", source.variables("source"), target.variables("target"), downtime="short", load_mode="in_place"
        )
        with untouched(source, target):
            assert "downtime short" in controller.refuse()
            for limit in (0, -5):
                told = controller.refuse(extra={"freeze_timeout": limit})
                assert f"must be 1 or more, and are 4 and {limit}" in told
