# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that nobody would make, through a whole run: each arrives equal, or ends in a message, never in a trace.

FUZZ_EXAMPLES says how many; beyond the few of `make test`, they are other ones each time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import typing as t

import psycopg
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.migration import migrate
from tests.servers import PostgresServer, Servers

_QUICK: t.Final = 4
EXAMPLES: t.Final = int(os.environ.get("FUZZ_EXAMPLES", _QUICK))
#: How many tables a database has: a run costs the same, and tries more.
_TABLES: t.Final = 5

#: Encodings, each with a locale that goes with it.
ENCODINGS: t.Final = {"UTF8": "C.UTF-8", "LATIN1": "C", "SQL_ASCII": "C", "EUC_JP": "C", "WIN1252": "C", "LATIN9": "C"}
#: What means something to a format, a shell, a pattern, COPY, psql, SQL, JSON, a terminal or the archive's comments.
ODD: t.Final = (
    *(
        "%",
        "%s",
        "%(name)s",
        "%%",
        "{}",
        "{0}",
        "$1",
        "$$",
        '"',
        "'",
        "''",
        "\\",
        "\\.",
        "\\N",
        "\\t",
        "\n",
        "\r\n",
        "\t",
    ),
    *(
        "--",
        "/*",
        ";",
        ":x",
        "&",
        "é",
        "ß",
        "表",
        "\u202e",
        "\x1b[31m",
        "\x7f",
        "\u00a0",
        "select",
        "public",
        "pg_temp",
    ),
    *("-- TOC entry 1 (class 1 OID 1)", "null", "user", "E", " ", ".", "a b", "ｱ", "😀", "#", "=", ",", "(", "]", "*"),
)
NAMES: t.Final = st.lists(st.sampled_from(ODD) | st.text(max_size=4), min_size=1, max_size=6).map("".join) | (
    st.sampled_from(["x" * 63, "é" * 31, "表" * 21, "%" * 63, '"' * 63])
)
VALUES: t.Final = st.lists(st.sampled_from(ODD), max_size=5).map("".join)
#: Types, and expressions of a number ``g`` that are values of them.
TYPES: t.Final = {
    "int": "g",
    "bigint": "-g * 4294967297",
    "numeric": "g / 3.0",
    "numeric(10, 2)": "g",
    "text": "{value} || g",
    "varchar(200)": "{value}",
    'char(9) COLLATE "C"': "g",
    "bytea": "decode(to_hex(g), 'escape')",
    "timestamptz": "to_timestamp(g * 86400.5)",
    "date": "CASE WHEN g = 2 THEN 'infinity' ELSE DATE '2024-02-29' - g * 100000 END",
    "interval": "make_interval(months => g, secs => -g)",
    "jsonb": "jsonb_build_object({value}, g)",
    "json": "json_build_array({value}, g)",
    "int[]": "ARRAY[g, NULL]",
    "text[]": "ARRAY[{value}, NULL, '']",
    "int4range": "int4range(g, NULL)",
    "double precision": "CASE WHEN g = 1 THEN 'NaN' ELSE -0.0 * g END",
    "inet": "'::1'::inet + g",
    "bit varying": "g::bit(5)",
    "uuid": "md5(g::text)::uuid",
    "boolean": "g % 2 = 0",
    '"char"': "'a'",
    "name": "{value}",
    "oid": "g",
    "tsvector": "to_tsvector('simple', {value})",
    "money": "g::numeric::money",
    "xid8": "g::text::xid8",
    "point": "point(g, -g)",
}
SETTINGS: t.Final = (
    *("DateStyle", "IntervalStyle", "TimeZone", "search_path", "lc_monetary", "bytea_output", "extra_float_digits"),
    *("work_mem", "statement_timeout", "app.%s", "app.x", "client_encoding", "default_transaction_read_only", "role"),
    *("standard_conforming_strings", "default_table_access_method", "row_security", "quote_all_identifiers", "jit"),
)
WORDS: t.Final = (
    "SQL, DMY",
    "German",
    "sql_standard",
    "Asia/Kathmandu",
    "C",
    "escape",
    "-15",
    "1ms",
    "on",
    "off",
    "LATIN1",
)


@dataclasses.dataclass(frozen=True)
class Made:
    """What a database is made of."""

    encoding: str
    schema: str
    tables: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    value: str
    settings: tuple[tuple[str, str], ...]
    others: tuple[str, ...]


@st.composite
def databases(draw: st.DrawFn) -> Made:
    """Draw a database; what its server refuses of it is left out."""
    columns = st.lists(st.tuples(NAMES, st.sampled_from(sorted(TYPES))), min_size=1, max_size=6)
    return Made(
        encoding=draw(st.sampled_from(sorted(ENCODINGS))),
        schema=draw(NAMES),
        tables=tuple((draw(NAMES), tuple(draw(columns))) for _ in range(_TABLES)),
        value=draw(VALUES),
        settings=tuple(
            draw(st.lists(st.tuples(st.sampled_from(SETTINGS), st.sampled_from(WORDS) | VALUES), max_size=3))
        ),
        others=tuple(draw(st.lists(NAMES, min_size=6, max_size=6))),
    )


