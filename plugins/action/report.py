# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action ``pgconvoy.migrate.report``, whose module writes the report."""

from __future__ import annotations

from ..modules import report
from ..plugin_utils.engine_action import EngineAction


class ActionModule(EngineAction):
    """The action ``pgconvoy.migrate.report``."""

    module = report
