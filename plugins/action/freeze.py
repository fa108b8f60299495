# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stage ``freeze``, whose module does the work, as a person sees it."""

from __future__ import annotations

from ..modules import freeze
from ..plugin_utils.stage_action import StageAction


class ActionModule(StageAction):
    """The action ``pgconvoy.migrate.freeze``."""

    module = freeze
