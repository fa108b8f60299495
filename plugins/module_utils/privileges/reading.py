# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogs' account of owners, grants and default privileges: few queries, each over all objects."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from psycopg import sql

from ..server.batches import Question
from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer
from .acl import PUBLIC, Grant, Grants
from .catalog import DefaultPrivileges, Initial, Privileges, Role, Securable

# Unqualified names are pg_catalog's: the session's search_path is empty.

# The letters are acldefault's, as it takes them (docs: 9.26 System Information Functions and Operators). Arrays have
# no grants and no owner of their own, shell types no grants (GRANT; aclchk.c). The type of a relation's rows has the
# relation's owner, a multirange its range's; of their grants, pg_dump says nothing, and they are told where there are
# any. From 17 on a multirange has its range's. A range's functions belong to it, and to the bootstrap superuser
# (makeRangeConstructors in typecmds.c). What an extension or initdb has made was made with what pg_init_privs says
# (docs: 53.26 pg_init_privs); of these, only what was changed since is told, and what was given away to a role that
# is no superuser, who can more by that than it was granted. There is nothing of information_schema, which everybody
# is let read but what information_schema.sql leaves out. The schema public is the user's, and so is a large object,
# whose number the user may have chosen. Event triggers belong to superusers alone, and extensions cannot be given
# away. An array is told by its element, which is found by its OID: there is no index on typarray. pg_identify_object
# does not tell procedures apart of which one takes an argument that the other one returns; modes do (DROP).
SECURABLES: t.Final = """
WITH object(letter, classid, objid, owner, acl, namespace, kind) AS (
    SELECT CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", tableoid, oid, relowner, relacl, relnamespace,
           CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END
    FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relpersistence <> 't'
    UNION ALL SELECT 'f', tableoid, oid, proowner, proacl, pronamespace, 'ROUTINE'
    FROM pg_proc p WHERE NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
    UNION ALL SELECT CASE WHEN typisdefined THEN 'T'::"char" END, tableoid, oid, typowner, typacl, typnamespace, 'TYPE'
    FROM pg_type y
    WHERE (SELECT e.typarray FROM pg_type e WHERE e.oid = y.typelem) IS DISTINCT FROM y.oid AND (
        typacl IS NOT NULL
        OR typtype <> 'm' AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = y.typrelid AND c.relkind <> 'c')
        OR cardinality(%(also)s::text[]) > 0 AND (pg_identify_object(tableoid, oid, 0)).identity = ANY (%(also)s)
           AND (typtype <> 'm' OR current_setting('server_version_num')::int < 170000))
    UNION ALL SELECT 'n', tableoid, oid, nspowner, nspacl, 0, 'SCHEMA'
    FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_' AND (oid < 16384 OR nspname <> 'information_schema')
    UNION ALL SELECT 'l', tableoid, oid, lanowner, lanacl, 0, 'LANGUAGE' FROM pg_language WHERE lanpltrusted
    UNION ALL SELECT 'L', 'pg_largeobject'::regclass, oid, lomowner, lomacl, 0, 'LARGE OBJECT'
    FROM pg_largeobject_metadata
    UNION ALL SELECT 'F', tableoid, oid, fdwowner, fdwacl, 0, 'FOREIGN DATA WRAPPER'
    FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'S', tableoid, oid, srvowner, srvacl, 0, 'FOREIGN SERVER' FROM pg_foreign_server
    UNION ALL SELECT NULL, tableoid, oid, oprowner, NULL, oprnamespace, 'OPERATOR' FROM pg_operator
    UNION ALL SELECT NULL, tableoid, oid, opcowner, NULL, opcnamespace, 'OPERATOR CLASS' FROM pg_opclass
    UNION ALL SELECT NULL, tableoid, oid, opfowner, NULL, opfnamespace, 'OPERATOR FAMILY' FROM pg_opfamily
    UNION ALL SELECT NULL, tableoid, oid, collowner, NULL, collnamespace, 'COLLATION' FROM pg_collation
    UNION ALL SELECT NULL, tableoid, oid, conowner, NULL, connamespace, 'CONVERSION' FROM pg_conversion
    UNION ALL SELECT NULL, tableoid, oid, dictowner, NULL, dictnamespace, 'TEXT SEARCH DICTIONARY' FROM pg_ts_dict
    UNION ALL SELECT NULL, tableoid, oid, cfgowner, NULL, cfgnamespace, 'TEXT SEARCH CONFIGURATION' FROM pg_ts_config
    UNION ALL SELECT NULL, tableoid, oid, stxowner, NULL, stxnamespace, 'STATISTICS' FROM pg_statistic_ext
    UNION ALL SELECT NULL, tableoid, oid, pubowner, NULL, 0, 'PUBLICATION' FROM pg_publication
    UNION ALL SELECT NULL, tableoid, oid, extowner, NULL, 0, 'EXTENSION' FROM pg_extension
), marked AS (
    SELECT o.*, n.nspname, CASE
        WHEN (o.objid < 16384 AND o.kind <> 'LARGE OBJECT'
              AND NOT (o.kind = 'SCHEMA' AND o.objid = to_regnamespace('public'))) OR EXISTS (
            SELECT FROM pg_depend d
            WHERE d.classid = o.classid AND d.objid = o.objid AND d.objsubid = 0 AND d.deptype = 'e')
        THEN coalesce(i.initprivs, acldefault(o.letter, o.owner) || CASE
            WHEN o.kind = 'SCHEMA' AND o.objid = to_regnamespace('information_schema')
            THEN ARRAY[makeaclitem(0, o.owner, 'USAGE', false)]
            WHEN o.kind = 'TABLE'
                AND o.objid::regclass::text ~ '^information_schema[.](?!_pg_|sql_parts$|transforms$)'
            THEN ARRAY[makeaclitem(0, o.owner, 'SELECT', false)] END, '{}') END AS made_with
    FROM object o LEFT JOIN pg_namespace n ON n.oid = o.namespace
    LEFT JOIN pg_init_privs i ON i.classoid = o.classid AND i.objoid = o.objid AND i.objsubid = 0
), owned AS (
    SELECT *, made_with IS NOT NULL AND owner NOT IN (SELECT oid FROM pg_roles WHERE rolsuper)
        AND owner IS DISTINCT FROM (
            SELECT e.extowner FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
            WHERE d.classid = m.classid AND d.objid = m.objid AND d.deptype = 'e') AS given_away
    FROM marked m
), securable AS (
    SELECT * FROM owned m
    WHERE (objid < 16384 OR nspname IS DISTINCT FROM 'information_schema') AND (made_with IS NULL
       OR letter IS NOT NULL AND (given_away OR NOT (acl <@ made_with AND acl @> made_with))
       OR kind = 'TABLE' AND EXISTS (
           SELECT FROM pg_attribute a
           WHERE a.attrelid = m.objid AND a.attacl IS NOT NULL AND NOT EXISTS (
               SELECT FROM pg_init_privs c
               WHERE c.classoid = m.classid AND c.objoid = m.objid AND c.objsubid = a.attnum
                 AND c.initprivs = a.attacl))
       OR cardinality(%(also)s::text[]) > 0 AND (pg_identify_object(classid, objid, 0)).identity = ANY (%(also)s))
), named AS (
    SELECT s.*, i.type AS word, CASE i.type
        WHEN 'procedure' THEN (
            SELECT format('%%I.%%I(%%s)', s.nspname, p.proname, (
                SELECT string_agg(CASE a.mode WHEN 'o' THEN 'OUT ' WHEN 'b' THEN 'INOUT ' WHEN 'v' THEN 'VARIADIC '
                    ELSE 'IN ' END || format_type(a.type, NULL), ', ' ORDER BY a.number)
                FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargmodes)
                    WITH ORDINALITY a(type, mode, number)))
            FROM pg_proc p WHERE p.oid = s.objid)
        ELSE i.identity END AS identity
    FROM securable s CROSS JOIN LATERAL pg_identify_object(s.classid, s.objid, 0) i
)
"""


