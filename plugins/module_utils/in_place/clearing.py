# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a live database holds goes, so that a new schema can take its place."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..archive.schema import Entry
from ..catalog.requirements import Extension, read_default_versions
from ..errors import MigrationError, describe
from ..server.endpoint import Session
from .locks import PATIENCE, impatient


@dataclasses.dataclass(frozen=True)
class Kept:
    """What stays although all else goes: the extensions that the source has just so, and the schemas that hold them.

    The schema public stays where both have it, with its grants.
    """

    extensions: tuple[str, ...]
    schemas: tuple[str, ...]
    #: those of both that are somebody else's, as pg_dump names them in comments
    foreign: frozenset[str]

    def without(self, entries: t.Iterable[Entry]) -> list[Entry]:
        """Return the entries that are still to be created; an extension's says by itself IF NOT EXISTS."""
        schemas = {_as_in_archive(name) for name in self.schemas}
        return [
            entry
            for entry in entries
            if not (entry.kind == "SCHEMA" and entry.name in schemas)
            and not (entry.kind == "COMMENT" and entry.name in self.foreign)
        ]


@dataclasses.dataclass(frozen=True)
class ObjectToDrop:
    """An object that goes: its kind as DROP says it, and whether the session's user may drop it."""

    kind: str
    identity: str
    owner: str
    own: bool

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.identity}"

    @property
    def statement(self) -> bytes:
        """The statement that drops it, if nothing else has."""
        return f"DROP {self.kind} IF EXISTS {self.identity} CASCADE;".encode()


# Unqualified names are pg_catalog's: the session's search_path is empty.
_EXTENSIONS: t.Final = """
SELECT e.extname, n.nspname, e.extversion
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.oid >= 16384 ORDER BY 1
"""

_FOREIGN: t.Final = """
SELECT 'EXTENSION ' || extname FROM pg_extension WHERE extname = ANY (%s) AND NOT pg_has_role(extowner, 'USAGE')
UNION ALL
SELECT 'SCHEMA ' || nspname FROM pg_namespace WHERE nspname = ANY (%s) AND NOT pg_has_role(nspowner, 'USAGE')
"""


def find_kept(session: Session, source: t.Iterable[Extension], has_public: bool) -> Kept:
    """Return what of the session's database stays.

    :param source: the source's extensions
    :param has_public: whether the source has the schema public
    """
    wanted = {extension.name: extension for extension in source}
    defaults = read_default_versions(session)
    extensions, schemas = [], {"public"} if has_public else set()
    for name, schema, version in session.execute(_EXTENSIONS).fetchall():
        there = wanted.get(name)
        if there and version in (there.version, defaults.get(name)) and there.schema in ("", schema):
            extensions.append(name)
            schemas.add(schema)
    foreign = session.execute(_FOREIGN, (extensions, list(schemas))).fetchall()
    return Kept(tuple(extensions), tuple(sorted(schemas)), frozenset(_as_in_archive(name) for (name,) in foreign))


# What DROP calls otherwise than pg_identify_object (getObjectTypeDescription in objectaddress.c).
_KINDS: t.Final = {
    "aggregate": "ROUTINE",
    "composite type": "TYPE",
    "foreign-data wrapper": "FOREIGN DATA WRAPPER",
    "function": "ROUTINE",
    "procedure": "ROUTINE",
    "statistics object": "STATISTICS",
}

# Event triggers go first, since they fire at the others' end; then relations, since an extension cannot be dropped
# under an index with options of its operator class (ERROR: operator class ... has no options). A schema takes along
# what is in it; of one that stays, the objects are those that depend on it. Owners are in pg_shdepend, but for the
# bootstrap superuser, who needs no entry (docs: 53.49 pg_shdepend). Who owns a schema may drop all in it (docs: DROP
# TABLE). pg_identify_object words a transform otherwise than DROP does, and does not tell procedures apart of which one
# takes an argument that the other one returns.
_DOOMED: t.Final = """
WITH schema AS (
    SELECT oid, nspname, nspowner, nspname = ANY (%(schemas)s) AS stays FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), object(place, classid, objid, schema_owner) AS (
    SELECT 1, 'pg_event_trigger'::regclass, oid, 0::oid FROM pg_event_trigger
    UNION ALL SELECT 1, 'pg_publication'::regclass, oid, 0 FROM pg_publication
    UNION ALL SELECT 2, 'pg_class'::regclass, c.oid, s.nspowner
    FROM pg_class c JOIN schema s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm')
    UNION ALL SELECT 3, 'pg_extension'::regclass, oid, 0 FROM pg_extension WHERE extname <> ALL (%(extensions)s)
    UNION ALL SELECT 4, 'pg_namespace'::regclass, oid, nspowner FROM schema WHERE NOT stays
    UNION ALL SELECT 5, d.classid, d.objid, s.nspowner
    FROM schema s JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = s.oid
    WHERE s.stays AND d.deptype = 'n' AND d.classid <> 'pg_extension'::regclass
    UNION ALL SELECT 6, 'pg_foreign_data_wrapper'::regclass, oid, 0 FROM pg_foreign_data_wrapper
    UNION ALL SELECT 6, 'pg_foreign_server'::regclass, oid, 0 FROM pg_foreign_server
    UNION ALL SELECT 6, 'pg_language'::regclass, oid, 0 FROM pg_language
    UNION ALL SELECT 6, 'pg_cast'::regclass, oid, 0 FROM pg_cast
    UNION ALL SELECT 6, 'pg_transform'::regclass, oid, 0 FROM pg_transform
    UNION ALL SELECT 6, 'pg_am'::regclass, oid, 0 FROM pg_am
)
SELECT i.type, CASE i.type
           WHEN 'procedure' THEN (
               SELECT format('%%I.%%I(%%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
               FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = o.objid)
           WHEN 'transform' THEN (
               SELECT format('FOR %%s LANGUAGE %%I', format_type(t.trftype, NULL), l.lanname)
               FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang WHERE t.oid = o.objid)
           ELSE i.identity END,
       pg_get_userbyid(owner.oid),
       pg_has_role(owner.oid, 'USAGE') OR (o.schema_owner <> 0 AND pg_has_role(o.schema_owner, 'USAGE'))
       OR o.classid IN ('pg_cast'::regclass, 'pg_transform'::regclass)
FROM object o
CROSS JOIN LATERAL pg_identify_object(o.classid, o.objid, 0) i
CROSS JOIN LATERAL (
    SELECT coalesce(CASE WHEN o.place = 4 THEN o.schema_owner END, (
        SELECT refobjid FROM pg_shdepend
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND classid = o.classid AND objid = o.objid AND objsubid = 0 AND deptype = 'o'), 10)
) owner(oid)
WHERE (o.objid >= 16384 OR i.identity = 'public') AND NOT EXISTS (
    -- What belongs to something else goes with it; an extension's members stay or go with the extension.
    SELECT FROM pg_depend d
    WHERE d.classid = o.classid AND d.objid = o.objid AND d.objsubid = 0 AND d.deptype IN ('e', 'i', 'P', 'S'))
ORDER BY o.place, i.type, i.identity
"""


