# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say at the terminal what a run came to, and to whom it may concern. It is an action: only the controller has both."""

from __future__ import annotations

import functools
import json
import subprocess
import tempfile
import typing as t
from pathlib import Path

from ansible import constants
from ansible.plugins.action import ActionBase

from ..module_utils.run.comparison_table import draw
from ..module_utils.run.presentation import visible
from ..module_utils.run.report import REACHED, Failure, Run, compose

#: How long whoever is notified may take.
_PATIENCE_SECONDS: t.Final = 60
_COLORS: t.Final[dict[str, str | None]] = {
    "good": constants.COLOR_OK,  # type: ignore[attr-defined]  # made when Ansible reads its configuration
    "bad": constants.COLOR_ERROR,  # type: ignore[attr-defined]  # likewise
    "": None,
}


class ActionModule(ActionBase):
    """The action ``pgconvoy.migrate.conclude``."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Draw the report if there is one, and fail unless the run came to its goal."""
        given = self.validate_argument_spec(  # type: ignore[no-untyped-call]  # of Ansible's class
            {
                "host": {"type": "str", "required": True},
                "goal": {"type": "str", "required": True},
                "report": {"type": "dict", "default": {}},
                "failure": {"type": "str", "default": ""},
                "failed_action": {"type": "str", "default": ""},
                "notify": {"type": "list", "elements": "str", "default": []},
            }
        )[1]
        report, failure = given["report"], given["failure"]
        if report:
            reached = report["status"] in REACHED
            # Where a callback writes JSON, nothing else may stand between; a person reads the other stream.
            show = functools.partial(
                self._display.display,
                stderr="json" in constants.DEFAULT_STDOUT_CALLBACK,  # type: ignore[attr-defined]  # likewise
            )
            for line, news in draw(report["tables"]):
                show(line, color=_COLORS[news])
            show(f"{visible(given['host'])}: {visible(report['summary'])}", color=_COLORS["good" if reached else "bad"])
            show(f"Report: {visible(report['run_dir'])}/report.html")
            failure = "" if reached else report["explanation"]
            if given["notify"]:
                self._notify([*given["notify"], f"{report['run_dir']}/report.json"])
        elif failure and given["notify"] and not self._task.check_mode:
            run = Run(given["goal"], given["host"], "", Failure(failure, given["failed_action"]))
            self._notify_without_folder(given["notify"], run)
        return {"changed": False, **({"failed": True, "msg": failure} if failure else {})}

    def _notify_without_folder(self, command: list[str], run: Run) -> None:
        """Tell of a run that was refused before it had a folder: its report is there while the command runs."""
        with tempfile.TemporaryDirectory(prefix="pgconvoy-") as folder:
            path = Path(folder) / "report.json"
            path.write_text(json.dumps(compose({}, run), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            self._notify([*command, str(path)])

    def _notify(self, command: list[str]) -> None:
        """Run a command of the user's; what becomes of it changes nothing of what the run came to."""
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                timeout=_PATIENCE_SECONDS,
            )
            failed = f"exit status {done.returncode}: {visible(done.stdout.strip())}" if done.returncode else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            failed = str(error)
        if failed:
            self._display.warning(f"notify_command has failed, and the run is as it is: {failed}")
