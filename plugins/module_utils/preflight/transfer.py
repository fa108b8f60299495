# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How rows come to the target: by way of an archive, or straight from the source's snapshot."""

from __future__ import annotations

import typing as t

Way = t.Literal["archive", "stream"]

#: Of so many bytes, to write an archive and to read it again takes a few seconds.
_SOON_WRITTEN: t.Final = 100_000_000


class Transfer(t.NamedTuple):
    """The way that a run takes, and why."""

    way: Way
    reason: str


def choose_transfer(wanted: str, size: int) -> Transfer:
    """Return how rows come to the target.

    :param wanted: ``auto`` or a way
    :param size: of the source's rows, in bytes
    """
    if wanted == "archive":
        return Transfer("archive", "it is asked for")
    if wanted == "stream":
        return Transfer("stream", "it is asked for")
    if size <= _SOON_WRITTEN:
        return Transfer("archive", f"the source's rows take {size:,} bytes, and an archive can be restored again")
    reason = f"the source's rows take {size:,} bytes, which an archive would have to be written and read for"
    return Transfer("stream", reason)
