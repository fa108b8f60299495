# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database has besides its content, carried over to the copy that takes its place."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from psycopg import sql

from ..catalog.database import DatabaseProperties, split_settings
from ..catalog.encodings import ENCODED
from ..server.batches import Rows
from ..server.inquiry import Inquiry

COMMENT: t.Final = "database comment"


@dataclasses.dataclass(frozen=True)
class Property:
    """What a database has besides its content, as findings and allowed_differences call it, and what gives it to it.

    ``inside``: only a session of the new live database can say it, since words are stored in the encoding of the
    database in which they are said, and read in that of the one that they are said of.
    """

    object: str
    statement: sql.Composed
    inside: bool = False


_PLACE: t.Final = f"""
SELECT pg_get_userbyid(datdba), convert_from(textsend(shobj_description(d.oid, 'pg_database')), e.name),
       datacl IS NOT NULL, datconnlimit, datistemplate
FROM pg_catalog.pg_database d {ENCODED}
"""
#: For all roles (NULL) and for single ones.
_SETTINGS: t.Final = f"""
SELECT r.rolname, ARRAY(SELECT convert_from(textsend(c), e.name) FROM unnest(s.setconfig) c)
FROM pg_catalog.pg_database d {ENCODED} JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = d.oid
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
"""
_GRANTS: t.Final = """
SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END, a.privilege_type,
       a.is_grantable
FROM pg_catalog.pg_database d CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) a
WHERE datname = {} AND a.grantee <> d.datdba ORDER BY 1, 2
"""


def ask_carried(copy: str, live: str, source: DatabaseProperties, with_grants: bool = True) -> Inquiry[list[Property]]:
    """Ask outside of the live database for the properties that give the copy what that must have, in order.

    Settings and comment are the source's, and the live database's where the source says nothing; owner, grants,
    connection limit, whether it is a template, and single roles' settings are bound to the place and are the live
    database's. Without a live database they stay as CREATE DATABASE made them.

    :param with_grants: whether grants are the live database's, or what the copy has been given already
    """
    database = sql.Identifier(copy)
    settings: dict[tuple[str | None, str], str] = {}
    comment = source.comment
    place: list[Property] = []
    asked = [sql.SQL(query).format(live) for query in (_PLACE, _SETTINGS, _GRANTS)]
    found, configured, granted, ((encoding,),) = yield [*asked, "SELECT getdatabaseencoding()"]
    for owner, live_comment, has_grants, connection_limit, is_template in found:
        settings = {(role, name): value for role, config in configured for name, value in split_settings(config)}
        comment = live_comment if comment is None else comment
        limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, connection_limit)
        place.append(Property("database connection limit", limit))
        if is_template:
            place.append(Property("database template", sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(database)))
        if with_grants and has_grants:
            place += [Property("database grants", statement) for statement in _grants(granted, database)]
        # The owner comes last: it may be a role that this one belongs to, but is not.
        change = sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(owner))
        place.append(Property("database owner", change))
    settings |= {(None, name): value for name, value in source.settings}

    def subject(words: str | None) -> tuple[sql.Identifier, bool]:
        """Return by which name the database is spoken of, and whether it is inside."""
        inside = encoding != source.locale.encoding and not (words or "").isascii()
        return sql.Identifier(live if inside else copy), inside

    name, inside = subject(comment)
    # The copy's mark is a comment, too.
    given = [Property(COMMENT, comment_statement(database, None))] if inside else []
    given.append(Property(COMMENT, comment_statement(name, comment), inside))
    for (role, setting), value in settings.items():
        name, inside = subject(setting + value)
        given.append(Property(name_setting(role, setting), set_statement(name, role, setting, value), inside))
    return given + place


def comment_statement(database: sql.Identifier, comment: str | None) -> sql.Composed:
    """Return the statement that gives a database a comment, or none."""
    return sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, comment)


def name_setting(role: str | None, name: str) -> str:
    """Return what a setting of a database, or of a role in it, is called; its value is nobody's to read."""
    return f"database setting {name}" if role is None else f"role {role} database setting {name}"


def take_over(
    live: DatabaseProperties, source: DatabaseProperties, allowed: t.Container[str] = ()
) -> list[sql.Composed]:
    """Return the statements that give the live database itself what the source has: settings and comment, where other.

    All else of its own stays.

    :param allowed: objects that may differ: those stay as well
    """
    database, present = sql.Identifier(live.name), dict(live.settings)
    statements = [
        set_statement(database, None, name, value)
        for name, value in source.settings
        if present.get(name) != value and name_setting(None, name) not in allowed
    ]
    if source.comment not in (None, live.comment) and COMMENT not in allowed:
        statements.append(comment_statement(database, source.comment))
    return statements


_LISTS: t.Final = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)


def set_statement(database: sql.Identifier, role: str | None, name: str, value: str) -> sql.Composed:
    """Return the statement that makes a setting what pg_db_role_setting says of it."""
    subject = sql.SQL("DATABASE {}").format(database)
    if role is not None:
        subject = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), database)
    return sql.SQL("ALTER {} {}").format(subject, set_clause(name, value))


def set_clause(name: str, value: str) -> sql.Composed:
    """Return the part of such a statement that says what is set."""
    values = split_list(value) if name.lower() in _LISTS else [value]
    return sql.SQL("SET {} TO {}").format(
        sql.Identifier(*name.split(".")), sql.SQL(", ").join(map(sql.Literal, values or [""]))
    )


def split_list(value: str) -> list[str]:
    """Return the names in a stored list such as ``public, "My ""odd"" schema"``."""
    found = re.findall(r'"((?:[^"]|"")*)"|([^\s,"]+)', value)
    return [bare or quoted.replace('""', '"') for quoted, bare in found]


def _grants(rows: Rows, database: sql.Identifier) -> list[sql.Composed]:
    """Return the statements that make the grants on a database what `_GRANTS` tells of another one."""
    statements = [sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database)]
    for role, privilege, grantable in rows:
        grantee: sql.Composable = sql.SQL("PUBLIC") if role is None else sql.Identifier(role)
        statements.append(
            sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                sql.SQL(privilege), database, grantee, sql.SQL(" WITH GRANT OPTION" if grantable else "")
            )
        )
    return statements
