# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of a run but the switch: it asks nothing, and nobody on the target sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.databases import Database, untouched
from tests.playbooks import Controller


@pytest.mark.parametrize("transfer", ["archive", "stream"])
def test_production_is_asked_nothing(
    controller: Controller, source: Database, target: Database, tmp_path: Path, transfer: str
) -> None:
    """The copy is made, judged and dropped; the report tells how long each stage took, and is brought to who wants it.

    Who cannot be told does not change what the run came to.
    """
    notify = {
        "archive": ["cp", f"--target-directory={tmp_path}"],
        "stream": ["sh", "-c", "echo >&2 mute; exit 3"],
    }[transfer]
    controller.add_host("production", source.variables("source"), target.variables("target"), transfer=transfer)
    controller.vary(notify_command=notify)
    with untouched(source, target):
        run = controller.run("playbooks/rehearse.yml", limit="production")
    assert run.rc == 0, run.output
    report = run.report("production-db")
    assert report["status"] == "rehearsed"
    assert {"preflight", "dump", "schema_restore", "data_restore", "compare"} <= report["timings"].keys()
    assert all(entry["conserved"] for entry in report["ledger"])
    assert "all equal in a copy that is dropped; no switch" in run.output
    assert target.generations() == [target.name]
    if transfer == "archive":
        assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report
    else:
        assert "notify_command has failed, and the run is as it is: exit status 3: mute" in run.output


@pytest.mark.parametrize("check", [False, True])
def test_refusal_without_a_folder_is_told(sandbox: Controller, source: Database, tmp_path: Path, check: bool) -> None:
    """Whoever waits for the nightly drill hears of one that could not even begin, but not of a look at the plan."""
    told = tmp_path / "told"
    told.mkdir()
    sandbox.vary(notify_command=["cp", f"--target-directory={told}"], taget_host="elsewhere")
    run = sandbox.run("playbooks/rehearse.yml", *(["--check"] if check else []))
    assert run.rc == 2, run.output
    assert run.folders == {}
    if check:
        assert not [*told.iterdir()]
        return
    report = json.loads((told / "report.json").read_text(encoding="utf-8"))
    assert (report["host"], report["goal"], report["status"]) == ("sandbox-db", "rehearse", "refused")
    (error,) = report["errors"]
    assert "no variable taget_host (did you mean target_host?)" in error["message"]


def test_in_place_it_is_refused(sandbox: Controller, source: Database, target: Database) -> None:
    """Its clients would have to wait."""
    with untouched(source, target):
        message = sandbox.refuse(playbook="playbooks/rehearse.yml", extra={"load_mode": "in_place"})
    assert "to try that its clients would have to wait" in message
