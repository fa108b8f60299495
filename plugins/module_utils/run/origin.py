# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a run's rows come from, as its dump has settled it."""

from __future__ import annotations

import contextlib
import typing as t

from ..archive.archive import Archive
from ..archive.origin import Origin
from ..archive.streams import open_streams
from ..server.client_tools import ClientTools
from .background import end_background
from .stage import Stage


@contextlib.contextmanager
def open_origin(stage: Stage, archive: Archive, tools: ClientTools) -> t.Iterator[Origin]:
    """Give the snapshot that the run holds, which is let go of at the end, or the archive's files.

    :param archive: it, or the description of the snapshot
    :raises MigrationError: when the snapshot is gone
    """
    run = stage.folder
    assert run
    snapshot = run.read_records().get("dump", {}).get("snapshot")
    if not snapshot:
        yield archive
        return
    with stage.source() as source, open_streams(source, snapshot, tools, archive.manifest) as streams:
        yield streams
    # Who would alter a table of the source has waited for long enough.
    end_background(run.snapshot)
