# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether psql gets in where this program's own sessions do: it may have been built without TLS."""

from __future__ import annotations

import subprocess

from ...server.client_tools import ClientTools
from ...server.endpoint import Endpoint, tool_environment
from ...verdict.findings import Finding


def check_tools(tools: ClientTools, source: Endpoint) -> list[Finding]:
    """Return what psql, which sends the rows, says of a source that it cannot enter."""
    command = [tools.program("psql"), "--no-psqlrc", "--no-password", "--quiet", "--command="]
    outcome = subprocess.run(
        command, env=tool_environment(source), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if outcome.returncode == 0:
        return []
    return [
        Finding(
            "error",
            "client-tools",
            f"{tools.bindir} ({tools.version})",
            f"its psql cannot enter the {source}: {outcome.stderr.decode(errors='replace').strip()}.",
            "Install PostgreSQL's own client package, or name another directory in client_bindir.",
        )
    ]
