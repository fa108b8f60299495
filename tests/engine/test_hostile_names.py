# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any name works, of whatever: through dump, restore, verdict, a second run, and a refill of some tables."""

from __future__ import annotations

import typing as t

from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import list_relations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import Patterns, select
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.refill import (
    ask_load_order,
    check_parents,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.inquiry import answer
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.findings import Finding
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.case import Case, new_case
from tests.migration import endpoint
from tests.refilling import refill_target
from tests.servers import PostgresServer, Servers

#: One that is too long is cut by the server: 63 bytes. The oracle reads a carriage return as a line break.
NAMES: t.Final = st.lists(
    st.text(
        st.one_of(
            st.sampled_from("%s{}()\"'\\$;.,-/*[]:\t\n "), st.characters(codec="utf-8", exclude_characters="\0\r")
        )
    )
    .filter(lambda name: 0 < len(name.encode()) <= 63 and not name.startswith("pg_"))
    .filter(lambda name: name not in ("public", "types", "information_schema")),
    min_size=1,
    max_size=8,
    unique=True,
)
HOSTILE: t.Final = [
    *(
        "quota%",
        "%s",
        "%(a)s",
        "%%t%b",
        "{}",
        "{0}{a!r}",
        '"',
        "''",
        "$$",
        "\\",
        "\\.",
        "\\N",
        "a.b",
        "a\nb",
        "\t",
    ),
    *("--", "/*", "*", "[a]", " ", "ü" * 31 + "x", "%" * 63, "select", "NULL", "\n\\! false\n", "\N{ZERO WIDTH SPACE}"),
    "-- TOC entry 1 (class 1 OID 1)",
]
#: Of each name: a schema, an enum, a table with a key, columns, a check, a policy, and a key that refers to it.
SCRIPT: t.Final = """
    CREATE SCHEMA {name};
    CREATE TYPE types.{name} AS ENUM ({text}, 'other');
    CREATE TABLE {name}.{name} ({name} types.{name} PRIMARY KEY, v text);
    ALTER TABLE {name}.{name} ADD CONSTRAINT {name} CHECK (v <> {text} || 'x');
    INSERT INTO {name}.{name} VALUES ('other', {text});
    CREATE TABLE {name}.child ({name} int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, q types.{name} DEFAULT {text});
    ALTER TABLE {name}.child ADD CONSTRAINT {name} FOREIGN KEY (q) REFERENCES {name}.{name};
    INSERT INTO {name}.child (q) VALUES ('other'), (NULL);
    CREATE POLICY {name} ON {name}.child USING (q <> {text});
    CREATE MATERIALIZED VIEW {name}.view AS SELECT {name} FROM {name}.{name};
    COMMENT ON TABLE {name}.{name} IS {text}; COMMENT ON CONSTRAINT {name} ON {name}.child IS {text};
"""


def run(server: PostgresServer, dbname: str, script: t.LiteralString, names: t.Iterable[str]) -> None:
    """Run a script for each name."""
    with server.connect(dbname) as session:
        for name in names:
            session.execute(sql.SQL(script).format(name=sql.Identifier(name), text=sql.Literal(name)))


def missing_parents(case: Case, patterns: Patterns) -> list[Finding]:
    with (
        connect(endpoint("source", case.source, case.name)) as here,
        connect(endpoint("target", case.target, case.name)) as there,
    ):
        order, _ = answer(there, ask_load_order(select(list_relations(here), patterns)))
        return check_parents(here, there, order)


@settings(max_examples=1, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True)
@given(names=NAMES)
@example(names=HOSTILE)
def test_names(servers: Servers, names: list[str]) -> None:
    with new_case(servers.source(), servers.target(), "CREATE SCHEMA types") as case:
        run(case.source, case.name, SCRIPT, names)
        case.arrives()
        case.stays()
        # A row refers to one that the target does not have, and whose table is not selected.
        run(
            *(case.source, case.name),
            "INSERT INTO {name}.{name} VALUES ({text}, NULL); INSERT INTO {name}.child DEFAULT VALUES",
            names,
        )
        children = Patterns(include=("*.child",))
        found = missing_parents(case, children)
        assert {(finding.code, finding.object) for finding in found} == {
            ("parent-missing", f"fk constraint {name}.child {name}") for name in names
        }
        run(case.target, case.name, "INSERT INTO {name}.{name} VALUES ({text}, NULL)", names)
        assert missing_parents(case, children) == []
        refilled = refill_target(case, patterns=children)
        assert [rows for _, rows in refilled.done] == [3] * len(names)