def _exploded(acl: str) -> str:
    return (
        "(SELECT coalesce(json_agg(json_build_array(a.grantee::bigint, a.privilege_type, a.is_grantable,"
        f" a.grantor::bigint)), '[]')::text FROM aclexplode({acl}) a)"
    )


_OBJECTS: t.Final = f"""
{SECURABLES}
SELECT kind, identity, CASE word WHEN 'server' THEN 'foreign server' ELSE word END,
       coalesce(quote_ident(nspname), ''), owner::bigint,
       CASE WHEN acl IS NOT NULL THEN {_exploded("acl")} END,
       CASE WHEN kind = 'TABLE' THEN (
           SELECT json_object_agg(attname, {_exploded("attacl")}::json)::text FROM pg_attribute
           WHERE attrelid = n.objid AND (attnum > 0 OR attacl IS NOT NULL) AND NOT attisdropped) END,
       CASE WHEN made_with IS NOT NULL THEN {_exploded("made_with")} END,
       coalesce(CASE WHEN kind IN ('SEQUENCE', 'TYPE') THEN (
           SELECT (pg_identify_object(d.refclassid, d.refobjid, 0)).identity FROM pg_depend d
           WHERE d.classid = n.classid AND d.objid = n.objid AND d.deptype IN ('a', 'i')
       ) END, ''), given_away
FROM named n
UNION ALL
SELECT 'DATABASE', '', 'database', '', datdba::bigint, CASE WHEN datacl IS NOT NULL THEN {_exploded("datacl")} END,
       NULL, NULL, '', false
FROM pg_database WHERE datname = current_database()
UNION ALL
SELECT 'PARAMETER', parname, 'parameter', '', 10, {_exploded("paracl")}, NULL, {_exploded("acldefault('p', 10)")}, '',
       false
FROM pg_parameter_acl
ORDER BY 1, 2
"""