def statements(made: Made, dbname: str) -> t.Iterator[sql.Composed]:
    """Yield what makes the database."""
    schema, value = sql.Identifier(made.schema), sql.Literal(made.value)
    yield sql.SQL("CREATE SCHEMA {}").format(schema)
    before = None
    for name, columns in made.tables:
        table = sql.Identifier(made.schema, name)
        yield sql.SQL("CREATE TABLE {} (id int)").format(table)
        for column, type_ in columns:
            yield sql.SQL("ALTER TABLE {} ADD {} {}").format(table, sql.Identifier(column), sql.SQL(type_))
            yield sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(table, sql.Identifier(column), value)
        yield sql.SQL("INSERT INTO {} (id) SELECT generate_series(1, 3)").format(table)
        for column, type_ in columns:
            expression = sql.SQL(TYPES[type_].replace("{value}", "{value}")).format(value=value)
            # Under the table's own alias, its column id may be hidden by another name.
            yield sql.SQL("UPDATE {} c SET {} = (SELECT {} FROM (SELECT c.id) numbered(g))").format(
                table, sql.Identifier(column), expression
            )
        yield sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY (id)").format(table, sql.Identifier(name[:9] + "k"))
        if before:
            yield sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY (id) REFERENCES {}").format(
                table, sql.Identifier(name), before
            )
        before = table
    function, view, sequence, type_name, index, event = map(sql.Identifier, made.others)
    yield sql.SQL("CREATE FUNCTION {}.{}() RETURNS text LANGUAGE sql AS {}").format(
        schema, function, sql.Literal(f"SELECT {sql.Literal(made.value).as_string(None)}")
    )
    if before:
        yield sql.SQL("CREATE VIEW {}.{} AS SELECT *, {} AS {} FROM {}").format(schema, view, value, function, before)
        yield sql.SQL("CREATE INDEX {} ON {} (id) WHERE id::text <> {}").format(index, before, value)
        yield sql.SQL("CREATE RULE {} AS ON DELETE TO {} DO INSTEAD NOTHING").format(event, before)
    yield sql.SQL("CREATE SEQUENCE {}.{}").format(schema, sequence)
    yield sql.SQL("SELECT setval({}, 77)").format(f"{schema.as_string(None)}.{sequence.as_string(None)}")
    yield sql.SQL("CREATE TYPE {}.{} AS ENUM ({})").format(schema, type_name, value)
    yield sql.SQL("SELECT lo_from_bytea(4711, 'x'); COMMENT ON LARGE OBJECT 4711 IS {}").format(value)
    yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(dbname), value)
    for name, word in made.settings:
        yield sql.SQL("ALTER DATABASE {} SET {} TO {}").format(
            sql.Identifier(dbname), sql.Identifier(*name.split(".")), sql.Literal(word)
        )


def make(server: PostgresServer, dbname: str, made: Made) -> None:
    """Make the database; what the server refuses, a name that is too odd or a value of another type, is left out."""
    locale = ENCODINGS[made.encoding]
    server.create_database(dbname, template="template0", encoding=made.encoding, locale=locale)
    with server.connect(dbname) as connection:
        connection.execute("SET client_encoding = 'UTF8'")
        connection.execute("SET search_path = ''")
        for statement in statements(made, dbname):
            with contextlib.suppress(psycopg.Error, UnicodeEncodeError):
                connection.execute(statement)


def rows(server: PostgresServer, dbname: str) -> dict[tuple[str, str], object]:
    """Return how many rows each table has, and a digest of them as text, whatever the names: the oracle knows fewer."""
    with server.connect(dbname) as connection:
        connection.execute(
            "SET client_encoding = 'LATIN1'" if _is_ascii(connection) else "SET client_encoding = 'UTF8'"
        )
        for name, value in (("DateStyle", "ISO"), ("IntervalStyle", "postgres"), ("extra_float_digits", "3")):
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.execute(
            "SET TimeZone = 'UTC'; SET lc_monetary = 'C'; SET bytea_output = 'hex'; SET search_path = ''"
        )
        tables = connection.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND c.oid >= 16384 AND n.nspname !~ '^pg_'"
        ).fetchall()
        query = sql.SQL("SELECT count(*), md5(string_agg(c::text, ' ' ORDER BY c::text COLLATE \"C\")) FROM {} c")
        return {
            (schema, name): connection.execute(query.format(sql.Identifier(schema, name))).fetchone()
            for schema, name in tables
        }


def _is_ascii(connection: psycopg.Connection[t.Any]) -> bool:
    return connection.info.parameter_status("server_encoding") == "SQL_ASCII"


def test_no_database_ends_in_a_trace(servers: Servers) -> None:
    source, target = servers.source(), servers.target()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=EXAMPLES == _QUICK,
        suppress_health_check=list(HealthCheck),
        # To make a failing example smaller takes minutes; it is small enough to be read.
        phases=[Phase.explicit, Phase.generate],
    )
    @given(databases())
    def check(made: Made) -> None:
        dbname = f"fuzz_{secrets.token_hex(4)}"
        make(source, dbname, made)
        try:
            outcome = migrate(source, dbname, target, dbname)
            # A run that is refused or fails says why.
            assert outcome.status == "migrated" or outcome.error or outcome.refusals
            if outcome.status == "migrated":
                assert rows(target, dbname) == rows(source, dbname)
            else:
                print(str(outcome)[:2000])
        finally:
            for server in (source, target):
                for name in (dbname, f"{dbname}__pgconvoy_previous", f"{dbname}__pgconvoy_staging"):
                    server.drop_database(name)

    check()
