# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether archives can be packed as they are to be, and whether there will be one."""

from __future__ import annotations

from ...archive.compression import Compression, require_library
from ...errors import MigrationError
from ...verdict.findings import Finding
from ..transfer import Transfer


def check_compression(compression: Compression, transfer: Transfer | None) -> list[Finding]:
    """Return what stands in the way of packing archives.

    :param transfer: how the rows come to the target
    """
    if compression == "none":
        return []
    try:
        require_library(compression)
    except MigrationError as error:
        return [Finding("error", "compression-library", "archive_compression", str(error))]
    if transfer and transfer.way == "stream":
        message = "no archive of the source is written that could be packed: its rows are streamed."
        return [Finding("notice", "not-packed", "archive_compression", message, "Set transfer: archive to have one.")]
    return []
