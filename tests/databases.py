# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of a test's own, and a witness that nothing in them has changed."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import typing as t

import pytest
from psycopg import sql

from tests.servers import PostgresServer, Servers

_NUMBERS: t.Final = itertools.count(1)

#: A database, and those made of it: its copy, its predecessor.
_GENERATIONS: t.Final = "FROM pg_database WHERE datname = %(name)s OR starts_with(datname, %(name)s || '__pgconvoy_')"
#: A small application: tables that refer to each other, a sequence, a large object, and no row that says nothing.
APPLICATION: t.Final = """
    CREATE TABLE owner (id int PRIMARY KEY, name text NOT NULL, favourite int);
    CREATE TABLE item (id serial PRIMARY KEY, owner int NOT NULL REFERENCES owner, price numeric(10, 2));
    ALTER TABLE owner ADD FOREIGN KEY (favourite) REFERENCES item DEFERRABLE INITIALLY DEFERRED;
    CREATE TABLE empty (id int);
    CREATE VIEW wealth AS SELECT name, sum(price) FROM owner JOIN item ON item.owner = owner.id GROUP BY name;
    INSERT INTO owner VALUES (1, 'Ana Núñez', 2), (2, E'tab\\tnewline\\n', NULL);
    INSERT INTO item (owner, price) VALUES (1, 1.50), (1, NULL), (2, -3);
    SELECT lo_from_bytea(70001, 'large');
"""
#: What the target held before: other tables, other rows.
BEFORE: t.Final = """
    CREATE TABLE owner (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE item (id int PRIMARY KEY, owner int NOT NULL REFERENCES owner);
    CREATE TABLE forgotten (note text);
    INSERT INTO owner VALUES (1, 'from before');
    INSERT INTO forgotten VALUES ('precious');
"""


@dataclasses.dataclass(frozen=True)
class Database:
    """A database, there or not."""

    server: PostgresServer
    name: str

    def execute(self, statements: str) -> None:
        """Run statements as the superuser."""
        with self.server.connect(self.name) as connection:
            connection.execute(statements.encode())

    def query(self, query: str) -> list[tuple[t.Any, ...]]:
        """Return the rows of a query."""
        with self.server.connect(self.name) as connection:
            return connection.execute(query.encode()).fetchall()

    def contents(self, *options: str) -> str:
        """Return all that is in it, as pg_dump tells it: schema, rows, sequences, large objects, owners and grants."""
        return self.server.run(["pg_dump", "--restrict-key=test", *options, "--dbname", self.name]).stdout

    def lines(self) -> list[str]:
        """Return the same, line by line, in whatever order rows lie."""
        return sorted(self.contents().splitlines())

    def generations(self) -> list[str]:
        """Return the databases of the server that are this one or were made of it."""
        with self.server.connect() as connection:
            rows = connection.execute(f"SELECT datname {_GENERATIONS} ORDER BY 1", {"name": self.name}).fetchall()
            return [name for (name,) in rows]

    @property
    def previous(self) -> Database:
        """The database that a switch has put in its stead."""
        return Database(self.server, f"{self.name}__pgconvoy_previous")

    @property
    def staging(self) -> Database:
        """The copy that a run builds beside it."""
        return Database(self.server, f"{self.name}__pgconvoy_staging")

    def variables(self, side: t.Literal["source", "target"]) -> dict[str, str | int]:
        """Return the inventory's variables that lead to it."""
        return {
            f"{side}_host": self.server.host,
            f"{side}_port": self.server.port,
            f"{side}_dbname": self.name,
            f"{side}_user": self.server.user,
            f"{side}_password": self.server.password,
            f"{side}_sslmode": "disable",
        }


@contextlib.contextmanager
def untouched(*databases: Database) -> t.Iterator[None]:
    """Make sure that the block leaves the databases as they were, and no other beside them."""
    before = [_state(database) for database in databases]
    yield
    for database, state in zip(databases, before, strict=True):
        assert _state(database) == state


def _state(database: Database) -> tuple[object, ...]:
    """Return what a run could change: the databases by number, their own properties, and what is in this one."""
    with database.server.connect() as connection:
        # A rename and a rename back would be no change; a new database of the old name is one.
        databases = connection.execute(
            "SELECT oid, datname, datdba, datacl::text, datconnlimit, shobj_description(oid, 'pg_database')"
            f" {_GENERATIONS} ORDER BY oid",
            {"name": database.name},
        ).fetchall()
        settings = connection.execute(
            "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2"
        ).fetchall()
    return databases, settings, database.contents() if databases else None


@contextlib.contextmanager
def database(server: PostgresServer, statements: str, name: str = "") -> t.Iterator[Database]:
    """Give a database of its own that the statements have filled; it goes, and all that were made of it."""
    made = Database(server, name or f"app{next(_NUMBERS)}")
    server.create_database(made.name)
    try:
        made.execute(statements)
        yield made
    finally:
        for generation in made.generations():
            server.drop_database(generation)


@pytest.fixture
def source(servers: Servers) -> t.Iterator[Database]:
    """Give a small database to migrate."""
    with database(servers.source(), APPLICATION) as made:
        yield made


@pytest.fixture
def target(servers: Servers) -> t.Iterator[Database]:
    """Give a live database to replace."""
    with database(servers.target(), BEFORE) as made:
        yield made


@contextlib.contextmanager
def role(server: PostgresServer, name: str, attributes: t.LiteralString, password: str) -> t.Iterator[str]:
    """Give a role that may log in; it must own nothing any more when the block ends."""
    with server.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} ").format(sql.Identifier(name), password) + sql.SQL(attributes)
        )
    try:
        yield name
    finally:
        with server.connect() as connection:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
