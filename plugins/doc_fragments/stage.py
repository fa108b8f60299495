# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that the modules of all stages share."""

from __future__ import annotations


class ModuleDocFragment:
    """Use with ``extends_documentation_fragment: pgconvoy.migrate.stage``, ``.tools``, ``.gate``."""

    DOCUMENTATION = r"""
options:
  run_dir:
    description: The run's folder, as M(pgconvoy.migrate.preflight) returns it; the stage leaves its record there.
    type: path
    required: true
requirements:
  - psycopg >= 3.2
  - msgspec >= 0.19
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what it would do without doing it.
    support: full
  diff_mode:
    description: Returns details on what has changed, or would change in check mode, when in diff mode.
    support: none
"""

    TOOLS = r"""
options:
  client_bindir:
    description: Directory of pg_dump, pg_restore and psql, as M(pgconvoy.migrate.preflight) returns it.
    type: path
    required: true
"""

    GATE = r"""
options:
  production:
    description: Whether the target is one of production, which always asks.
    type: bool
    required: true
  confirm_phrase:
    description: What must have been typed. Without one, nothing, but C(MIGRATE PRODUCTION) if O(production=true).
    type: str
    default: ""
  confirm_answer:
    description: What was typed. The module does nothing unless it is O(confirm_phrase).
    type: str
    default: ""
"""
