# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A note on a database that was found equal spares the reading of its definitions, and nothing else.

That no change escapes with a note in place, tests/mutations tries one by one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.database import read_database
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.identity import read_identity
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.switch import roll_back
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict import note
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.comparison import Verdict
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests.databases import APPLICATION, Database, database, role
from tests.migration import Migration, prepare, run
from tests.servers import Servers

_SOURCE: t.Final = f"""{APPLICATION};
    ALTER TABLE item ADD COLUMN kind varchar(9) DEFAULT 'a' CHECK (kind IN ('a', 'b'));
    CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
"""
#: What a server does by itself, and what changes no definition.
_NO_CHANGE: t.Final = (
    "ANALYZE",
    "VACUUM FREEZE",
    "VACUUM FULL item",
    "VACUUM FULL pg_class",
    "REINDEX TABLE item",
    "TRUNCATE empty",
    "CREATE TEMPORARY TABLE t (a int); DROP TABLE t",
    "COMMENT ON TABLE item IS 'x'; COMMENT ON TABLE item IS NULL",
)


@dataclasses.dataclass(frozen=True)
class Done:
    """A migration that is done, its source and its target."""

    migration: Migration
    source: Database
    target: Database

    @property
    def noted(self) -> object:
        """The target's note."""
        return ask_note(self.target)

    def judge(self) -> Verdict:
        """Ask whether there is anything to do."""
        assert self.migration.tools
        judge = Judge(self.migration.target, False, self.migration.tools, 1, trusts_note=True)
        return judge.judge_by_source(self.migration.source, stop_early=True)

    def differences(self) -> list[str]:
        """Return which objects differ."""
        return [difference.object for difference in self.judge().differences]

    def is_spared(self) -> bool:
        """Return whether both are found equal without reading the target's definitions."""
        reads = []

        def read(judge: Judge, *arguments: t.Any) -> t.Any:
            reads.append(judge)
            return original(judge, *arguments)

        original = Judge.read_definitions
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Judge, "read_definitions", read)
            return self.judge().equal and not reads


def ask_note(database: Database) -> object:
    return database.query("SELECT current_setting('pgconvoy.unchanged', true)")[0][0]


@contextlib.contextmanager
def migrated(servers: Servers, folder: Path, load_mode: str = "auto", user: str = "") -> t.Iterator[Done]:
    """Give a migration that is done, by the superuser or by the role that is to own the target."""
    with database(servers.source(), _SOURCE) as source, database(servers.target(), "") as target:
        if user:
            target.execute(f"ALTER DATABASE {target.name} OWNER TO {user}")
        migration = prepare(
            source.server,
            source.name,
            target.server,
            target.name,
            folder / "archive",
            target_user=(user, "p") if user else None,
        )
        migration = dataclasses.replace(migration, load_mode=load_mode)
        outcome = run(migration)
        assert outcome.status == "migrated", outcome
        yield Done(migration, source, target)


@pytest.fixture(scope="module")
def done(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Done]:
    """Give a migration that is done, for tests that leave it as it is."""
    with migrated(servers, tmp_path_factory.mktemp("note")) as made:
        yield made


def test_definitions_are_spared(done: Done) -> None:
    """What is told of them is what was told before, and what changes none is no change."""
    assert done.is_spared()
    assert done.judge().objects == done.migration.compare().objects
    with connect(done.migration.target) as session:
        before = read_identity(session)
        for statement in _NO_CHANGE:
            done.target.execute(statement)
            assert read_identity(session) == before, statement


def test_rows_are_compared(done: Done) -> None:
    done.target.execute("UPDATE owner SET name = 'Eva' WHERE id = 2; SELECT setval('item_id_seq', 9)")
    assert done.differences() == ["table public.owner", "sequence public.item_id_seq"]
    done.target.execute(r"UPDATE owner SET name = E'tab\tnewline\n' WHERE id = 2; SELECT setval('item_id_seq', 3)")
    assert done.is_spared()


def test_source_that_has_changed(done: Done) -> None:
    """That the target is the same proves nothing then."""
    done.source.execute("ALTER FUNCTION twice(int) COST 99")
    assert done.differences() == ["function public.twice(integer)"]
    done.source.execute("ALTER FUNCTION twice(int) COST 100")
    assert done.is_spared()


def test_note_of_another_edition_proves_nothing(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version may see more than the one that left it."""
    monkeypatch.setattr(note, "_EDITION", 0)
    assert not done.is_spared()


def test_in_place(servers: Servers, tmp_path: Path) -> None:
    with migrated(servers, tmp_path, "in_place") as made:
        assert made.is_spared()


def test_role_that_may_set_nothing(servers: Servers, tmp_path: Path) -> None:
    """A plain role leaves no note; then all is read, and found equal."""
    with role(servers.target(), "noter", "CREATEDB", "p") as user, migrated(servers, tmp_path, user=user) as made:
        assert made.noted is None
        assert made.judge().equal


def test_who_changes_it_while_it_is_judged(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict is on the state before: nothing is noted on what nobody has looked at, and it is found next time."""
    judge_rows = Judge._judge_all_rows

    def judge_after_a_change(judge: Judge, *arguments: t.Any) -> Verdict:
        with connect(judge.target) as session:
            session.execute("CREATE TABLE public.since ()")
        return judge_rows(judge, *arguments)

    monkeypatch.setattr(Judge, "_judge_all_rows", judge_after_a_change)
    with migrated(servers, tmp_path) as made:
        assert made.noted is None
        assert "table public.since" in made.differences()


def test_note_goes_with_its_database(servers: Servers, tmp_path: Path) -> None:
    """Through a switch and a rollback; it is no setting that a copy is given or a source has."""
    with migrated(servers, tmp_path) as made:
        first = made.noted
        made.source.execute("CREATE TABLE later (a int)")
        assert run(dataclasses.replace(made.migration, archive=tmp_path / "again")).status == "migrated"
        assert made.noted not in (first, None)
        assert ask_note(made.target.previous) == first
        with connect(made.migration.target) as session:
            assert read_database(session).settings == ()
        roll_back(made.migration.target, False, lambda: None)
        assert made.noted == first
        assert "table public.later" in made.differences()
        made.source.execute("DROP TABLE later")
        assert made.is_spared()
