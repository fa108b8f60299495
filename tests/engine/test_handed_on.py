# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight has found of a schema that is kept need not be found out again, unless it may be otherwise by now."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import checksums, earlier, pieces
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync import bringing
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests.case import execute
from tests.databases import untouched
from tests.engine.test_sync import EDITS, KEYED, SHOP, MakePair, arrives, live, pair
from tests.syncing import look_ahead, sync_target, undo_target

__all__ = ["pair"]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give a list that grows whenever the target's definitions are read."""
    told: list[str] = []
    original = Judge.read_definitions

    def read(judge: Judge, *arguments: t.Any) -> t.Any:
        told.append(judge.target.dbname)
        return original(judge, *arguments)

    monkeypatch.setattr(Judge, "read_definitions", read)
    return told


def test_they_are_not_read_where_the_catalogs_are_the_same(pair: MakePair, reads: list[str], tmp_path: Path) -> None:
    """Neither is it needed for the undo, which has the source's instead."""
    case = pair(KEYED, "UPDATE a SET v = '' WHERE id <= 4; INSERT INTO a VALUES (1001, 1001)")
    before = live(case).lines()
    found = look_ahead(case)
    reads.clear()
    sync_target(case, found=found, undo=tmp_path / "undo")
    assert reads == []
    arrives(case)
    undo_target(case, tmp_path / "undo", tmp_path / "redo")
    assert live(case).lines() == before


def test_they_are_read_where_keys_were_dropped_meanwhile(pair: MakePair, reads: list[str], tmp_path: Path) -> None:
    """Once, afterwards."""
    case = pair(SHOP, EDITS)
    case.merge = ("public.thing_0", "public.thing_1")
    before = live(case).lines()
    found = look_ahead(case)
    reads.clear()
    sync_target(case, found=found, undo=tmp_path / "undo")
    assert len(reads) == 1
    arrives(case)
    undo_target(case, tmp_path / "undo", tmp_path / "redo")
    assert live(case).lines() == before


def test_what_was_altered_since_is_seen(pair: MakePair) -> None:
    case = pair(KEYED, "DELETE FROM a")

    def alter() -> None:
        execute(case.target, case.name, "ALTER TABLE a ADD w int")

    with pytest.raises(MigrationError, match=r"not the source's(.|\n)*table public\.a"):
        sync_target(case, found=look_ahead(case), between=alter)


def test_a_note_of_another_source_proves_nothing(pair: MakePair) -> None:
    """The source was altered since, and the target is what it was."""
    case = pair(KEYED, "DELETE FROM a")
    found = look_ahead(case)
    execute(case.source, case.name, "ALTER TABLE a ADD w int")
    with untouched(live(case)), pytest.raises(MigrationError, match=r"not the source's(.|\n)*table public\.a"):
        sync_target(case, found=found)


def test_what_the_run_itself_leaves_is_seen(pair: MakePair, monkeypatch: pytest.MonkeyPatch) -> None:
    case = pair("CREATE TABLE t (id int PRIMARY KEY)", source="INSERT INTO t VALUES (1)")
    monkeypatch.setattr(bringing, "restart", lambda session, _: session.execute("ALTER TABLE t SET (fillfactor = 70)"))
    with untouched(live(case)), pytest.raises(MigrationError, match=r"table public\.t"):
        sync_target(case, found=look_ahead(case))


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give a list of the tables that are summed up, however small."""
    told: list[str] = []

    def sum_query(columns: t.Any, rows: t.Any) -> t.Any:
        told.append(rows.as_string())
        return checksums.sum_query(columns, rows)

    monkeypatch.setattr(pieces, "sum_query", sum_query)
    monkeypatch.setattr(earlier, "_LARGE_PAGES", 1)
    return told


def test_rows_that_nobody_has_written_since_are_not_read(pair: MakePair, sums: list[str]) -> None:
    """But those of the table that is written, once, for the verdict."""
    case = pair("CREATE TABLE b AS SELECT generate_series(1, 1000);" + KEYED, "UPDATE a SET v = '' WHERE id <= 4")
    found = look_ahead(case)
    sums.clear()
    sync_target(case, found=found)
    (only,) = sums
    assert '"a"' in only
    arrives(case)


@pytest.mark.usefixtures("sums")
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("UPDATE a SET v = 'later' WHERE id = 500", ""),
        ("", "UPDATE a SET v = 'later' WHERE id = 500"),
        ("DELETE FROM a WHERE id = 1; INSERT INTO a VALUES (1001, 1)", "DELETE FROM a WHERE id = 1"),
        ("UPDATE a SET v = 'later'", "UPDATE a SET v = 'later'"),
        ("", "TRUNCATE a"),
    ],
)
def test_what_clients_have_written_since(pair: MakePair, source: str, target: str) -> None:
    case = pair(KEYED, "UPDATE a SET v = '' WHERE id <= 4; INSERT INTO a VALUES (2000, 2000)")
    found = look_ahead(case)
    execute(case.source, case.name, source)
    execute(case.target, case.name, target)
    sync_target(case, found=found)
    arrives(case)
