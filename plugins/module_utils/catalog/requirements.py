# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database needs of a server that is to hold a copy of it."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg

from ..endpoint import Session
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
    """All that the server must offer; each list sorted."""

    extensions: tuple[Extension, ...]
    #: roles named by policies and user mappings
    roles: tuple[Need, ...]
    #: objects that only a superuser can create, and why
    superuser: tuple[Need, ...]
    #: collations of the provider icu
    icu: tuple[Need, ...]
    #: columns of type xml that may hold something
    xml: tuple[Need, ...]
    #: collations made of the C library's locales, and what they are made of
    libc: tuple[Need, ...] = ()
    #: collations that initdb makes of the locales it finds, and an object that uses each
    predefined: tuple[Need, ...] = ()
    #: settings of functions, as name=value
    settings: tuple[Need, ...] = ()
    #: shared libraries of functions
    libraries: tuple[Need, ...] = ()
    #: columns compressed by lz4
    lz4: tuple[Need, ...] = ()
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

_SUPERUSER: t.Final = """
WITH object(why, classid, objid) AS (
    SELECT 'an event trigger', 'pg_event_trigger'::regclass, oid FROM pg_event_trigger
    UNION ALL SELECT 'written in ' || l.lanname, 'pg_proc'::regclass, p.oid
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE NOT l.lanpltrusted AND p.prokind <> 'a'
    UNION ALL SELECT 'leakproof', 'pg_proc'::regclass, oid FROM pg_proc WHERE proleakproof
    UNION ALL SELECT 'sets ' || s.name, 'pg_proc'::regclass, p.oid
    FROM pg_proc p CROSS JOIN unnest(p.proconfig) c JOIN pg_settings s ON s.name = split_part(c, '=', 1)
    WHERE s.context = 'superuser'
    UNION ALL SELECT 'a transition value of type internal', 'pg_proc'::regclass, aggfnoid FROM pg_aggregate
    WHERE 'internal'::regtype IN (aggtranstype, aggmtranstype)
    UNION ALL SELECT 'a base type', 'pg_type'::regclass, oid FROM pg_type y
    WHERE (typtype = 'b' OR NOT typisdefined) AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = y.oid)
    UNION ALL SELECT 'a foreign-data wrapper', 'pg_foreign_data_wrapper'::regclass, oid FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'a publication of all tables', 'pg_publication'::regclass, oid
    FROM pg_publication WHERE puballtables
    UNION ALL SELECT 'a publication of a schema', 'pg_publication'::regclass, pnpubid FROM pg_publication_namespace
    UNION ALL SELECT 'an operator class', 'pg_opclass'::regclass, oid FROM pg_opclass
    UNION ALL SELECT 'an operator family', 'pg_opfamily'::regclass, oid FROM pg_opfamily
    UNION ALL SELECT 'a text search parser', 'pg_ts_parser'::regclass, oid FROM pg_ts_parser
    UNION ALL SELECT 'a text search template', 'pg_ts_template'::regclass, oid FROM pg_ts_template
    UNION ALL SELECT 'an access method', 'pg_am'::regclass, oid FROM pg_am
    UNION ALL SELECT 'a cast without function', 'pg_cast'::regclass, oid FROM pg_cast WHERE castmethod = 'b'
    UNION ALL SELECT 'a cast between built-in types', 'pg_cast'::regclass, oid FROM pg_cast
    WHERE greatest(castsource, casttarget) < 16384
    UNION ALL SELECT 'a transform of a built-in type', 'pg_transform'::regclass, oid FROM pg_transform
    WHERE trftype < 16384
)
-- An extension's members come with it, a range type's functions with the type.
SELECT DISTINCT o.why, i.type || ' ' || coalesce(i.identity, i.name)
FROM object o CROSS JOIN LATERAL pg_identify_object(o.classid, o.objid, 0) i
WHERE o.objid >= 16384 AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = o.classid AND d.objid = o.objid AND d.deptype IN ('e', 'i'))
"""

_ICU: t.Final = """
SELECT 'icu', n.nspname || '.' || c.collname FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.collprovider = 'i' AND c.oid >= 16384
"""

_LIBC: t.Final = """
SELECT c.collcollate, n.nspname || '.' || c.collname
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.collprovider = 'c' AND c.oid >= 16384 AND c.collcollate NOT IN ('C', 'POSIX')
"""

# Those below are on every server, and nothing is recorded to depend on them (FirstUnpinnedObjectId in transam.h).
_PREDEFINED: t.Final = """
SELECT c.collname, min(i.type || ' ' || i.identity)
FROM pg_depend d JOIN pg_collation c ON c.oid = d.refobjid AND c.oid BETWEEN 12000 AND 16383
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) i
WHERE d.refclassid = 'pg_collation'::regclass AND d.objid >= 16384
GROUP BY 1
"""

# An extension's functions come with it.
_FUNCTIONS: t.Final = """
FROM pg_proc p CROSS JOIN LATERAL pg_identify_object('pg_proc'::regclass, p.oid, 0) i
WHERE p.oid >= 16384 AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
"""

_SETTINGS: t.Final = f"SELECT unnest(p.proconfig), i.type || ' ' || i.identity {_FUNCTIONS}"

_LIBRARIES: t.Final = f"SELECT p.probin, i.type || ' ' || i.identity {_FUNCTIONS} AND p.probin IS NOT NULL"

_LZ4: t.Final = """
SELECT 'lz4', n.nspname || '.' || c.relname || '.' || a.attname
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relpersistence <> 't'
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attcompression = 'l' AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm', 'f')
  AND c.oid >= 16384
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


def read_extensions(session: Session) -> tuple[Extension, ...]:
    """Return the extensions that the session's database has, by name."""
    return tuple(Extension(*row) for row in session.execute(_EXTENSIONS).fetchall())


def read_default_versions(session: Session) -> dict[str, str]:
    """Return the version in which the session's server creates each of its extensions."""
    rows = session.execute("SELECT name, default_version FROM pg_available_extensions").fetchall()
    return {name: version for name, version in rows if version is not None}


def read_requirements(session: Session) -> Requirements:
    """Return what the session's database needs."""

    def needs(query: t.LiteralString) -> tuple[Need, ...]:
        return tuple(sorted((Need(*row) for row in session.execute(query).fetchall()), key=dataclasses.astuple))

    return Requirements(
        extensions=read_extensions(session),
        roles=needs(_ROLES),
        named=read_named_values(session),
        superuser=needs(_SUPERUSER),
        icu=needs(_ICU),
        libc=needs(_LIBC),
        predefined=needs(_PREDEFINED),
        settings=needs(_SETTINGS),
        libraries=needs(_LIBRARIES),
        lz4=needs(_LZ4),
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
