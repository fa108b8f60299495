# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of each kind of object that PostgreSQL knows, a change fails the verdict, or preflight tells it is not carried."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests import attributes
from tests.case import Case, execute
from tests.changes import HELPERS, changes_of
from tests.fidelity import PAGE, compose
from tests.kinds import Kind, kinds_of
from tests.migration import prepare, run
from tests.servers import PostgresServer, Servers


@pytest.fixture(params=["15", "18"])
def sides(servers: Servers, request: pytest.FixtureRequest) -> t.Iterator[tuple[PostgresServer, PostgresServer, str]]:
    """Give a source and a target that both hold one object of each kind, in a database of this name."""
    both = servers.source(request.param), servers.target(request.param)
    name = f"kinds_{secrets.token_hex(4)}"
    with contextlib.ExitStack() as stack:
        for server in both:
            stack.enter_context(_tablespace_and_role(server))
            _make(server, name, stack, _all_of(server))
            stack.callback(execute, server, "postgres", f"alter role postgres in database {name} reset all")
            stack.callback(_without_subscription, server, name)
        yield *both, name


def test_each_kind(sides: tuple[PostgresServer, PostgresServer, str]) -> None:
    """Two databases with one object of each kind are equal; what is changed in one of them is named."""
    source, target, name = sides
    kinds = _all_of(source)
    migration = prepare(source, name, target, name, Path("unused"))
    examined = migration.preflight()
    told = {(finding.code, finding.object) for finding in examined.findings}
    assert examined.tools
    judge = Judge(migration.target, staging=False, tools=examined.tools, jobs=1)
    with exported_snapshot(migration.source) as here:
        # Both were made by the same words; and no server here takes a security label.
        words = judge.read_definitions(here)
    judge = dataclasses.replace(judge, reword=lambda: words)
    assert [str(difference) for difference in judge.judge_by_source(migration.source).differences] == []
    _run(target, name, [kind.change for kind in kinds])
    named = {difference.object for difference in judge.judge_by_source(migration.source).differences}
    missed = [f"{kind.name}: {kind.difference}" for kind in kinds if kind.difference and kind.difference not in named]
    missed += [
        f"{kind.name}: {kind.finding}"
        for kind in kinds
        if kind.finding[0] and not any(code == kind.finding[0] and kind.finding[1] in found for code, found in told)
    ]
    assert not missed, "\n".join([*missed, *sorted(named)])
    assert all(bool(kind.difference) != bool(kind.finding[0]) for kind in kinds)
    with source.connect(name) as here, target.connect(name) as there:
        ours, theirs = attributes.read_attributes(here), attributes.read_attributes(there)
        unchanged = attributes.compared_columns(here)
    for row in ours.keys() & theirs.keys():
        unchanged -= {f"{row[0]}.{column}" for column in ours[row] if ours[row][column] != theirs[row][column]}
    assert unchanged <= (set() if _has_icu(source) else attributes.OF_ICU)


@pytest.mark.parametrize("major", ["16", "17"])
def test_each_column_is_known(servers: Servers, major: str) -> None:
    """Of the others, `test_each_kind` knows the columns of all catalogs."""
    with (
        servers.target(major).connect() as one,
        servers.source("15").connect() as old,
        servers.source().connect() as new,
    ):
        known = attributes.compared_columns(old) | attributes.compared_columns(new)
        assert attributes.compared_columns(one) <= known


@pytest.mark.parametrize("major", ["15", "18"])
def test_each_kind_arrives(servers: Servers, tmp_path: Path, major: str) -> None:
    """What is not the default arrives, by all columns of the catalogs, or is refused by name."""
    source, target = servers.source(major), servers.target(major)
    case = Case(source, target, f"kinds_{secrets.token_hex(4)}")
    # No server here takes a security label; members of extensions have tests of their own.
    left = ("security label", "extension's rows")
    kinds = [kind for kind in _all_of(source) if kind.difference and kind.name not in left]
    with contextlib.ExitStack() as stack:
        stack.callback(case.clean)
        _make(source, case.name, stack, kinds)
        migration = prepare(source, case.name, target, case.name, tmp_path / "archive")
        unsaid = [kind.difference for kind in kinds if kind.unsaid]
        migration.allowed = dict.fromkeys(unsaid, "told")
        outcome = run(migration)
        assert outcome.status == "migrated", outcome
        told = {finding.object: finding.message for finding in outcome.findings if finding.code == "not-carried"}
        assert told.keys() == {*unsaid}
        assert all(message.endswith("Allowed: told") for message in told.values())
        with source.connect(case.name) as here, target.connect(case.name) as there:
            ours, theirs = attributes.read_attributes(here), attributes.read_attributes(there)
    lost = [row for row in ours.keys() | theirs.keys() if ours.get(row) != theirs.get(row) and ".u_" not in row[1]]
    assert not lost, "\n".join(f"{row}\n    {ours.get(row)}\n    {theirs.get(row)}" for row in sorted(lost))


