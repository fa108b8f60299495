# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles can do, by the server's own word (has_..._privilege), before and after."""

from __future__ import annotations

import collections
import dataclasses
import json
import typing as t

from ..server.endpoint import Session
from .acl import PUBLIC
from .catalog import Initial, Privileges
from .reading import SECURABLES

#: (role, kind, object) and the privileges; of columns, those that are granted by themselves.
Able = dict[tuple[str, str, str], frozenset[str]]


@dataclasses.dataclass(frozen=True)
class Change:
    """How many objects of a kind a role could use by a privilege, and can; those lost, and those gained, by name."""

    role: str
    kind: str
    privilege: str
    before: int
    after: int
    lost: tuple[str, ...]
    gained: tuple[str, ...]


# The functions by the kinds that they are about (docs: 9.26 System Information Functions and Operators). Before 18
# there is none for large objects.
_FUNCTIONS: t.Final = {
    "TABLE": "has_table_privilege",
    "SEQUENCE": "has_sequence_privilege",
    "ROUTINE": "has_function_privilege",
    "TYPE": "has_type_privilege",
    "SCHEMA": "has_schema_privilege",
    "LANGUAGE": "has_language_privilege",
    "FOREIGN DATA WRAPPER": "has_foreign_data_wrapper_privilege",
    "FOREIGN SERVER": "has_server_privilege",
}
_SINCE_18: t.Final = {"LARGE OBJECT": "has_largeobject_privilege"}

_COLUMN: t.Final = ("SELECT", "INSERT", "UPDATE", "REFERENCES")


def roles_to_ask(*sides: Privileges) -> list[str]:
    """Return the roles that own something or are granted something on any side: what others can do follows."""
    found = set()
    for side in sides:
        for securable in side.objects:
            found.add(securable.owner)
            for grants in (side.grants(securable), *securable.columns.values()):
                found |= {grant.grantee for grant in grants}
    return sorted(found - {PUBLIC, ""})


def _compose(functions: t.Mapping[str, str]) -> bytes:
    """Return the query, which asks the function of each kind of object."""
    cases = " ".join(f"WHEN '{kind}' THEN {function}(r.name, n.objid, p)" for kind, function in functions.items())
    return f"""
{SECURABLES.replace("WITH object", "WITH RECURSIVE object")}
, member(oid) AS (
    SELECT oid FROM pg_roles WHERE rolname = ANY (%(roles)s)
    UNION SELECT m.member FROM pg_auth_members m JOIN member ON m.roleid = member.oid
), role(name) AS (
    SELECT rolname FROM pg_roles JOIN member USING (oid) WHERE NOT rolsuper
    UNION ALL SELECT '{PUBLIC}'
), known(kind, privileges) AS (
    SELECT key, ARRAY(SELECT jsonb_array_elements_text(value)) FROM jsonb_each(%(known)s::jsonb)
)
SELECT r.name, n.kind, n.identity, ARRAY(SELECT p FROM unnest(k.privileges) p WHERE CASE n.kind {cases} END)
FROM role r CROSS JOIN named n JOIN known k USING (kind)
WHERE n.letter IS NOT NULL AND n.owner <> 'pg_database_owner'::regrole
UNION ALL
SELECT r.name, 'COLUMN', n.identity || '.' || quote_ident(a.attname),
       ARRAY(SELECT p FROM unnest(%(column)s::text[]) p
             WHERE has_column_privilege(r.name, n.objid, a.attnum, p))
FROM role r CROSS JOIN named n
JOIN pg_attribute a ON a.attrelid = n.objid AND (a.attnum > 0 OR a.attacl IS NOT NULL) AND NOT a.attisdropped
WHERE n.kind = 'TABLE' AND n.identity = ANY (%(with_columns)s)
""".encode()


_BEFORE_18: t.Final = _compose(_FUNCTIONS)
_FROM_18: t.Final = _compose(_FUNCTIONS | _SINCE_18)


def read_abilities(
    session: Session, initial: t.Mapping[str, Initial], roles: t.Collection[str], with_columns: t.Collection[str]
) -> Able:
    """Ask what roles can do with the objects of the session's database, in one query.

    Members of the roles are asked for, too, and what everybody can do; superusers are not: they can do everything. What
    is everybody's who owns the database is left out: the switch gives it its owner.

    :param initial: which privileges there are, by the objects' kind
    :param with_columns: the tables whose columns are asked for one by one
    """
    version_18 = session.info.server_version >= 180000
    functions = _FUNCTIONS | (_SINCE_18 if version_18 else {})
    parameters = {
        "roles": list(roles),
        # SECURABLES asks for it: none but what it finds by itself.
        "also": [],
        "with_columns": list(with_columns),
        "column": list(_COLUMN),
        "known": json.dumps({kind: list(initial[kind].owner) for kind in functions}),
    }
    rows = session.execute(_FROM_18 if version_18 else _BEFORE_18, parameters).fetchall()
    return {(role, kind, identity): frozenset(able) for role, kind, identity, able in rows}


def changes(before: Able, after: Able) -> list[Change]:
    """Return what each role could do and can, by kind and privilege; objects that are gone are no loss of a right."""
    could, can = _count(before), _count(after)
    found = []
    for role, kind, privilege in sorted(could.keys() | can.keys()):
        old, new = could.get((role, kind, privilege), set()), can.get((role, kind, privilege), set())
        there = {identity for identity in old if (role, kind, identity) in after}
        known = {identity for identity in new if (role, kind, identity) in before}
        found.append(
            Change(
                "PUBLIC" if role == PUBLIC else role,
                kind.lower(),
                privilege,
                len(old),
                len(new),
                tuple(sorted(there - new)),
                tuple(sorted(known - old)),
            )
        )
    return found


def _count(able: Able) -> dict[tuple[str, str, str], set[str]]:
    found: dict[tuple[str, str, str], set[str]] = collections.defaultdict(set)
    for (role, kind, identity), privileges in able.items():
        for privilege in privileges:
            found[role, kind, privilege].add(identity)
    return found
