# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down when Ansible began and ended what. For bench/timeline.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: bench_tasks
type: aggregate
short_description: When tasks began and ended
description:
  - Writes a line of JSON for each event to the file that the environment variable C(BENCH_TASKS) names.
author:
  - the pgconvoy contributors (@pgconvoy)
"""

import json
import os
import time
import typing as t

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """Notes what happens, and shows nothing."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "bench_tasks"

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        """The playbook is loaded."""
        self._note("loaded", "")

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        """A task begins."""
        self._note("begin", task.action)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """A task has ended."""
        self._note("end", result.task.action)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """All is done."""
        self._note("done", "")

    def _note(self, event: str, action: str) -> None:
        with open(os.environ["BENCH_TASKS"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"at": time.time(), "event": event, "action": action}) + "\n")
