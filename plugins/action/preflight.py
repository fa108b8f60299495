# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage ``preflight``, whose module does the work, as a person sees it."""

from __future__ import annotations

import typing as t

from ..module_utils.run.presentation import visible
from ..modules import preflight
from ..plugin_utils.stage_action import StageAction


class ActionModule(StageAction):
    """The action ``pgconvoy.migrate.preflight``."""

    module = preflight

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Examine, and tell what it is about: before somebody is asked, and where nobody is."""
        result = super().run(tmp, task_vars)
        if question := result.get("question"):
            host = visible(str((task_vars or {}).get("inventory_hostname", "")))
            self.tell([f"{host}: what this run replaces", *(f"  {visible(line)}" for line in question)])
        return result
