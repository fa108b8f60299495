# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight hands on to the stage that fills a schema which is kept: it need not find out again, under locks."""

from __future__ import annotations

import dataclasses
import pathlib

import msgspec

from ..archive.folder import create_private
from ..catalog.earlier import Earlier


@dataclasses.dataclass(frozen=True)
class HandedOn:
    """What was found; nothing of it is believed unless the databases say that it is so still."""

    #: of the live database's definitions: that they are the source's (verdict/note.py)
    note: str = ""
    #: what both sides held, where that was read
    source: Earlier | None = None
    target: Earlier | None = None


def hand_on(path: pathlib.Path, found: HandedOn) -> None:
    """Write it to a file."""
    with create_private(path) as stream:
        stream.write(msgspec.json.encode(found))


def take(path: pathlib.Path) -> HandedOn:
    """Return what is in the file; nothing where there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=HandedOn)
    except FileNotFoundError:
        return HandedOn()
