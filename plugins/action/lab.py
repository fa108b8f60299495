# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action ``pgconvoy.migrate.lab``, whose module brings the lab up and down."""

from __future__ import annotations

from ..modules import lab
from ..plugin_utils.engine_action import EngineAction


class ActionModule(EngineAction):
    """The action ``pgconvoy.migrate.lab``."""

    module = lab
