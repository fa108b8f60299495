# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which archive stands for the source."""

from __future__ import annotations

import pathlib

from ..archive.folder import find_backups
from ..errors import MigrationError
from .goals import IN_PLACE
from .request import Request
from .sides import can_return


def choose_archives(request: Request) -> list[pathlib.Path | None]:
    """Return what may stand for the source, best first; None is to do without.

    A rollback takes an archive only in place: the one that is named, or a backup that is not live already.

    :raises MigrationError: when there are a previous database and backups, of which neither side knows the later one
    """
    if request.goal != "rollback" or not request.target:
        return [request.archive]
    backups = find_backups(request.archive_root, request.host) if request.archive_root else []
    if request.load_mode not in IN_PLACE and can_return(request.target):
        if backups and request.load_mode == "auto":
            raise MigrationError(
                "Nothing was changed. There are two ways back: the previous database of the last switch, and the "
                f"backup {backups[0]} from before a run in place. Say which, by -e load_mode=swap or "
                "-e load_mode=in_place."
            )
        return [None]
    return [request.archive] if request.archive else [*backups] or [None]