def list_objects_to_drop(session: Session, kept: Kept) -> list[ObjectToDrop]:
    """Return what goes, in order, but for large objects."""
    rows = session.execute(_DOOMED, {"extensions": list(kept.extensions), "schemas": list(kept.schemas)}).fetchall()
    return [ObjectToDrop(_KINDS.get(kind, kind.upper()), *rest) for kind, *rest in rows]


def is_empty(session: Session) -> bool:
    """Return whether the database holds nothing of a user's."""
    objects = session.execute("SELECT FROM pg_catalog.pg_largeobject_metadata LIMIT 1").fetchone()
    return objects is None and not list_objects_to_drop(session, Kept((), ("public",), frozenset()))


# LOCK TABLE knows tables alone. Those of somebody else's are locked as they are dropped.
_LOCKABLE: t.Final = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.oid >= 16384 AND pg_has_role(c.relowner, 'USAGE')
  AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
"""

_CONFIGURATION: t.Final = """
SELECT n.nspname, c.relname, c.relkind = 'S', e.condition
FROM pg_extension x CROSS JOIN LATERAL unnest(x.extconfig, x.extcondition) e(relation, condition)
JOIN pg_class c ON c.oid = e.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE x.extname = ANY (%s)
"""


def clear(session: Session, kept: Kept, has_public: bool, patience: str = PATIENCE) -> None:
    """Lock all tables, and drop everything but what is kept; the session must be in a transaction.

    :param has_public: whether there must be a schema public
    :param patience: how long each lock is waited for, as the server spells it
    :raises MigrationError: when a lock cannot be had, naming those who hold it, or the server refuses
    """
    try:
        with impatient(session, patience):
            _lock(session)
            session.execute(b"\n".join(doomed.statement for doomed in list_objects_to_drop(session, kept)))
            # Not before the publications are gone, which may keep rows from being deleted.
            for schema, name, is_sequence, condition in session.execute(_CONFIGURATION, (list(kept.extensions),)):
                _empty(session, sql.Identifier(schema, name), is_sequence, condition)
            session.execute("SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata")
            _settle_public(session, has_public)
    except psycopg.Error as error:
        raise MigrationError(f"Cannot clear the live database, which is as it was: {describe(error)}") from None


def _lock(session: Session) -> None:
    tables = [sql.Identifier(schema, name) for schema, name in session.execute(_LOCKABLE).fetchall()]
    if tables:
        session.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.SQL(", ").join(tables)))


def _empty(session: Session, relation: sql.Identifier, is_sequence: bool, condition: str) -> None:
    """Take the user's rows out of an extension's configuration table."""
    if is_sequence:
        # Unlike setval, this is undone by a rollback, and so is whatever is done to the sequence after it.
        session.execute(sql.SQL("ALTER SEQUENCE {} RESTART").format(relation))
    else:
        session.execute(sql.SQL("DELETE FROM ONLY {} {}").format(relation, sql.SQL(condition)))


def _settle_public(session: Session, has_public: bool) -> None:
    """Leave a schema public as initdb makes it (docs: 5.9.6 Schemas and Privileges), or none."""
    comment = session.execute(
        "SELECT pg_catalog.obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace WHERE nspname = 'public'"
    ).fetchone()
    if has_public and comment is None:
        session.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        session.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
    if has_public and comment != ("standard public schema",):
        session.execute("COMMENT ON SCHEMA public IS 'standard public schema'")


def _as_in_archive(name: str) -> str:
    """Return a name as pg_restore prints it in an entry's head (sanitize_line in dumputils.c)."""
    return name.replace("\n", " ").replace("\r", " ")
