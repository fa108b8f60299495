# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target that archives its write-ahead log, as services do that can restore any point in time."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import Server

from tests.case import Case, new_case
from tests.playbooks import wait_until
from tests.servers import PostgresServer, Servers


@pytest.fixture
def archiving(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[PostgresServer]:
    """Give a server whose archive takes everything."""
    model = servers.target()
    server = Server(tmp_path_factory.mktemp("archiving"), model.bindir)
    server.create()
    with (server.folder / "data" / "postgresql.conf").open("a", encoding="ascii") as settings:
        settings.write("archive_mode = on\narchive_command = 'true'\n")
    server.start()
    assert server.port
    try:
        yield dataclasses.replace(model, server=server, port=server.port, password=server.password)
    finally:
        server.stop()


def test_archive_mode(servers: Servers, archiving: PostgresServer) -> None:
    """It is told; and, in a warning, that it fails, since the server keeps then what it cannot store."""
    with new_case(servers.source(), servers.target(), "create table t(id int)") as case:
        assert case.finds("archive-mode") == []
    with new_case(servers.source(), archiving, "create table t(id int)") as case:
        severity, message = _told(case)
        assert severity == "notice"
        assert "no point in time can be restored" in message
        with archiving.connect() as session:
            session.execute("alter system set archive_command = 'false'")
            session.execute("select pg_reload_conf(), pg_switch_wal()")
            session.execute("create table t(); drop table t; select pg_switch_wal()")
            wait_until(lambda: session.execute("select from pg_stat_archiver where failed_count > 0").rowcount)
        severity, message = _told(case)
        assert severity == "warning"
        assert "its last attempt has failed" in message


def _told(case: Case) -> tuple[str, str]:
    (finding,) = (finding for finding in case.examine() if finding.code == "archive-mode")
    return finding.severity, finding.message
