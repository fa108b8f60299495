# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration by the engine alone, in a process of its own that can be killed: ``python -m tests.faults.engine``.

Its parameters come as JSON on standard input; it prints how it ended, and its exit status is 0 if the target is equal.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint

from tests.migration import Migration, run


def main() -> int:
    """Migrate; an interruption unwinds, as it does in the modules."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parameters = json.load(sys.stdin)
    migration = Migration(
        Endpoint(side="source", **parameters["source"]),
        Endpoint(side="target", **parameters["target"]),
        Path(parameters["archive"]),
        **parameters["options"],
    )
    try:
        outcome = run(migration)
    except KeyboardInterrupt:
        print("interrupted")
        return 1
    print(outcome)
    return 0 if outcome.status in ("migrated", "unchanged") else 1


if __name__ == "__main__":
    sys.exit(main())
