# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the live database serves the application's role."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.manifest import Manifest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.queries import Query
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.serving import Serving

from tests.case import Case, execute, new_case
from tests.databases import role
from tests.migration import endpoint, prepare
from tests.servers import Servers

_SCRIPT: t.Final = """
    CREATE TABLE t (id int, tenant text); INSERT INTO t VALUES (1, 'mine'), (2, 'theirs');
    ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (tenant = 'mine');
"""
_COUNT: t.Final = "SELECT count(*) FROM t"


@pytest.fixture
def served(servers: Servers, tmp_path: Path) -> t.Iterator[tuple[Case, Manifest]]:
    """Give a database, what was dumped of it, and an application's role, which has policies to obey."""
    with (
        new_case(servers.source(), servers.target(), _SCRIPT) as case,
        role(case.source, "served_app", "", "secret") as app,
    ):
        case.run(f"GRANT SELECT ON t TO {app}")
        migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
        migration.preflight()
        yield case, migration.dump()
        case.run(f"DROP OWNED BY {app}")


def require(served: tuple[Case, Manifest], query: Query, allowed: t.Collection[str] = ()) -> None:
    case, manifest = served
    live = endpoint("target", case.source, case.name)
    Serving((query,), "served_app", "shop-db", allowed).require(live, manifest)


def test_it_is_asked_as_it_will_be(served: tuple[Case, Manifest]) -> None:
    """Policies hide rows from it, which is no error; it must be let in."""
    require(served, Query("own", _COUNT, "1"))
    case, _ = served
    execute(case.source, "postgres", f'REVOKE CONNECT ON DATABASE "{case.name}" FROM PUBLIC')
    with pytest.raises(MigrationError, match="served_app may not connect to it"):
        require(served, Query("own", _COUNT, "1"))


def test_another_answer(served: tuple[Case, Manifest]) -> None:
    """It is told with the way back, unless it is allowed."""
    query = Query("own", _COUNT, "2")
    with pytest.raises(MigrationError) as caught:
        require(served, query)
    assert "query own: '2' expected, '1' on the target" in str(caught.value)
    assert str(caught.value).endswith("ansible-playbook playbooks/rollback.yml -l shop-db")
    require(served, query, {"query own"})
