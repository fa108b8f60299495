# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stages tell of themselves adds up to what they have done, and holds no value."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.schedule.progress import Progress, State, Step, listening

from tests.case import execute, new_case
from tests.migration import prepare
from tests.servers import Servers

_SCRIPT: t.Final = """
    CREATE TABLE parent (id int PRIMARY KEY, name text);
    INSERT INTO parent SELECT n, 'canary' FROM generate_series(1, 70) n;
    CREATE TABLE child (id int, parent int REFERENCES parent, wide text);
    INSERT INTO child SELECT n, n % 70 + 1, repeat('canary', 50) FROM generate_series(1, 40000) n;
    CREATE INDEX child_wide ON child (wide);
    CREATE TABLE empty (id int);
    CREATE TABLE binary_rows (id uuid, "line
break" bytea);
    INSERT INTO binary_rows SELECT gen_random_uuid(), 'canary' FROM generate_series(1, 30);
    CREATE MATERIALIZED VIEW view AS SELECT count(*) FROM child;
    SELECT lo_from_bytea(0, 'canary');
"""
_ROWS: t.Final = 70 + 40000 + 30


class _Eager(Progress):
    """Tells of all that begins and ends, and not now and then."""

    @contextlib.contextmanager
    def doing(self, step: Step) -> t.Iterator[None]:
        with super().doing(step):
            self.tell_news()
            yield
        self.tell_news()


def _phase(told: list[State], name: str) -> State:
    """Return the last that was told of a phase."""
    return [state for state in told if state["phase"] == name][-1]


def test_stages_tell(servers: Servers, tmp_path: Path) -> None:
    """Everything is done in the end: each step, each row, each byte of the archive."""
    with new_case(servers.source(), servers.target(), _SCRIPT) as case:
        migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
        migration.preflight()
        told: list[State] = []
        with listening(Progress(told.append)):
            manifest = migration.dump()
            dumped = len(told)
            migration.restore_schema()
            migration.restore_data()
            verified = len(told)
            migration.verify()
    rows = sum(table.file.size for table in manifest.tables)
    written, filled = _phase(told[:dumped], "write rows"), _phase(told, "fill the database")
    assert (written["rows"], written["bytes"]) == ([_ROWS, _ROWS], rows)
    assert manifest.large_objects
    assert (filled["rows"], filled["bytes"]) == ([_ROWS, _ROWS], rows + manifest.large_objects.size)
    checked = _phase(told[dumped:verified], "check the archive")
    for state in (
        written,
        filled,
        checked,
        *(_phase(part, "count and checksum rows") for part in (told[:dumped], told[verified:])),
    ):
        done, steps = state["steps"]
        assert done == steps > 0
        assert state["sizes"][0] == state["sizes"][1] > 0
        assert state["doing"] == []
    assert "canary" not in str(told)


def test_what_is_undone_is_told(servers: Servers, tmp_path: Path) -> None:
    """A restore that fails says that it drops what it has made."""
    with new_case(servers.source(), servers.target(), _SCRIPT) as case:
        migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
        migration.preflight()
        migration.dump()
        migration.restore_schema()
        execute(case.target, migration.staging.dbname, "ALTER TABLE child ADD CHECK (id <> 40000)")
        told: list[State] = []
        with pytest.raises(MigrationError), listening(_Eager(told.append)):
            migration.restore_data()
    assert [f'undo: drop "{migration.staging.dbname}"'] in [state["doing"] for state in told]
    done, steps = _phase(told, "fill the database")["steps"]
    assert done < steps
    assert told[-1]["doing"] == []
