# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A note of a database that was found equal: what its catalogs held, and what the source's definitions were.

Where both are the same again, the verdict on the definitions is, too, and nothing of the target need be read for it.
The note can prove that nothing has changed, never that something has. From one run to the next it is a setting of the
database, which goes with it through all renames and is nobody's object; from one stage to the next it is a file.
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
from ..catalog.identity import Identity, ask_definers, ask_identity
from ..server.batches import change
from ..server.endpoint import Session
from ..server.inquiry import Inquiry, ask, together
from .definitions import definitions_of
from .original import Original

#: To be raised whenever the verdict on definitions sees more than before: what was found equal may not be any more.
_EDITION: t.Final = 3


@dataclasses.dataclass(frozen=True)
class Note:
    """What is noted of a database, if anything is, and the identity that its catalogs have now."""

    said: str
    identity: str

    def proves_equal(self, original: Original, entries: t.Sequence[Entry]) -> bool:
        """Return whether the database's definitions are known to be the source's.

        :param original: the source, whole
        :param entries: its schema
        """
        return self.said == self.renewed(original, entries)

    def renewed(self, original: Original, entries: t.Sequence[Entry]) -> str:
        """Return what is to be noted of a database whose definitions, as they are now, were found to be the source's.

        It is as long for all databases and tells nothing of them. Of the source, it covers all that the verdict on
        definitions is made of.
        """
        definitions = sorted((kind, name, said) for (kind, name), said in definitions_of(entries).items())
        database = original.database
        source = (
            definitions,
            original.bindings,
            original.unsaid,
            original.members,
            database.locale,
            database.has_public,
        )
        fingerprint = hashlib.sha256(msgspec.json.encode(source, order="deterministic")).hexdigest()
        return f"{_EDITION} {self.identity} {fingerprint}"


def ask_note(*, anyhow: bool = False) -> Inquiry[Note | None]:
    """Ask a database for its note, and, where it bears one, for what it must still be.

    :param anyhow: to ask for that where it bears none as well
    """
    note = ask(sql.SQL("SELECT pg_catalog.current_setting({}, true)").format(NOTE))
    # What an identity is asked by travels with it.
    (((said,),),), definers = yield from together(note, ask_definers())
    return Note(said or "", (yield from ask_identity(definers)).hash) if said or anyhow else None


@dataclasses.dataclass(frozen=True)
class NewNote:
    """That a database's definitions, with this identity of its catalogs, are the source's."""

    identity: Identity
    original: Original
    entries: t.Sequence[Entry]

    def leave(self, session: Session, dbname: str) -> None:
        """Note it on the session's database, unless others have changed that meanwhile, of which nothing is known.

        A role that is no superuser may not, unless it was granted to set the parameter (docs: ALTER DATABASE, GRANT);
        then everything is read the next time.
        """
        if not self.identity.is_still_of(session):
            return
        note = sql.SQL("ALTER DATABASE {} SET {} TO {}").format(
            sql.Identifier(dbname),
            sql.Identifier(*NOTE.split(".")),
            Note("", self.identity.hash).renewed(self.original, self.entries),
        )
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            change(session, note.as_bytes(session))
