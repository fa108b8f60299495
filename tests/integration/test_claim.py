# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run per target: who comes second is told who was first, and nobody who is dead is in the way."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t

import pytest

from tests.databases import Database
from tests.playbooks import Background, Controller, wait_until

#: The names under which runs hold their claims on a server.
_CLAIMS: t.Final = (
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND starts_with(application_name, 'pgconvoy ')"
)


@contextlib.contextmanager
def halted(controller: Controller, source: Database, target: Database) -> t.Iterator[tuple[Background, str]]:
    """Give a run that has claimed its target and waits in the dump for a lock, with its id; it goes on afterwards."""
    # However long what the test does meanwhile takes: lock 7, without a limit.
    lock = "SELECT pg_advisory_lock_shared(6 + length(set_config('lock_timeout', '0', true)))::text"
    query = {"name": "patience", "sql": lock, "expect": "same"}
    controller.vary(verify_queries=[query])
    with source.server.connect(source.name) as client, client.transaction():
        client.execute("SELECT pg_advisory_xact_lock(7)")
        run = controller.start("migrate.yml", "--limit=sandbox")
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
        wait_until(lambda: client.execute(waiting).fetchall())
        ((claim,),) = target.query(_CLAIMS)
        yield run, claim.removeprefix("pgconvoy ")


def test_second_run_is_refused(sandbox: Controller, source: Database, target: Database) -> None:
    """It names the first one, changes nothing, and does not disturb it."""
    with halted(sandbox, source, target) as (first, run_id):
        second = sandbox.run()
        rollback = sandbox.run("playbooks/rollback.yml")
    for refused in (second, rollback):
        assert refused.rc != 0
        assert (
            f"another run is at work on it: run {run_id} of role {target.server.user} from 127.0.0.1" in refused.message
        )
        assert refused.report("sandbox-db")["status"] == "refused"
        assert [finding["code"] for finding in refused.report("sandbox-db")["findings"]] == ["target-claimed"]
    rc, output = first.finish()
    assert rc == 0, output
    # Whoever looks when a run has ended finds nobody: this is no matter of a moment.
    assert first.processes() == {}
    assert target.contents() == source.contents()
    assert target.generations() == [target.name, target.previous.name]
    assert (sandbox.runs_root / "sandbox-db" / run_id).is_dir()


def test_killed_controller_lets_go(sandbox: Controller, source: Database, target: Database) -> None:
    """Kill -9 of ansible-playbook alone: its stage breaks off, the claim ends, and the next run has the target."""
    with halted(sandbox, source, target) as (run, _):
        run.process.kill()
        run.finish()
        wait_until(lambda: not run.processes())
        # The server has heard of it by the time that it lets the next one in, which waits two seconds at most.
    sandbox.migrate()
    assert target.contents() == source.contents()
    assert target.query(_CLAIMS) == []


def test_lost_claim_is_told(sandbox: Controller, source: Database, target: Database) -> None:
    """A run whose claim was lost comes to its end, guarded by the mark on its staging database, and says so."""
    with halted(sandbox, source, target) as (run, run_id):
        holder = int((sandbox.runs_root / "sandbox-db" / run_id / "claim").read_text(encoding="ascii"))
        os.kill(holder, signal.SIGKILL)
        wait_until(lambda: not target.query(_CLAIMS))
    rc, output = run.finish()
    assert rc == 0, output
    assert "The run's claim on its target was lost" in " ".join(output.split())


def test_each_host_lets_go_before_the_next(sandbox: Controller, source: Database, target: Database) -> None:
    """Two names of one target in one run: the second finds it unclaimed, and equal."""
    sandbox.add_host("sandbox", source.variables("source"), target.variables("target"), name="the-same")
    run = sandbox.run()
    assert run.rc == 0, run.output
    assert [run.report(host)["status"] for host in ("sandbox-db", "the-same")] == ["migrated", "unchanged"]


@pytest.mark.parametrize("load_mode", ["auto", "sync"])
def test_nothing_to_do_but_to_clear(sandbox: Controller, target: Database, load_mode: str) -> None:
    """What killed runs have left goes with the next run, even if that has nothing else to do, and it says so."""
    sandbox.migrate()
    sandbox.vary(load_mode=load_mode)
    present = target.generations()
    for left in ("staging", "discarded", "scratch"):
        target.server.create_database(f"{target.name}__pgconvoy_{left}")
    clearing = sandbox.migrate()
    assert target.generations() == present
    report = clearing.report("sandbox-db")
    assert report["status"] == "unchanged"
    assert {finding["object"] for finding in report["findings"] if finding["code"] == "leftover"} == {
        f'database "{target.name}__pgconvoy_{left}"' for left in ("staging", "discarded", "scratch")
    }
    assert clearing.stats["changed"] == {"sandbox-db": 1}
