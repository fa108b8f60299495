# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done for a copy to be quick where the line is not what it waits for."""

from __future__ import annotations

import typing as t

from tests.case import new_case
from tests.servers import Servers


def test_rows_of_large_tables_are_frozen(servers: Servers) -> None:
    """What needs no VACUUM any more; nobody else's rows are taken away for it, those of an inheriting table either."""
    script = """
        create table big(id int, v text); alter table big alter v set storage external;
        insert into big select g, repeat(md5(g::text), 200) from generate_series(1, 2000) g;
        create table heir(more int) inherits (big);
        insert into heir select g, repeat(md5(g::text), 200), 2 from generate_series(1, 3000) g;
        create table small(id int); insert into small values (1);
    """
    with new_case(servers.source(), servers.target(), script) as case:
        case.transfer = "stream"
        case.arrives()
        visible = "select relallvisible from pg_class where relname = '{}'"
        assert case.ask(visible.format("big")) > 10
        assert case.ask(visible.format("small")) == 0
        assert case.ask("select count(*) from big") == 5000
        case.stays()


#: A function that an index calls, on the copy alone.
_SAID: t.Final = """
    create function said(int) returns int language plpgsql immutable as $$ begin
        if current_database() like '%pgconvoy_staging' {} end if; return $1; end $$;
    create table t(id int); insert into t values (1); create index by_said on t(said(id));
"""


def test_memory_for_indexes(servers: Servers) -> None:
    """A session has more than the default where the server has more; together they have no more than its buffers."""
    told = """and pg_size_bytes(current_setting('maintenance_work_mem')) <> greatest(64 << 20,
        pg_size_bytes(current_setting('shared_buffers')) / 2) then
            raise 'it has %', current_setting('maintenance_work_mem');"""
    with new_case(servers.source(), servers.target(), _SAID.format(told)) as case:
        case.arrives()


def test_shared_memory_that_is_too_small(servers: Servers) -> None:
    """Of several processes that build an index, one remains."""
    told = """and current_query() not like 'ANALYZE%'
        and current_setting('max_parallel_maintenance_workers') <> '0' then raise sqlstate '53100';"""
    with new_case(servers.source(), servers.target(), _SAID.format(told)) as case:
        case.arrives()


def test_shared_memory_that_is_too_small_for_a_view(servers: Servers) -> None:
    """Of several processes that fill a materialized view, one remains."""
    told = """and current_query() like '%REFRESH%'
        and current_setting('max_parallel_workers_per_gather') <> '0' then raise sqlstate '53100';"""
    view = "create materialized view v as select said(id) from t"
    with new_case(servers.source(), servers.target(), f"{_SAID.format(told)} {view}") as case:
        case.arrives()


def test_disk_that_is_full(servers: Servers) -> None:
    """What is no matter of processes is told as ever."""
    told = "then raise sqlstate '53100' using message = 'no room';"
    with new_case(servers.source(), servers.target(), _SAID.format(told)) as case:
        outcome = case.migrate()
        assert outcome.status == "failed"
        assert "Cannot create index public.by_said" in outcome.error
