# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Row security that is forced upon the tables' owner, who loads and reads them."""

from __future__ import annotations

import contextlib
import typing as t

from psycopg import sql

from ..catalog.selection import Name
from ..server.endpoint import Session

_FORCED: t.Final = """
SELECT wanted.schema, wanted.name
FROM unnest(%s::text[], %s::text[]) wanted(schema, name)
JOIN pg_namespace n ON n.nspname = wanted.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
WHERE c.relforcerowsecurity AND row_security_active(c.oid)
ORDER BY 1, 2
"""


@contextlib.contextmanager
def owner_unbound(session: Session, tables: t.Collection[Name]) -> t.Iterator[None]:
    """Let the owner load and read all rows of the tables for as long as the block lasts."""
    names = [schema for schema, _ in tables], [name for _, name in tables]
    forced = session.execute(_FORCED, names).fetchall()
    for name in forced:
        session.execute(sql.SQL("ALTER TABLE ONLY {} NO FORCE ROW LEVEL SECURITY").format(sql.Identifier(*name)))
    yield
    for name in forced:
        session.execute(sql.SQL("ALTER TABLE ONLY {} FORCE ROW LEVEL SECURITY").format(sql.Identifier(*name)))
