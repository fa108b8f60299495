# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where our Unix sockets are: in a folder that nobody else can enter, under a path that is not too long for them."""

from __future__ import annotations

import tempfile
import typing as t

#: The room for a socket's path is 104 bytes on some systems.
_LONGEST_FOLDER: t.Final = 60


def socket_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder for a socket."""
    root = tempfile.gettempdir()
    # mkdtemp gives it mode 0700.
    return tempfile.TemporaryDirectory(
        prefix="pgconvoy-",
        dir=root if len(root) <= _LONGEST_FOLDER else "/tmp",  # noqa: S108 - a folder of its own in there
        ignore_cleanup_errors=True,
    )
