# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What extensions' own tables and sequences hold that is not the user's: CREATE EXTENSION must make it again.

The user's are the rows of configuration tables that their condition selects (docs: 36.17.3 Extension Configuration
Tables); they are copied, and not counted here.
"""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, describe
from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer, ask, together
from .checksums import digest, sum_query
from .relations import ask_extension_tables


@dataclasses.dataclass(frozen=True)
class ExtensionRows:
    """A table's rows, or where a sequence stands; ``state`` is None where the session's user may not see it."""

    extension: str
    kind: t.Literal["table", "sequence"]
    schema: str
    name: str
    #: the number of rows; for a sequence, its position
    count: int | None
    #: a checksum of the rows; for a sequence, whether it was called
    state: str | None

    def __str__(self) -> str:
        return f"{self.kind} {self.schema}.{self.name}"


_SEQUENCES: t.Final = """
SELECT e.extname, n.nspname, c.relname,
       has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
     AND d.refclassid = 'pg_extension'::regclass
JOIN pg_extension e ON e.oid = d.refobjid
WHERE c.relkind = 'S' AND NOT c.oid = ANY (coalesce(e.extconfig, '{}')) ORDER BY 2, 3
"""


def read_extension_rows(session: Session) -> list[ExtensionRows]:
    """Return what extensions' tables and sequences hold, by kind and name.

    :raises MigrationError: when one cannot be read, with the server's message
    """
    try:
        return answer(session, ask_extension_rows())
    except psycopg.Error as error:
        raise MigrationError(f"Cannot read what extensions' own tables hold: {describe(error)}") from None


def ask_extension_rows() -> Inquiry[list[ExtensionRows]]:
    """Ask for what extensions' tables and sequences hold, by kind and name."""
    found: list[ExtensionRows] = []
    queries: list[sql.Composable] = []
    tables, (sequences,) = yield from together(ask_extension_tables(), ask(_SEQUENCES))
    for relation, extension, configured, readable in tables:
        found.append(ExtensionRows(extension, "table", relation.schema, relation.name, None, None))
        if readable:
            whole = dataclasses.replace(relation, condition="")
            queries.append(_numbered(len(found), 1, sum_query(whole.hashed, whole.own_rows)))
        if readable and configured:
            queries.append(_numbered(len(found), -1, sum_query(relation.hashed, relation.own_rows)))
    for extension, schema, name, readable in sequences:
        found.append(ExtensionRows(extension, "sequence", schema, name, None, None))
        if readable:
            position = sql.SQL("SELECT last_value, is_called::int FROM {}").format(sql.Identifier(schema, name))
            queries.append(_numbered(len(found), 1, position))
    if not queries:
        return found
    summed = sql.SQL(
        "SELECT number, sum(sign * count), sum(sign * state) FROM ({}) one(number, sign, count, state) GROUP BY 1"
    ).format(sql.SQL(" UNION ALL ").join(queries))
    (rows,) = yield [summed]
    for number, count, state in rows:
        held = found[number - 1]
        told = digest([int(state)]) if held.kind == "table" else str(int(state))
        found[number - 1] = dataclasses.replace(held, count=int(count), state=told)
    return found


def _numbered(number: int, sign: int, query: sql.Composable) -> sql.Composed:
    return sql.SQL("SELECT {}, {}, one.* FROM ({}) one").format(number, sign, query)
