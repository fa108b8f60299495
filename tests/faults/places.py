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
COPY: t.Final = rb'(?m)^COPY "public"\."wide"'
#: It is 2.9 MB; the receiver sends a megabyte at a time.
_MIDDLE: t.Final = 1_000_000


def statement(pattern: bytes) -> Watch:
    """Return the moment before a statement reaches the server."""
    compiled = re.compile(pattern)
    return lambda m: m.origin == "client" and m.kind in "QP" and bool(compiled.search(m.link.statement))


def answer(pattern: bytes) -> Watch:
    """Return the moment when a statement is done, and the client does not know it yet."""
    compiled = re.compile(pattern)
    return lambda m: m.origin == "server" and m.kind == "C" and bool(compiled.search(m.link.part))


def _copying(m: Message) -> bool:
    return bool(re.search(COPY, m.link.part))


def copy_middle(m: Message) -> bool:
    """Tell whether a part of the rows has gone by, and a part has not."""
    return m.kind == "d" and m.link.copied > _MIDDLE and _copying(m)


def copy_end(m: Message) -> bool:
    """Tell whether all rows have gone by, but not the word that they were all."""
    return m.kind == "c" and _copying(m)


_builds: t.Final = statement(rb"(?m)^(CREATE INDEX|ALTER TABLE ONLY public\.wide)")


def index_built(m: Message) -> bool:
    """Tell whether an index is to be built over rows; before, it is made on trial, where there are none."""
    return _builds(m) and (m.link.database.endswith("staging") or any(re.search(COPY, s) for s in m.link.statements))


def _commits(after: bytes, m: Message) -> bool:
    return m.link.statement == b"COMMIT" and any(after in said for said in m.link.statements)


def commit(after: bytes) -> Watch:
    """Return the moment before that is to become true which a session has done by a statement."""
    return lambda m: m.origin == "client" and _commits(after, m)


def commit_answered(after: bytes) -> Watch:
    """Return the moment when it has become true, and the client does not know it yet."""
    return lambda m: m.origin == "server" and m.kind == "C" and _commits(after, m)


copy_start: t.Final = statement(COPY)
copy_answered: t.Final = answer(COPY)
pg_dump_begins: t.Final = statement(rb"(?m)^SET DATESTYLE = ISO")
staging_made: t.Final = statement(rb"^COMMENT ON DATABASE \S+ IS 'pgconvoy: staging")
clearing: t.Final = statement(rb"(?m)^DROP TABLE IF EXISTS")
before_switch: t.Final = statement(rb"(?m)^ALTER DATABASE .* RENAME TO")
last_rename: t.Final = statement(rb'(?m)^ALTER DATABASE .*staging" RENAME TO')
commit_of_switch: t.Final = commit(b"RENAME TO")
commit_of_switch_answered: t.Final = commit_answered(b"RENAME TO")
commit_of_replacement: t.Final = commit(b"pg_current_xact_id")
commit_of_replacement_answered: t.Final = commit_answered(b"pg_current_xact_id")
