# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A source's definitions in the words of the target's server, which a rehearsal has told: they need be asked once."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import typing as t

import msgspec

from ..archive.folder import create_private
from ..archive.schema import Entry
from ..server.endpoint import Endpoint
from ..server.inquiry import Inquiry
from .definitions import definitions_of
from .original import Original

# What servers word otherwise than they were told: expressions, and queries of views and rules. Nothing follows from it
# but whether the server's words are worth asking for.
_WORDINGS: t.Final = """
SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.textsend(coalesce(
    pg_catalog.string_agg(said, E'\\n' ORDER BY said COLLATE "C"), ''))), 'hex')
FROM (
    SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint WHERE contype IN ('c', 'x')
    UNION ALL SELECT pg_catalog.pg_get_expr(adbin, adrelid) FROM pg_catalog.pg_attrdef
    UNION ALL SELECT pg_catalog.pg_get_indexdef(indexrelid) FROM pg_catalog.pg_index
              WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
    UNION ALL SELECT pg_catalog.pg_get_ruledef(oid) FROM pg_catalog.pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT pg_catalog.pg_get_triggerdef(oid) FROM pg_catalog.pg_trigger WHERE tgqual IS NOT NULL
    UNION ALL SELECT pg_catalog.pg_get_expr(polqual, polrelid) FROM pg_catalog.pg_policy
    UNION ALL SELECT pg_catalog.pg_get_expr(polwithcheck, polrelid) FROM pg_catalog.pg_policy
) worded(said)
"""


@dataclasses.dataclass(frozen=True)
class Words:
    """What a server made of a source's definitions, and of which it was."""

    of: str
    entries: tuple[Entry, ...]


def ask_wordings() -> Inquiry[str]:
    """Ask for a hash of all that a server may word otherwise."""
    (((wordings,),),) = yield [_WORDINGS]
    return str(wordings)


def identify(target: Endpoint, server_version: int, original: Original, entries: t.Iterable[Entry]) -> str:
    """Return what the words of a target's server depend on, as a hash: which server it is, and what it is told.

    :param entries: the source's schema
    """
    database = original.database
    told = (sorted((*key, said) for key, said in definitions_of(entries).items()), database.locale, database.has_public)
    whole = (server_version, target.host, target.port, target.user, database.serving_path, told)
    return hashlib.sha256(msgspec.json.encode(whole)).hexdigest()


def keep_words(path: pathlib.Path, words: Words) -> None:
    """Write them to a file."""
    with create_private(path) as stream:
        stream.write(msgspec.json.encode(words))


def read_words(path: pathlib.Path) -> Words | None:
    """Return what is in the file, if there is one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Words)
    except FileNotFoundError:
        return None
