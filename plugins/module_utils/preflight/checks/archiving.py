# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the target's server archives its write-ahead log, of which a copy makes as much as it has bytes, and more."""

from __future__ import annotations

import typing as t

from ...server.inquiry import Inquiry
from ...verdict.findings import Finding

_QUERY: t.Final = """
SELECT current_setting('archive_mode') <> 'off', last_failed_time > coalesce(last_archived_time, '-infinity')
FROM pg_stat_archiver
"""


def ask_archiving(needed: int) -> Inquiry[list[Finding]]:
    """Ask whether what a copy writes is archived as well, and whether that works.

    :param needed: the size of the source's database, in bytes
    """
    (((archives, fails),),) = yield [_QUERY]
    if not archives:
        return []
    if fails:
        message = (
            "it archives its write-ahead log (archive_mode), and its last attempt has failed: it keeps the log of "
            f"the whole copy, {needed:,} bytes or more, on its disk until one succeeds."
        )
        remedy = "See its log, and mend archive_command or what it needs; then run again."
        return [Finding("warning", "archive-mode", "target server", message, remedy)]
    message = (
        f"it archives its write-ahead log (archive_mode), of which the copy makes {needed:,} bytes or more. A service "
        "may charge for it, and drop what it cannot store in time: then there is a gap up to its next full backup in "
        "which no point in time can be restored."
    )
    return [Finding("notice", "archive-mode", "target server", message, "Have a full backup taken after the run.")]