#: Columns of the catalogs that hold kinds, and which values a database can have there; `p` of depend, say, are others.
WORDS: t.Final = {
    "pg_class.relkind": "rpvmfSiIct",
    "pg_class.relpersistence": "pu",
    "pg_class.relreplident": "dfi",
    "pg_type.typtype": "bcdeprm",
    "pg_proc.prokind": "fapw",
    "pg_constraint.contype": "cfpux",
    "pg_partitioned_table.partstrat": "r",
    "pg_attribute.attidentity": "a",
    "pg_attribute.attgenerated": "s",
    "pg_trigger.tgenabled": "OD",
    "pg_rewrite.ev_enabled": "OD",
    "pg_am.amtype": "it",
}
#: What is only in newer servers.
WORDS_OF_18: t.Final = {"pg_constraint.contype": "n", "pg_attribute.attgenerated": "v"}
#: Catalogs whose rows are no objects, or those of another kind: what the server has found out or remembers by itself.
NO_OBJECTS: t.Final = {"pg_statistic", "pg_statistic_ext_data", "pg_init_privs", "pg_subscription_rel"}


def test_no_kind_is_missing(sides: tuple[PostgresServer, PostgresServer, str]) -> None:
    """The table of kinds knows every catalog that the server has; a new one of a newer server fails this test."""
    source, _, name = sides
    with source.connect(name) as connection:
        catalogs = connection.execute("""
            select c.relname, exists (
                select from pg_attribute a where a.attrelid = c.oid and a.attname = 'oid' and a.attnum > 0)
            from pg_class c where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r'
            and not c.relisshared
        """).fetchall()
        owners = dict(
            connection.execute("""
                select distinct on (fktable) fktable::regclass::text, fkcols[1] from pg_get_catalog_foreign_keys()
                where not is_array and cardinality(fkcols) = 1 order by fktable, fkcols[1] not in (
                    'aggfnoid', 'indexrelid', 'attrelid', 'inhrelid', 'seqrelid', 'rngtypid', 'partrelid', 'mapcfg',
                    'ftrelid', 'loid')
            """).fetchall()
        )
        without = []
        for catalog, has_oid in catalogs:
            column = "oid" if has_oid else "objid" if catalog == "pg_depend" else owners[catalog]
            column = "objoid" if column == "classoid" else column
            query = f"select exists (select from {catalog} where {column} >= 16384)"
            if connection.execute(query.encode()).fetchone() == (False,):
                without.append(catalog)
        assert set(without) <= NO_OBJECTS
        for words in [WORDS, WORDS_OF_18] if int(source.major) >= 18 else [WORDS]:
            for place, values in words.items():
                catalog, column = place.split(".")
                found = connection.execute(f"select string_agg(distinct {column}::text, '') from {catalog}".encode())
                assert set(values) <= set(found.fetchone()[0]), place  # type: ignore[index]


def test_page() -> None:
    """docs/fidelity.md says what the table of kinds says: `make fidelity`."""
    assert PAGE.read_text() == compose()


def _all_of(server: PostgresServer) -> list[Kind]:
    return [*kinds_of(int(server.major)), *changes_of(int(server.major), icu=_has_icu(server))]


def _has_icu(server: PostgresServer) -> bool:
    with server.connect() as connection, connection.transaction(force_rollback=True):
        try:
            connection.execute("create collation tried (provider = icu, locale = 'de')")
        except psycopg.errors.FeatureNotSupported:
            return False
        return True


def _make(server: PostgresServer, name: str, stack: contextlib.ExitStack, kinds: t.Iterable[Kind]) -> None:
    """Make a database with one object of each kind."""
    server.create_database(name, template="template0")
    stack.callback(server.drop_database, name)
    execute(server, name, "create schema k; create extension btree_gist")
    _run(server, name, [HELPERS, *(kind.make for kind in kinds)])


def _run(server: PostgresServer, name: str, scripts: t.Iterable[str]) -> None:
    """Run each script as a transaction."""
    with server.connect(name) as connection:
        connection.execute("set search_path = k, public")
        for script in scripts:
            connection.execute(script.encode())


@contextlib.contextmanager
def _tablespace_and_role(server: PostgresServer) -> t.Iterator[None]:
    with server.connect() as connection:
        connection.execute("set allow_in_place_tablespaces = on")
        connection.execute("create tablespace k_space location ''")
        connection.execute("create role k_role")
    yield
    execute(server, "postgres", "drop tablespace k_space")
    execute(server, "postgres", "drop role k_role")


def _without_subscription(server: PostgresServer, name: str) -> None:
    execute(server, name, "drop subscription if exists k_sub")
