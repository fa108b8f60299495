# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rights that owners have taken from themselves, lent to who is at work on what is theirs, and given back exactly."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from psycopg import sql

from ..server.batches import change
from ..server.endpoint import OpenSession, Session
from ..server.inquiry import Inquiry


@dataclasses.dataclass(frozen=True)
class MissingRight:
    """A right that is lacking on an object, as GRANT says both, and what else goes when it is taken again, likewise."""

    object: str
    privilege: str
    columns: tuple[str, ...]


# Who has heard of no grant has all rights on what is its own. Schemas come first, since names are looked up in them.
_LACKING: t.Final = """
SELECT what, lacking.privilege_type, ARRAY(
    SELECT format('%s (%I) ON %s TO CURRENT_USER%s', granted.privilege_type, attname, what,
                  CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' END)
    FROM pg_attribute, aclexplode(attacl) granted
    WHERE letter = 'r' AND attrelid = object.oid AND granted.privilege_type = lacking.privilege_type
      AND granted.grantor = owner AND granted.grantee = (SELECT oid FROM pg_roles WHERE rolname = current_user))
FROM (
    SELECT 0, format('SCHEMA %I', nspname), 'n'::"char", oid, nspowner, nspacl FROM pg_namespace
    UNION ALL SELECT 1, format('%s %I.%I', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, nspname, relname),
           CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.oid, relowner, relacl
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'S')
    UNION ALL SELECT 1, 'ROUTINE ' || oid::regprocedure, 'f', oid, proowner, proacl FROM pg_proc WHERE prokind <> 'p'
    UNION ALL SELECT 1, 'LARGE OBJECT ' || oid, 'L', oid, lomowner, lomacl FROM pg_largeobject_metadata
) object(place, what, letter, oid, owner, acl)
CROSS JOIN LATERAL aclexplode(acldefault(letter, owner)) lacking
WHERE acl IS NOT NULL AND lacking.grantee = owner AND pg_has_role(owner, 'USAGE')
  AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
  AND NOT EXISTS (SELECT FROM aclexplode(acl) held
                  WHERE held.privilege_type = lacking.privilege_type
                    AND (held.grantee = 0 OR pg_has_role(held.grantee, 'USAGE')))
ORDER BY place
"""


def ask_missing_rights() -> Inquiry[list[MissingRight]]:
    """Ask which rights on what is its own the session's user does not have."""
    (rows,) = yield [_LACKING]
    return [MissingRight(what, privilege, tuple(columns)) for what, privilege, columns in rows]


@contextlib.contextmanager
def lent(lacking: t.Sequence[MissingRight], open_writer: OpenSession) -> t.Iterator[None]:
    """Let the user have these rights for as long as the block lasts, unless it fails: what it was about is undone then.

    :param lacking: what `ask_missing_rights` has told
    :param open_writer: gives a session to say so by
    """
    if not lacking:
        yield
        return
    back: list[sql.Composable] = []
    for one in reversed(lacking):
        back.append(_say("REVOKE {} ON {} FROM CURRENT_USER", one))
        back += [sql.SQL(f"GRANT {column}") for column in one.columns]
    with open_writer() as writer:
        _change(writer, [_say("GRANT {} ON {} TO CURRENT_USER", one) for one in lacking])
        yield
        _change(writer, back)


def _say(words: t.LiteralString, lacking: MissingRight) -> sql.Composed:
    return sql.SQL(words).format(sql.SQL(lacking.privilege), sql.SQL(lacking.object))


def _change(session: Session, statements: t.Iterable[sql.Composable]) -> None:
    change(session, b";\n".join(statement.as_bytes(session) for statement in statements))
