# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which database it is, and that it can be used: what can be proven of one in no time, whatever its size."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..catalog.search_path import read_serving_path
from ..errors import MigrationError, describe
from ..server.endpoint import Endpoint, connect, use_search_path

#: How many relations are read with one message to the server.
_BATCH: t.Final = 500

_RELATIONS: t.Final = """
SELECT n.nspname, c.relname,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
       AND (c.relkind <> 'm' OR c.relispopulated)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'S') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 1, 2
"""


@dataclasses.dataclass(frozen=True)
class Proof:
    """What was found out about a database by entering it. It does not tell whether single rows are right."""

    #: its identifier on its server, which no rename changes
    oid: int
    #: tables, materialized views and sequences from which a row was read
    read: int
    #: those that the user may not read, and materialized views that hold nothing
    unread: int

    def __str__(self) -> str:
        return f"database {self.oid} with {self.read} readable relations and {self.unread} others"


def read_through(database: Endpoint) -> Proof:
    """Enter a database and read a row from each of its relations that may be read.

    :raises MigrationError: when it cannot be entered, or a relation cannot be read
    """
    with connect(database) as session:
        row = session.execute(
            "SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
        ).fetchone()
        assert row is not None
        relations = session.execute(_RELATIONS).fetchall()
        readable = [sql.Identifier(schema, name) for schema, name, may_read in relations if may_read]
        # Rows that a policy hides from this user are none of this question.
        session.execute("SET row_security TO on")
        use_search_path(session, read_serving_path(session))
        for start in range(0, len(readable), _BATCH):
            queries = [sql.SQL("SELECT FROM ONLY {} LIMIT 1").format(name) for name in readable[start : start + _BATCH]]
            try:
                session.execute(sql.SQL("; ").join(queries))
            except psycopg.Error as error:
                raise MigrationError(f"Cannot read from the {database}: {describe(error, over_rows=True)}") from None
        return Proof(row[0], len(readable), len(relations) - len(readable))