_DEFAULTS: t.Final = f"""
SELECT defaclrole::bigint, coalesce(quote_ident(nspname), ''),
       CASE defaclobjtype WHEN 'r' THEN 'TABLE' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'ROUTINE' WHEN 'T' THEN 'TYPE'
           WHEN 'n' THEN 'SCHEMA' WHEN 'L' THEN 'LARGE OBJECT' END,
       {_exploded("defaclacl")}
FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace ORDER BY 1, 2, 3
"""

_INITIAL: t.Final = """
SELECT kind, ARRAY(SELECT privilege_type FROM aclexplode(acldefault(letter, 10)) WHERE grantee = 10 ORDER BY 1),
       ARRAY(SELECT privilege_type FROM aclexplode(acldefault(letter, 10)) WHERE grantee = 0 ORDER BY 1)
FROM (VALUES ('r'::"char", 'TABLE'), ('s', 'SEQUENCE'), ('f', 'ROUTINE'), ('T', 'TYPE'), ('n', 'SCHEMA'),
      ('l', 'LANGUAGE'), ('L', 'LARGE OBJECT'), ('F', 'FOREIGN DATA WRAPPER'), ('S', 'FOREIGN SERVER'),
      ('d', 'DATABASE'), ('p', 'PARAMETER')) known(letter, kind)
"""

# From 16 on, not every member of a role can assume it (docs: pg_has_role).
_ROLES: t.Final = """
SELECT oid::bigint, rolname, rolcanlogin, rolsuper,
       pg_has_role(oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END),
       pg_has_role(oid, 'USAGE')
FROM pg_roles ORDER BY 2
"""

#: The superuser that initdb makes (BOOTSTRAP_SUPERUSERID in pg_authid.dat), who owns the parameters.
_BOOTSTRAP: t.Final = 10
#: A grant as the queries tell it: grantee and grantor by their numbers, 0 being everybody.
_Told = tuple[int, str, bool, int]


def read_privileges(session: Session, like: Privileges | None = None) -> Privileges:
    """Read owners, grants and default privileges of the session's database, all at once; see `ask_privileges`."""
    return answer(session, ask_privileges(like))


def ask_privileges(like: Privileges | None = None) -> Inquiry[Privileges]:
    """Ask for owners, grants and default privileges of a database.

    A role that is gone but still named somewhere has the name "".

    :param like: privileges that this database's are to become: what is changed there of the server's own objects, an
        extension's, or types of rows is told of this one, too
    """
    changed = [o for o in like.objects if o.made_with is not None or o.is_implied] if like else []
    questions: list[Question] = [
        _ROLES,
        "SELECT current_user::text",
        _objects([o.identity for o in changed]),
        _DEFAULTS,
        _INITIAL,
    ]
    known, ((user,),), rows, defaults, initial = yield questions
    names: dict[int, str] = {0: PUBLIC} | {oid: name for oid, name, *_ in known}
    objects = [_securable(names, *row) for row in rows]
    keys = {securable.key for securable in objects}
    # Of a parameter that nobody has granted, there is nothing to be read.
    objects += [
        dataclasses.replace(o, owner=names[_BOOTSTRAP], acl=None)
        for o in changed
        if o.kind == "PARAMETER" and o.key not in keys
    ]
    return Privileges(
        user=user,
        objects=tuple(objects),
        defaults=tuple(
            DefaultPrivileges(names.get(role, ""), schema, kind, _grants(names, told))
            for role, schema, kind, told in defaults
        ),
        roles={name: Role(*described) for _, name, *described in known},
        initial={kind: Initial(tuple(owner), tuple(public)) for kind, owner, public in initial},
    )


def _objects(also: list[str]) -> sql.Composed:
    """Return the query for all objects; those also named are told even where nothing of them is changed."""
    # A far server need not be sent how its lines are indented; none of its literals has two spaces.
    query = " ".join(_OBJECTS.split()).replace("%%", "%")
    before, *after = (sql.SQL(part) for part in query.split("%(also)s"))
    return sql.Composed([before, *(piece for part in after for piece in (sql.Literal(also), part))])


def _securable(
    names: t.Mapping[int, str],
    kind: str,
    identity: str,
    word: str,
    schema: str,
    owner: int,
    acl: str | None,
    columns: str | None,
    made_with: str | None,
    follows: str,
    given_away: bool,
) -> Securable:
    return Securable(
        kind=kind,
        identity=identity,
        word=word,
        schema=schema,
        owner=names.get(owner, ""),
        acl=None if acl is None else _grants(names, acl),
        columns={name: _told(names, granted) for name, granted in json.loads(columns or "{}").items()},
        made_with=None if made_with is None else _grants(names, made_with),
        follows=follows,
        given_away=given_away,
    )


def _grants(names: t.Mapping[int, str], told: str) -> Grants:
    # psycopg's own reading of JSON knows UTF-8 alone, and the session's encoding may be another one.
    return _told(names, json.loads(told))


def _told(names: t.Mapping[int, str], told: list[_Told]) -> Grants:
    return frozenset(
        Grant(names.get(grantee, ""), privilege, grantable, names.get(grantor, ""))
        for grantee, privilege, grantable, grantor in told
    )
