# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person at a terminal sees while a run is under way, and when it is broken off."""

from __future__ import annotations

import json
import sys

import pexpect

from tests.databases import Database
from tests.playbooks import ROOT, Controller, clean_environment

#: A row takes the target a tenth of a second, the source no time at all.
_SLOW = """
    CREATE FUNCTION look_at(text) RETURNS bool LANGUAGE sql AS 'SELECT true';
    CREATE TABLE slow (id text CHECK (look_at(id)));
    INSERT INTO slow SELECT 'canary ' || generate_series(1, 1000);
    CREATE OR REPLACE FUNCTION look_at(text) RETURNS bool LANGUAGE sql
    AS $$SELECT CASE WHEN current_database() LIKE '%staging' THEN pg_sleep(0.1) IS NOT NULL ELSE true END$$;
"""


def _play(controller: Controller, *options: str) -> pexpect.spawn:
    command = ["-m", "ansible", "playbook", f"--inventory={controller.write_inventory()}", *options]
    environment = {**clean_environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "TERM": "xterm"}
    terminal = pexpect.spawn(
        sys.executable, [*command, "migrate.yml"], cwd=str(ROOT), env=environment, encoding="utf-8", timeout=180
    )
    terminal.setwinsize(40, 120)
    return terminal


def test_terminal(sandbox: Controller, source: Database, target: Database) -> None:
    """A bar while rows are loaded; on Ctrl-C, that it is undone, and nothing of that is left when the run ends."""
    source.execute(_SLOW)
    before = target.contents()
    terminal = _play(sandbox, "--limit=sandbox")

    terminal.expect(r"sandbox-db: fill the database: +\d+%\|.*rows of public\.[a-z]+ and \d more")
    terminal.sendintr()
    terminal.expect("sandbox-db: data_restore: interrupted. What it has begun is being undone")
    terminal.expect("sandbox-db: data_restore: data_restore was interrupted; the live database is as it was.")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 99
    assert target.contents() == before
    assert target.generations() == [target.name]
    (progress,) = sandbox.runs_root.glob("*/*/progress.jsonl")
    written = progress.read_text(encoding="utf-8")
    assert "canary" not in written
    assert {json.loads(line)["stage"] for line in written.splitlines()} >= {"preflight", "dump", "data_restore"}
