# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role report at the end of a play: what is written, what is shown, and how the play ends."""

from __future__ import annotations

import json
import os
import sys
import typing as t
from pathlib import Path

import ansible_runner
import pytest
import yaml
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.folder import Record, RunFolder

_ROOT: t.Final = Path(__file__).resolve().parents[2]
_FAILURE: t.Final = {
    "task": "{{ ansible_failed_task.name }}",
    "action": "{{ ansible_failed_task.action }}",
    "message": "{{ ansible_failed_result.msg }}",
}


def _record(stage: str, **content: object) -> Record:
    began_at = "2026-11-22T10:00:00.000000+00:00"
    return {"stage": stage, "began_at": began_at, "seconds": 0.5, "changed": False, "error": None, **content}


def _table(name: str, target_rows: int) -> Record:
    table: Record = {"schema": "public", "name": name, "kind": "table", "source_rows": 1500, "target_rows": target_rows}
    return {**table, "source_checksum": None, "target_checksum": None, "equal": target_rows == 1500}


_PREFLIGHT: t.Final = _record("preflight", findings=[], source=None, target=None, plan=["verify"])
_EQUAL: t.Final = _record("compare", equal=True, tables=[_table("users", 1500)], differences=[])
_DIFFERENT: t.Final = _record(
    "compare",
    equal=False,
    tables=[_table("users", 1500), _table("positions", 0)],
    differences=[{"object": "table public.positions", "message": "1,500 rows on the source, 0 on the target"}],
)


class Play:
    """A play that ends with the role, on a host of its own with a run's folder of its own."""

    def __init__(self, base: Path) -> None:
        self.runner_folder = base / "runner"
        self.runner_folder.mkdir()
        self.folder = RunFolder.create(base / "runs", "sandbox-db")
        self.path = self.folder.path

    def run(self, *records: Record, fails: bool = False, check: bool = False, **variables: object) -> str:
        """Let the role report the records; return what the terminal shows."""
        for record in records:
            self.folder.write_record(record["stage"], record)
        role = {"name": "pgconvoy.migrate.report"}
        given = {"report_goal": "verify", "report_run_dir": str(self.path), **variables}
        fail = {"name": "Break off", "ansible.builtin.assert": {"that": False, "fail_msg": "one\ntwo"}}
        play = {
            "name": "Report",
            "hosts": "sandbox-db",
            "gather_facts": False,
            "tasks": [
                {
                    "block": [*([fail] if fails else []), {"ansible.builtin.import_role": role, "vars": given}],
                    "rescue": [{"ansible.builtin.import_role": role, "vars": {**given, "report_failure": _FAILURE}}],
                }
            ],
        }
        playbook = self.runner_folder / "playbook.yml"
        playbook.write_text(yaml.safe_dump([play], sort_keys=False), encoding="utf-8")
        runner = ansible_runner.run(
            private_data_dir=str(self.runner_folder),
            project_dir=str(_ROOT),
            playbook=str(playbook),
            inventory={
                "all": {
                    "hosts": {
                        "sandbox-db": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
                    }
                }
            },
            envvars={
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "ANSIBLE_FORCE_COLOR": "0",
            },
            cmdline="--check" if check else None,
            quiet=True,
            suppress_env_files=True,
            settings={"idle_timeout": 60},
        )
        assert isinstance(runner, ansible_runner.Runner)
        self.failed = runner.rc != 0
        output = str(runner.stdout.read())
        assert runner.stats["processed"] == {"sandbox-db": 1}, output
        assert runner.stats["changed"] == {}, output
        return output

    @property
    def report(self) -> dict[str, t.Any]:
        """What report.json says."""
        report = json.loads((self.path / "report.json").read_text(encoding="utf-8"))
        assert isinstance(report, dict)
        return report


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Return a play with a new run's folder."""
    return Play(tmp_path)


def test_equal(play: Play) -> None:
    """A good run ends well, with the table at the terminal and the report in its place."""
    output = play.run(_PREFLIGHT, _EQUAL)
    assert not play.failed, output
    assert play.report["status"] == "equal"
    assert play.report["host"] == "sandbox-db"
    assert (play.path.parent / "latest" / "report.html").samefile(play.path / "report.html")
    # In green: ansible-runner shows Ansible a terminal.
    assert "\x1b[0;32mpublic.users |  1,500 |  1,500 | equal\x1b[0m" in output
    assert "sandbox-db: equal: 1 table, 1,500 rows, all equal" in output
    assert f"Report: {play.path}/report.html" in output


def test_different(play: Play) -> None:
    """Differences fail the play, and its last lines name them."""
    output = play.run(_PREFLIGHT, _DIFFERENT)
    assert play.failed
    assert play.report["status"] == "different"
    # Once, though it was the failure of the block whose rescue reports, too.
    assert output.count("public.positions |  1,500 |      0 | DIFFERENT") == 1
    assert play.report["errors"] == []
    assert "table public.positions: 1,500 rows on the source, 0 on the target" in output
    assert output.rindex("Report: ") > output.rindex("sandbox-db: different: 1 difference")


def test_failure_of_the_play(play: Play) -> None:
    """It fails the report even where all records are good; its message is whole."""
    output = play.run(_PREFLIGHT, _EQUAL, fails=True)
    assert play.failed
    assert play.report["status"] == "failed"
    assert play.report["errors"] == [{"stage": "play", "message": "one\ntwo"}]
    assert "play: one" in output


def test_refusal(play: Play) -> None:
    """A play that was stopped after the preflight and before any stage that acts has attempted nothing."""
    output = play.run(_PREFLIGHT, fails=True, report_goal="migrate")
    assert play.failed
    assert play.report["status"] == "refused"
    assert "Nothing was attempted: source and target are as they were." in output


def test_failure_without_a_folder(play: Play) -> None:
    """A run that broke off before it had a folder still fails, and says why."""
    output = play.run(fails=True, report_run_dir="")
    assert play.failed
    assert output.count("two") >= 2
    assert not (play.path.parent / "latest").exists()


def test_nothing_to_report(play: Play) -> None:
    """A good run without a folder (in check mode none is made) needs no report."""
    output = play.run(report_run_dir="", check=True)
    assert not play.failed, output
    assert [path.name for path in play.path.iterdir()] == ["stages"]


def test_message_alone_as_failure(play: Play) -> None:
    """A play may pass what it has to say as a text."""
    output = play.run(_PREFLIGHT, report_failure="it broke")
    assert play.failed
    assert "play: it broke" in output
