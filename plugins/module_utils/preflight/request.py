# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run is asked for, before anything is known of the two sides."""

from __future__ import annotations

import dataclasses
import pathlib

from ..server.endpoint import Endpoint
from .settings import Settings


@dataclasses.dataclass(frozen=True)
class Request:
    """What a run is for, and by what means."""

    #: a side that takes no part is None
    source: Endpoint | None
    target: Endpoint | None
    #: one of `GOALS`
    goal: str = "migrate"
    #: the name in the inventory
    host: str = ""
    #: what stands for the source, if anything does
    archive: pathlib.Path | None = None
    #: where archives are kept
    archive_root: pathlib.Path | None = None
    #: directory of the client tools; found if empty
    client_bindir: str = ""
    #: ``auto`` or one of `LoadMode`
    load_mode: str = "auto"
    #: ``auto``, ``archive``, or ``stream``, which needs no room on this machine
    transfer: str = "archive"
    #: how archives are packed, that of the source and the backup of the target
    #: how many bytes the target may hold, if that is known
    target_room: int | None = None
    #: whether somebody will be asked before the live database is replaced, and must be told what that means
    asks: bool = False
    #: ``full``, or ``short``: the source is frozen at the end only, and what it has got meanwhile is brought
    downtime: str = "full"
    settings: Settings = dataclasses.field(default_factory=Settings)
    #: to look on where definitions differ already, and to lock nothing
    check_mode: bool = False
