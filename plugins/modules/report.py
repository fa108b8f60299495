#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a run's report from the records that its stages left."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Write the report of a run
version_added: "0.1.0"
description:
  - Reads what the stages of a run recorded in its folder, and writes C(report.json) and C(report.html) there, for their
    owner only. The link C(latest) beside the folder then leads to it.
  - Writes C(index.html), the history of all hosts' runs, two folders above the run's.
  - Judges what the run came to. It is successful only if every stage that its goal needs has recorded its success.
  - Ends the run's claim on its target, and waits until it has ended.
  - Does not fail because the run failed; see RV(status).
author:
  - the pgconvoy contributors (@pgconvoy)
options:
  run_dir:
    description: The run's folder, as RV(pgconvoy.migrate.preflight#module:run_dir) names it.
    type: path
    required: true
  templates:
    description: The folder of the pages' templates.
    type: path
    required: true
  goal:
    description: What the run was to do.
    type: str
    choices: [migrate, dump, restore, verify, rehearse, repair, rollback]
    required: true
  host:
    description: The host whose databases the run was about.
    type: str
    required: true
  failure:
    description:
      - What stopped the play, if anything did. It counts even if no stage recorded an error, as a stage that was killed
        cannot.
      - A dictionary of C(message), C(task) (the failed task's name) and C(action) (its module), or the message alone.
      - Without C(action), a run that was stopped between two stages counts as failed, not as refused.
    type: raw
attributes:
  check_mode:
    description: Writes nothing, and returns the same.
    support: full
  diff_mode:
    description: The report is a record, not a change of what is managed.
    support: none
  idempotent:
    description: Never reports a change, since a run's own record is none of what is managed. It always writes.
    support: full
"""

EXAMPLES = r"""
- name: Write the report
  pgconvoy.migrate.report:
    run_dir: /home/me/runs/sandbox-db/20261122T101500Z-3f2a1b
    templates: /home/me/templates
    goal: migrate
    host: "{{ inventory_hostname }}"

- name: Write the report of a run that was stopped (in a rescue)
  pgconvoy.migrate.report:
    run_dir: /home/me/runs/sandbox-db/20261122T101500Z-3f2a1b
    templates: /home/me/templates
    goal: migrate
    host: "{{ inventory_hostname }}"
    failure:
      task: "{{ ansible_failed_task.name }}"
      action: "{{ ansible_failed_task.action }}"
      message: "{{ ansible_failed_result.msg | default('') }}"
"""

RETURN = r"""
status:
  description:
    - What the run came to. Good ends are V(migrated) and V(unchanged), V(dumped), V(equal), V(rehearsed),
      V(repaired), and V(rolled_back).
    - V(refused) is a run that attempted nothing, V(failed) one that broke off, V(different) a verification that found
      differences.
  returned: success
  type: str
  sample: migrated
summary:
  description: The same in one line.
  returned: success
  type: str
  sample: "migrated: 21 tables, 39,103 rows, all equal"
explanation:
  description: Why the run did not come to its goal, and where the report lies. Has several lines.
  returned: success
  type: str
  sample: |-
    The run failed.
    preflight: the target server has no extension "postgis"
    Report: /home/me/runs/sandbox-db/20261122T101500Z-3f2a1b/report.html
errors:
  description: All errors, each with the stage that it belongs to; V(play) is any task that is no stage's.
  returned: success
  type: list
  elements: dict
  sample: [{"stage": "preflight", "message": "the target server has no extension \"postgis\""}]
tables:
  description: Each table on both sides.
  returned: success
  type: list
  elements: dict
  sample:
    - schema: public
      name: users
      kind: table
      source_rows: 20
      target_rows: 20
      source_checksum: null
      target_checksum: null
      equal: true
run_dir:
  description: The run's folder.
  returned: success
  type: str
  sample: /home/me/runs/sandbox-db/20261122T101500Z-3f2a1b
"""

import json
import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.preflight.goals import GOALS
from ..module_utils.run.background import end_background
from ..module_utils.run.folder import RunFolder, write_private
from ..module_utils.run.history import alone_in, keep, read_history, sum_up
from ..module_utils.run.page import render, render_history
from ..module_utils.run.presentation import explain, summarize
from ..module_utils.run.report import Failure, Report, Run, compose
from ..module_utils.run.unexpected import tell_unexpected


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "run_dir": {"type": "path", "required": True},
            "templates": {"type": "path", "required": True},
            "goal": {"type": "str", "choices": list(GOALS), "required": True},
            "host": {"type": "str", "required": True},
            "failure": {"type": "raw"},
        },
        supports_check_mode=True,
    )
    folder = RunFolder(Path(module.params["run_dir"]))
    failure = read_failure(module.params["failure"])
    try:
        # Not before it has ended is it known until when.
        if folder.freeze.exists() and not module.check_mode:
            end_background(folder.freeze)
        run = Run(module.params["goal"], module.params["host"], folder.run_id, failure, folder.read_freeze())
        report = compose(folder.read_records(), run)
        if not module.check_mode:
            write(report, folder, Path(module.params["templates"]))
            write_history(report, folder, Path(module.params["templates"]), module)
            let_go(module, folder)
        result = tell(report, folder)
    except (OSError, ValueError) as error:
        reason = f"\nThe run itself was stopped by this: {failure.message}" if failure else ""
        module.fail_json(msg=f"The report in {folder.path} cannot be made: {error}{reason}")
    except Exception as error:  # noqa: BLE001 - whatever it is, Ansible would print it with all that is in it
        reason = f"\nThe run itself was stopped by this: {failure.message}" if failure else ""
        told = tell_unexpected(error, "report", None if module.check_mode else folder.path, str)
        module.fail_json(msg=f"The report in {folder.path} cannot be made: {told}{reason}")
    module.exit_json(**result)


def tell(report: Report, folder: RunFolder) -> dict[str, object]:
    """Return the module's result."""
    return {
        "changed": False,
        "status": report["status"],
        "summary": summarize(report),
        "explanation": f"{explain(report)}\nReport: {folder.path / 'report.html'}",
        "errors": report["errors"],
        "tables": report["tables"],
        "run_dir": str(folder.path),
    }


def let_go(module: AnsibleModule, folder: RunFolder) -> None:
    """End what the run still holds: its source's snapshot, if it failed in between, and its claim on its target.

    What only its stages needed goes as well.
    """
    for passed_on in (folder.words, folder.handed_on, folder.answers):
        passed_on.unlink(missing_ok=True)
    if folder.snapshot.exists():
        end_background(folder.snapshot)
    if folder.claim.exists() and not end_background(folder.claim):
        module.warn(
            "The run's claim on its target was lost before its end: the connection that held it broke, or its process "
            "was killed. Another run could have begun, and would have made this one fail."
        )


def read_failure(failure: dict[str, str] | str | None) -> Failure | None:
    """Return what stopped the play, from either of the forms that the module takes."""
    if not failure:
        return None
    if isinstance(failure, str):
        return Failure(failure)
    message = failure.get("message") or f'The task "{failure.get("task", "")}" failed and gave no message.'
    return Failure(message, failure.get("action", ""))


def write(report: Report, folder: RunFolder, templates: Path) -> None:
    """Write both forms of the report, and make the run the latest of its host."""
    write_private(folder.path / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    write_private(folder.path / "report.html", render(report, templates))
    # A link that is there cannot be overwritten, but replaced in one step by another one.
    link = folder.path.with_name(f".latest-{folder.run_id}")
    link.unlink(missing_ok=True)
    link.symlink_to(folder.run_id)
    os.replace(link, folder.path.with_name("latest"))


def write_history(report: Report, folder: RunFolder, templates: Path, module: AnsibleModule) -> None:
    """Write the history of all runs anew; a run is none the worse for a history that cannot be written."""
    runs_root = folder.path.parent.parent
    try:
        keep(sum_up(report), folder)
        with alone_in(runs_root):
            write_private(runs_root / "index.html", render_history(read_history(runs_root), templates))
    except OSError as error:
        module.warn(f"The history of all runs, {runs_root}/index.html, cannot be written: {error}")


if __name__ == "__main__":
    main()
