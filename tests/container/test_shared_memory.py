# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server in a container whose shared memory is small: 64 MB at a managed service, and here less."""

from __future__ import annotations

import typing as t

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import describe

from tests.case import execute, new_case
from tests.containers import DatabaseContainer, Engine
from tests.servers import Servers

#: Large enough for several processes to read a table together, and to build an index of it.
_SCRIPT: t.Final = """
    create table parent(id int primary key, note text);
    insert into parent select i, repeat('x', 50) || i from generate_series(1, 300000) i;
    create table child(id int primary key, parent int references parent);
    insert into child select i, i from generate_series(1, 300000) i;
    create index on parent(note);
    create materialized view lengths as select length(note), count(*) from parent group by 1;
"""
#: Several processes share a hash table.
_TOGETHER: t.Final = """
    set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set enable_mergejoin = off; set work_mem = '64MB';
    select count(*) from parent p join child c on p.id = c.parent
"""


@pytest.fixture(scope="module")
def small(session_engine: Engine) -> t.Iterator[DatabaseContainer]:
    """Give a server with so little that it just starts."""
    with session_engine.database("debian", options=["--shm-size=2m"]) as started:
        yield started


@pytest.mark.parametrize("side", ["source", "target"])
def test_one_process_does_it(servers: Servers, small: DatabaseContainer, side: t.Literal["source", "target"]) -> None:
    """Tables are copied and compared, and keys looked at, though several would take too much."""
    source = small.server if side == "source" else servers.source()
    target = small.server if side == "target" else servers.target()
    with new_case(source, target, _SCRIPT) as case:
        refused = _refusals(small)
        assert case.migrate().status == "migrated"
        assert _refusals(small) > refused
        assert case.migrate().status == "unchanged"
        # The oracle knows nothing of this.
        execute(small.server, "postgres", f'alter database "{case.name}" set max_parallel_workers_per_gather = 0')
        case.equal_answers(
            "select md5(string_agg(p::text || c::text, '' order by p.id)) from parent p, child c where c.parent = p.id"
        )
        assert case.equal_answers("select count(*) from lengths") > 1


def test_message(small: DatabaseContainer) -> None:
    """The server says what it says of a full disk, and the message which of the two it is."""
    with small.server.connect() as session:
        for statement in _SCRIPT.split(";")[:4]:
            session.execute(f"{statement.replace('create table', 'create unlogged table')}".encode())
        with pytest.raises(psycopg.errors.DiskFull) as refused:
            session.execute(_TOGETHER)
    told = describe(refused.value)
    assert "No space left on device\nHINT: It is the server's shared memory (/dev/shm) that is too small" in told
    assert "RAILWAY_SHM_SIZE_BYTES" in told


def _refusals(container: DatabaseContainer) -> int:
    return container.engine.logs(container.name).count("could not resize shared memory segment")
