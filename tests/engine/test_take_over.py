# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one run has left is taken over by another, if that fills it with the same; the first fills nothing any more."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.filling.notes import Notes
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.decision import decide
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import unhindered
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect

from tests.case import new_case
from tests.migration import prepare
from tests.servers import Servers


def test_what_it_has_under_way_is_not_committed(servers: Servers, tmp_path: Path) -> None:
    """Neither by a session that was open, nor by a new one; and its next stage sees whose database that is."""
    with new_case(servers.source(), servers.target(), "CREATE TABLE t AS SELECT 1 AS id") as case:
        sides = (case.source, case.name, case.target, case.name)
        earlier = prepare(*sides, tmp_path / "archive")
        earlier.preflight()
        earlier.dump()
        earlier.restore_schema()
        later = prepare(*sides, tmp_path / "archive")
        later.preflight()
        note = Notes(earlier.run_id).note("rows of a table", 1)
        with connect(earlier.staging) as session:
            session.execute("BEGIN")
            session.execute("INSERT INTO public.t VALUES (2)")
            later.restore_schema()
            assert later.resumed_from == earlier.run_id
            with pytest.raises(psycopg.OperationalError):
                session.execute(note)
        with connect(earlier.staging) as session, pytest.raises(psycopg.errors.UndefinedTable):
            session.execute(note)
        with pytest.raises(MigrationError, match="another run"):
            earlier.restore_data()
        later.restore_data()
        assert later.verify().equal


def test_what_is_streamed_is_known_by_what_it_is(servers: Servers, tmp_path: Path) -> None:
    """A snapshot is gone with its run; another one of the same serves as well, and the plan says that it may."""
    with new_case(servers.source(), servers.target(), "CREATE TABLE t AS SELECT 1 AS id") as case:
        resumed = []
        for name, edit in (("first", ""), ("same", ""), ("changed", "UPDATE t SET id = 2")):
            case.run(edit)
            run = prepare(case.source, case.name, case.target, case.name, tmp_path / name, transfer="stream")
            with contextlib.closing(run), contextlib.ExitStack() as kept:
                request = Request(run.source, run.target, archive_root=tmp_path, transfer="stream")
                plan = decide(request, None, unhindered, None, kept).plan
                (step,) = [step for step in plan if "stream the source into" in step]
                run.preflight()
                run.dump()
                run.restore_schema()
                resumed.append((run.resumed_from, step.startswith("if it holds what run ")))
                if name == "first":
                    first = run.run_id
        assert resumed == [(None, False), (first, True), (None, True)]
