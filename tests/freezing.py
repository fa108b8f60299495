# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration whose source is frozen at the end, in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import typing as t
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.folder import read_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.earlier import ask_instant
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import EVERYTHING, Patterns
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import imported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.background import end_background
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.folder import RunFolder
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.held_freeze import (
    hold_freeze,
    kept_until_committed,
    let_go_on_failure,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.inquiry import answer
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.databases import dropped_on_failure
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync.last_look import Frozen, look_again
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync.second_pass import Brought, bring, know_copy
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.failure import require_equal
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests.case import Case
from tests.migration import Migration, prepare

Nothing = t.Callable[[], object]


def _nothing() -> None:
    pass


@dataclasses.dataclass
class ShortDowntime:
    """The stages of a run with ``downtime: short``, a method each."""

    migration: Migration
    folder: RunFolder
    limit: int = 300
    patterns: Patterns = EVERYTHING

    def copy(self) -> None:
        """Build the copy, and find that it is what was dumped."""
        self.migration.preflight()
        self.migration.dump()
        self.migration.restore_schema()
        self.migration.restore_data()
        with connect(self.migration.staging) as session:
            self.instant = answer(session, ask_instant())
        self.migration.verify()

    def freeze(self, when_frozen: Nothing = _nothing, at_the_end: Nothing = _nothing) -> Brought:
        """Freeze the source, and bring what has moved.

        :param when_frozen: called as soon as the source is frozen
        :param at_the_end: called when all is brought, before it is looked whether the source still is
        """
        one = self.migration
        assert one.tools
        with dropped_on_failure(one.target, one.generations, one.run_id):
            judge = Judge(one.target, staging=True, tools=one.tools, jobs=2, patterns=self.patterns, policy=one.policy)
            judge = know_copy(judge, read_archive(one.archive), self.instant)
            with let_go_on_failure(self.folder):
                held = hold_freeze(one.source, self.patterns, self.folder, os.getpid(), self.limit)
                when_frozen()
                with imported_snapshot(one.source, held["snapshot"]) as here:
                    brought = bring(here, judge, read_archive(one.archive), self.folder.frozen)
                require_equal(brought.verdict, "The copy")
                at_the_end()
                return brought

    def switch(self, before: Nothing = _nothing) -> None:
        """Switch, and let go.

        :param before: called when it is sure that the source is frozen, and stays so
        """
        one = self.migration
        assert one.tools
        frozen = Frozen(read_archive(self.folder.frozen), self.patterns, one.tools, one.policy, one.staging)
        with (
            dropped_on_failure(one.target, one.generations, one.run_id),
            kept_until_committed(one.source, self.folder, functools.partial(look_again, frozen=frozen)),
        ):
            before()
            one.switch()


@contextlib.contextmanager
def short_downtime(case: Case, folder: Path, limit: int = 300) -> t.Iterator[ShortDowntime]:
    """Give such a run; at its end nothing is frozen any more."""
    migration = prepare(
        case.source,
        case.name,
        case.target,
        case.name,
        folder / "archive",
        source_user=case.source_user,
        target_user=case.target_user,
    )
    (folder / "run").mkdir()
    run = ShortDowntime(migration, RunFolder(folder / "run"), limit)
    try:
        yield run
    finally:
        if run.folder.freeze.exists():
            end_background(run.folder.freeze)
