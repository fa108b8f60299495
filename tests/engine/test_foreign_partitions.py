# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees that are loaded through their root, with a foreign partition: no run writes a row to somebody else's server."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import examine
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request

from tests.case import Case, new_case
from tests.migration import prepare
from tests.refilling import make_target, refill_target
from tests.servers import Servers
from tests.syncing import sync_target

#: All of the tree but its partition ``ev2``. So many labels that some lie elsewhere with other OIDs.
TREE: t.Final = """
    create extension postgres_fdw;
    create type col as enum ({labels});
    create table ev (c col, n int) partition by hash (c);
    create table ev0 partition of ev for values with (modulus 3, remainder 0);
    create table ev1 partition of ev for values with (modulus 3, remainder 1);
"""
LABELS: t.Final = ", ".join(f"'colour {number}'" for number in range(30))
FAR: t.Final = """
    create server far foreign data wrapper postgres_fdw options (host '127.0.0.1', port '{port}', dbname '{dbname}');
    create user mapping for public server far options (user '{user}', password '{password}');
    create foreign table ev2 partition of ev for values with (modulus 3, remainder 2)
        server far options (table_name 'elsewhere');
"""
NEAR: t.Final = "create table ev2 partition of ev for values with (modulus 3, remainder 2);"
ROWS: t.Final = "insert into ev select c, n from unnest(enum_range(null::col)) c, generate_series(1, 10) n;"


@pytest.fixture
def case(servers: Servers) -> t.Iterator[Case]:
    """Give a case with nothing in it."""
    with new_case(servers.source(), servers.target(), TREE.format(labels=LABELS)) as case:
        yield case


@pytest.fixture
def somebody_else(servers: Servers) -> t.Iterator[Case]:
    """Give a database, on the source's server, that is no part of any run."""
    with new_case(servers.source(), servers.target(), "create table elsewhere (c text, n int)") as other:
        yield other


def far(other: Case) -> str:
    """Return what makes a foreign partition whose rows are there."""
    server = other.source
    return FAR.format(port=server.port, dbname=other.name, user=server.user, password=server.password)


def test_refused(case: Case, somebody_else: Case) -> None:
    """Nothing is done, until an ordinary table has taken its place."""
    case.run(far(somebody_else) + ROWS)
    before = somebody_else.ask("select count(*) from elsewhere", side="source")
    assert before, "the test proves nothing"
    outcome = case.migrate()
    assert somebody_else.ask("select count(*) from elsewhere", side="source") == before
    assert outcome.refusals == {("foreign-partition", "table public.ev")}
    case.run("drop foreign table ev2;" + NEAR)
    assert case.finds("foreign-partition") == []
    assert case.migrate().status == "migrated"
    assert somebody_else.ask("select count(*) from elsewhere", side="source") == before


def test_told_of_the_live_database(case: Case, somebody_else: Case) -> None:
    """Where it is changed in place, its own partitions count: what is there now is to be brought back some day."""
    case.run(NEAR + ROWS)
    make_target(case, TREE.format(labels=LABELS) + far(somebody_else))
    assert case.finds("foreign-partition") == []
    migration = prepare(case.source, case.name, case.target, case.name, Path("unused"))
    for load_mode in ("in_place", "sync"):
        migration.load_mode = load_mode
        (found,) = [finding for finding in migration.preflight().findings if finding.code == "foreign-partition"]
        assert (found.severity, found.object) == ("error", "table public.ev")
        assert "in the live database" in found.message


@pytest.mark.parametrize("fill", [refill_target, sync_target])
def test_refused_where_rows_are_loaded(case: Case, somebody_else: Case, fill: t.Callable[[Case], object]) -> None:
    """What preflight has not seen, since it has become so afterwards."""
    case.run(far(somebody_else) + ROWS)
    make_target(case, TREE.format(labels=LABELS) + far(somebody_else))
    before = somebody_else.ask("select count(*) from elsewhere", side="source")
    with pytest.raises(MigrationError, match=r"^Cannot fill table public\.ev: .* foreign table"):
        fill(case)
    assert somebody_else.ask("select count(*) from elsewhere", side="source") == before


def test_refused_where_a_copy_is_loaded(case: Case, somebody_else: Case) -> None:
    """Of an archive, too, what it says is looked at when it is loaded."""
    case.run(NEAR)
    with tempfile.TemporaryDirectory(prefix="pgconvoy-test-") as folder:
        migration = prepare(case.source, case.name, case.target, case.name, Path(folder) / "archive")
        assert not any(finding.severity == "error" for finding in migration.preflight().findings)
        case.run("drop table ev2;" + far(somebody_else) + ROWS)
        before = somebody_else.ask("select count(*) from elsewhere", side="source")
        manifest = migration.dump()
        migration.restore_schema()
        with pytest.raises(MigrationError, match=r"^Cannot fill table public\.ev: .* foreign table"):
            migration.restore_data()
        request = Request(None, migration.target, goal="restore")
        told = [finding for finding in examine(request, manifest).findings if finding.code == "foreign-partition"]
        assert [finding.object for finding in told] == ["table public.ev"]
    assert somebody_else.ask("select count(*) from elsewhere", side="source") == before


@pytest.mark.parametrize("fill", [refill_target, sync_target])
def test_others_are_left_alone(case: Case, somebody_else: Case, fill: t.Callable[[Case], object]) -> None:
    """Where a row's partition is certain, or there are heirs, none but the database's own tables is written to."""
    script = f"""
        drop table ev; {far(somebody_else).partition("create foreign table")[0]}
        create table p (n int) partition by range (n); create table p0 partition of p for values from (0) to (9);
        create foreign table p1 partition of p for values from (9) to (99) server far options (table_name 'elsewhere');
        create table parent (n int); create foreign table heir () inherits (parent) server far
            options (table_name 'elsewhere');
        insert into p values (10), ({{0}}); insert into parent values ({{0}});
    """
    case.run(script.format(1))
    make_target(case, TREE.format(labels=LABELS) + script.format(2))
    assert somebody_else.ask("select count(*) from elsewhere", side="source") == 2
    fill(case)
    assert case.equal_answers("select (select n from p0) + (select n from only parent)") == 2
    assert somebody_else.ask("select array_agg(n) from elsewhere", side="source") == [10, 10]
