# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where on a run's way something can happen: at a message, never at a time."""

from __future__ import annotations

import re
import typing as t

from tests.faults.proxy import Message, Watch

Side = t.Literal["source", "target"]
#: A name, the side and the message, and what the run then says it was doing.
Place = tuple[str, Side, Watch, str]

#: The COPY of the large table, on either side.
COPY: t.Final = rb'^COPY "public"\."wide"'
#: It is 2.9 MB; the receiver sends a megabyte at a time.
_MIDDLE: t.Final = 1_000_000


def statement(pattern: bytes) -> Watch:
    """Return the moment before a statement reaches the server."""
    compiled = re.compile(pattern)
    return lambda m: m.origin == "client" and m.kind in "QP" and bool(compiled.search(m.link.statement))


def answer(pattern: bytes) -> Watch:
    """Return the moment when a statement is done, and the client does not know it yet."""
    compiled = re.compile(pattern)
    return lambda m: m.origin == "server" and m.kind == "C" and bool(compiled.search(m.link.statement))


def _copying(m: Message) -> bool:
    return bool(re.search(COPY, m.link.statement))


def copy_middle(m: Message) -> bool:
    """Tell whether a part of the rows has gone by, and a part has not."""
    return m.kind == "d" and m.link.copied > _MIDDLE and _copying(m)


def copy_end(m: Message) -> bool:
    """Tell whether all rows have gone by, but not the word that they were all."""
    return m.kind == "c" and _copying(m)


def _committing_replacement(m: Message) -> bool:
    return m.link.statement == b"COMMIT" and any(b"pg_current_xact_id" in said for said in m.link.statements)


def commit_of_replacement(m: Message) -> bool:
    """Tell whether what was done in place is about to become true."""
    return m.origin == "client" and _committing_replacement(m)


def commit_of_replacement_answered(m: Message) -> bool:
    """Tell whether it has become true, and the client does not know it yet."""
    return m.origin == "server" and m.kind == "C" and _committing_replacement(m)


def _switching(m: Message) -> bool:
    return m.link.statement == b"COMMIT" and any(b"RENAME TO" in said for said in m.link.statements)


def commit_of_switch(m: Message) -> bool:
    """Tell whether the switch is about to become true."""
    return m.origin == "client" and _switching(m)


def commit_of_switch_answered(m: Message) -> bool:
    """Tell whether the switch has become true, and the client does not know it yet."""
    return m.origin == "server" and m.kind == "C" and _switching(m)


copy_start: t.Final = statement(COPY)
copy_answered: t.Final = answer(COPY)
pg_dump_begins: t.Final = statement(rb"^SET DATESTYLE = ISO")
index_built: t.Final = statement(rb"^(CREATE INDEX|ALTER TABLE ONLY public\.wide)")
clearing: t.Final = statement(rb"^DROP TABLE IF EXISTS")
before_switch: t.Final = statement(rb"^ALTER DATABASE .* RENAME TO")
last_rename: t.Final = statement(rb'^ALTER DATABASE .*staging" RENAME TO')
