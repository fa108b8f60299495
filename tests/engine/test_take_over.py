# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is taken for dead, and is not, can fill nothing any more once another one has taken over."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.filling.notes import Notes
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
