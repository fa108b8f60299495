# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What extensions' members are: pg_dump says CREATE EXTENSION alone, and nothing of what was altered since."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from psycopg import sql

from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer
from .facets import IDENTITY, NAME, Fields, ask_catalogs
from .requirements import Extension


@dataclasses.dataclass(frozen=True)
class Member:
    """An object that belongs to an extension, or is part of one that does, such as an index of its table.

    ``facets`` are its rows in the catalogs, by catalog and, where there are several, a name: ``pg_attribute id``.
    """

    extension: str
    #: kind and name as pg_identify_object says them
    kind: str
    name: str
    #: the identity of the member that it is part of, if it is
    part_of: str
    facets: dict[str, Fields]

    @property
    def identity(self) -> str:
        """Kind and name, as differences and findings say them."""
        return f"{self.kind} {self.name}"


@dataclasses.dataclass(frozen=True)
class Members:
    """All members of all extensions, by identity, and the major version of the server that tells them."""

    major: int
    extensions: tuple[Extension, ...]
    members: tuple[Member, ...]


# Unqualified names are pg_catalog's: the session's search_path is empty.
# Besides members themselves, what is part of them: it may have been added since. What pg_dump says by itself although
# it hangs on a member (a partition, statistics, an operator class of its family) is none of that.
_MEMBERS: t.Final = """
WITH RECURSIVE belonging(extension, classid, objid, whole_class, whole_object) AS (
    SELECT e.extname, d.classid, d.objid, NULL::oid, NULL::oid
    FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
    UNION
    SELECT b.extension, d.classid, d.objid, coalesce(whole_class, b.classid), coalesce(whole_object, b.objid)
    FROM belonging b JOIN pg_depend d ON d.refclassid = b.classid AND d.refobjid = b.objid
    WHERE d.deptype = 'i' OR (d.deptype IN ('a', 'P', 'S') AND (
        d.classid IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_trigger'::regclass,
                      'pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_amop'::regclass, 'pg_amproc'::regclass)
        OR (d.classid = 'pg_class'::regclass
            AND EXISTS (SELECT FROM pg_class c WHERE c.oid = d.objid AND c.relkind IN ('i', 'I')))))
), object AS MATERIALIZED (
    SELECT DISTINCT ON (b.classid, b.objid) b.classid, b.objid, ARRAY[b.extension::text, i.type, {name}, coalesce((
               SELECT {identity} FROM pg_identify_object(b.whole_class, b.whole_object, 0) i), '')] AS words
    FROM belonging b CROSS JOIN LATERAL pg_identify_object(b.classid, b.objid, 0) i
    WHERE i.schema IS DISTINCT FROM 'pg_toast' AND i.identity IS NOT NULL
    ORDER BY b.classid, b.objid, b.whole_object, b.whole_class
)
SELECT * FROM ({facets}) facets(words, facet, fields) ORDER BY words, facet
"""

_EXTENSIONS: t.Final = """
SELECT e.extname, e.extversion, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY 1
"""


def read_members(session: Session) -> Members:
    """Return what all extensions' members are; see `ask_members`."""
    return answer(session, ask_members(session.info.server_version))


def ask_members(version: int) -> Inquiry[Members]:
    """Ask what all extensions' members are: a few questions however many there are.

    :param version: of the server that is asked
    """
    catalogs = yield from ask_catalogs()
    facets = sql.SQL(" UNION ALL ".join(catalog.facets for catalog in catalogs))
    query = sql.SQL(_MEMBERS).format(name=sql.SQL(NAME), identity=sql.SQL(IDENTITY), facets=facets)
    found: dict[tuple[str, str, str, str], dict[str, Fields]] = collections.defaultdict(dict)
    rows, extensions = yield [query, _EXTENSIONS]
    for (extension, kind, name, part_of), facet, fields in rows:
        found[extension, kind, name, part_of][facet] = fields
    return Members(
        major=version // 10000,
        extensions=tuple(Extension(*row) for row in extensions),
        members=tuple(Member(*described, facets) for described, facets in found.items()),
    )
