# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask at the terminal, once for each host: Ansible's own pause asks for the first of several hosts alone."""

from __future__ import annotations

from ansible.plugins.action.pause import ActionModule as PauseAction


class ActionModule(PauseAction):
    """The action ``pgconvoy.migrate.ask``."""

    # By this, the strategy would run it on one host only, and let its failure stop all others (strategy/linear.py).
    BYPASS_HOST_LOOP = False
