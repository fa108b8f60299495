# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A note on a database that was found equal: what its catalogs held, and what the source's definitions were.

Where both are the same again, the verdict on the definitions is, too, and nothing of the target need be read for it.
The note can prove that nothing has changed, never that something has. It is a setting of the database, which goes with
it through all renames and is nobody's object.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import typing as t

import msgspec
import psycopg
from psycopg import sql

from ..archive.schema import Entry
from ..catalog.database import NOTE
from ..catalog.identity import ask_identity
from ..server.endpoint import Session
from ..server.inquiry import Inquiry
from .definitions import definitions_of
from .original import Original

#: To be raised whenever the verdict on definitions sees more than before: what was found equal may not be any more.
_EDITION: t.Final = 1


@dataclasses.dataclass(frozen=True)
class Note:
    """What a database bears, and the identity that its catalogs have now."""

    said: str
    identity: str

    def proves_equal(self, original: Original, entries: t.Sequence[Entry]) -> bool:
        """Return whether the database's definitions are known to be the source's.

        :param original: the source, whole
        :param entries: its schema
        """
        return self.said == _word(self.identity, original, entries)


def ask_note() -> Inquiry[Note | None]:
    """Ask a database for its note, and, where it bears one, for what it must still be."""
    (((said,),),) = yield [sql.SQL("SELECT pg_catalog.current_setting({}, true)").format(NOTE)]
    return Note(said, (yield from ask_identity())) if said else None


def leave_note(session: Session, dbname: str, identity: str, original: Original, entries: t.Sequence[Entry]) -> None:
    """Note on a database that its definitions, with this identity of its catalogs, are the source's.

    A role that is no superuser may not, unless it was granted to set the parameter (docs: ALTER DATABASE, GRANT); then
    everything is read the next time.
    """
    note = _word(identity, original, entries)
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege), session.transaction():
        session.execute(
            sql.SQL("ALTER DATABASE {} SET {} TO {}").format(
                sql.Identifier(dbname), sql.Identifier(*NOTE.split(".")), note
            )
        )


def _word(identity: str, original: Original, entries: t.Sequence[Entry]) -> str:
    """Return the note, which is as long for all databases and tells nothing of them.

    Of the source, it covers all that the verdict on definitions is made of.
    """
    definitions = sorted((kind, name, said) for (kind, name), said in definitions_of(entries).items())
    source = (definitions, original.bindings, original.members, original.database.locale, original.database.has_public)
    fingerprint = hashlib.sha256(msgspec.json.encode(source, order="deterministic")).hexdigest()
    return f"{_EDITION} {identity} {fingerprint}"
