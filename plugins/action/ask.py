# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask at the terminal, once for each host. Ansible's own pause asks for the first of several hosts alone.

Nor does it take Ctrl-C for an answer: it asks whether to continue, and any further Ctrl-C is read as a letter.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import typing as t

from ansible.errors import AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.plugins.action import ActionBase

from ..module_utils.run.playbook_process import PlaybookProcess
from ..module_utils.schedule.signals import start_beside


class ActionModule(ActionBase):
    """The action ``pgconvoy.migrate.ask``."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return what is typed: nothing where nobody can, or does but break off."""
        given = self.validate_argument_spec(  # type: ignore[no-untyped-call]  # of Ansible's class
            {"prompt": {"type": "str", "required": True}}
        )[1]
        if playbook := multiprocessing.parent_process():
            _end_with(PlaybookProcess(playbook.pid or 0))
        typed = b""
        try:
            typed = self._display.prompt_until(f"[{self._task.get_name().strip()}]\n{given['prompt']}:")
        except AnsiblePromptInterrupt:
            pass
        except AnsiblePromptNoninteractive:
            self._display.warning("There is no terminal to ask at.")
        return {"changed": False, "user_input": typed.decode(errors="replace")}


def _end_with(playbook: PlaybookProcess) -> None:
    """End this process, a worker, when ansible-playbook has: it alone can answer, and may go with its terminal."""

    def watch() -> None:
        while not playbook.has_ended(within=3600):
            pass
        os._exit(1)

    start_beside(threading.Thread(target=watch, daemon=True))
