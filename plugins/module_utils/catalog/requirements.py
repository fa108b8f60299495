# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database needs of a server that is to hold a copy of it."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg

from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer
from .named_values import NamedValue, read_named_values


@dataclasses.dataclass(frozen=True)
class Need:
    """Something needed, and the object that needs it."""

    what: str
    object: str


@dataclasses.dataclass(frozen=True)
class Extension:
    """An installed extension."""

    name: str
    version: str
    schema: str = ""


@dataclasses.dataclass(frozen=True)
class Requirements:
    """What the server must offer, as far as no rehearsal of the schema tells it; each list sorted.

    Archives of earlier versions tell more; that is passed over.
    """

    extensions: tuple[Extension, ...]
    #: roles named by policies and user mappings
    roles: tuple[Need, ...]
    #: columns of type xml that may hold something
    xml: tuple[Need, ...]
    #: collations that initdb makes of the locales it finds, and an object that uses each
    predefined: tuple[Need, ...] = ()
    #: collations of ICU that every server from 16 on lists, also one built without it, and the columns they sort
    icu: tuple[Need, ...] = ()
    #: how many objects are locked as they are made: tables, indexes, sequences, large objects with comments ...
    relations: int = 0
    #: names of roles and objects that rows hold
    named: tuple[NamedValue, ...] = ()


# Unqualified names are pg_catalog's: the session's search_path is empty.
_EXTENSIONS: t.Final = """
SELECT e.extname, e.extversion, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.oid >= 16384 ORDER BY 1
"""

# pg_shdepend marks the roles of policies with 'r' (docs: 53.49 pg_shdepend, SHARED_DEPENDENCY_POLICY).
_ROLES: t.Final = """
SELECT pg_get_userbyid(d.refobjid), i.type || ' ' || i.identity
FROM pg_shdepend d CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND d.deptype = 'r'
  AND d.refclassid = 'pg_authid'::regclass
UNION
SELECT usename, 'user mapping for server ' || srvname FROM pg_user_mappings WHERE umuser <> 0
"""

# Those below are on every server, and nothing is recorded to depend on them (FirstUnpinnedObjectId in transam.h).
_PREDEFINED: t.Final = """
SELECT c.collname, min(i.type || ' ' || i.identity)
FROM pg_depend d JOIN pg_collation c ON c.oid = d.refobjid AND c.oid BETWEEN 12000 AND 16383
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) i
WHERE d.refclassid = 'pg_collation'::regclass AND d.objid >= 16384
GROUP BY 1
"""

# Columns of type xml, of arrays of it and of domains over it.
_COLUMNS: t.Final = """
SELECT n.nspname, c.relname, a.attname
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.oid >= 16384
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type y ON y.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped
  AND 'xml'::regtype IN (y.oid, y.typelem, y.typbasetype)
ORDER BY 1, 2, 3
"""

# Nothing else that has them fails late: an index is refused when it is made, a materialized view when it is refreshed.
_ICU: t.Final = """
SELECT c.collname, 'column ' || n.nspname || '.' || r.relname || '.' || a.attname
FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation AND c.oid < 12000 AND c.collprovider = 'i'
JOIN pg_class r ON r.oid = a.attrelid AND r.relkind IN ('r', 'p', 'm') AND r.relpersistence <> 't' AND r.oid >= 16384
JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped
"""


def read_extensions(session: Session) -> tuple[Extension, ...]:
    """Return the extensions that the session's database has, by name."""
    return answer(session, ask_extensions())


def ask_extensions() -> Inquiry[tuple[Extension, ...]]:
    """Ask for the extensions that a database has, by name."""
    (rows,) = yield [_EXTENSIONS]
    return tuple(Extension(*row) for row in rows)


def read_default_versions(session: Session) -> dict[str, str]:
    """Return the version in which the session's server creates each of its extensions."""
    return answer(session, ask_default_versions())


def ask_default_versions() -> Inquiry[dict[str, str]]:
    """Ask for the version in which a server creates each of its extensions."""
    (rows,) = yield ["SELECT name, default_version FROM pg_available_extensions"]
    return {name: version for name, version in rows if version is not None}


def read_requirements(session: Session) -> Requirements:
    """Return what the session's database needs."""

    def needs(query: t.LiteralString) -> tuple[Need, ...]:
        return tuple(sorted((Need(*row) for row in session.execute(query).fetchall()), key=dataclasses.astuple))

    return Requirements(
        extensions=read_extensions(session),
        roles=needs(_ROLES),
        named=read_named_values(session),
        predefined=needs(_PREDEFINED),
        icu=needs(_ICU),
        xml=_xml_columns(session),
        relations=_count_relations(session),
    )


def _count_relations(session: Session) -> int:
    row = session.execute(
        "SELECT (SELECT count(*) FROM pg_class WHERE oid >= 16384)"
        " + (SELECT count(*) FROM pg_description WHERE classoid = 'pg_largeobject'::regclass)"
    ).fetchone()
    return row[0] if row else 0


def _xml_columns(session: Session) -> tuple[Need, ...]:
    """Return the columns of type xml. On a server that is built without libxml they can be, but hold no values."""
    try:
        with session.transaction():
            session.execute("SELECT xmlparse(CONTENT '')")
    except psycopg.errors.FeatureNotSupported:
        return ()
    return tuple(Need("xml", ".".join(row)) for row in session.execute(_COLUMNS).fetchall())
