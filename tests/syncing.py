# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database made equal to the source by what differs, in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.folder import read_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.writer import write_description
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import (
    EVERYTHING,
    Patterns,
    tables_to_hold,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.transaction import begin
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.frame import RowsReplaced, Strategy
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.decision import decide
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import unhindered
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.handed_on import HandedOn
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync.moving import Moved
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync.synchronization import synchronize
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync.undo_apply import apply_undo
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests.case import Case
from tests.migration import endpoint

Done = RowsReplaced[tuple[Moved, ...]]
#: What is done to a table: rows inserted, updated, deleted.
Counts = tuple[int, int, int]
_NOTHING: t.Final = HandedOn()


def sync_target(
    case: Case,
    strategy: Strategy = "dependency_order",
    patterns: Patterns = EVERYTHING,
    allowed: t.Mapping[str, str] | None = None,
    *,
    target_port: int = 0,
    between: t.Callable[[], object] = lambda: None,
    at_the_end: t.Callable[[], object] = lambda: None,
    undo: Path | None = None,
    found: HandedOn = _NOTHING,
) -> Done:
    """Synchronize the target with the source.

    :param target_port: by which way the target is reached, if not its own
    :param between: called when the source's snapshot is taken
    :param at_the_end: called before the commit
    :param undo: where the undo is written
    :param found: what preflight has found before, `look_ahead`
    :raises MigrationError: when that fails, or the verdict is not equal; the target is then as it was
    """
    source = endpoint("source", case.source, case.name, case.source_user)
    judge = _judge(case, patterns, allowed, target_port)
    judge = dataclasses.replace(judge, noted=found.note, earlier=found.target)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgconvoy-test-"))) / "described"
        here = stack.enter_context(exported_snapshot(source, tables_to_hold(patterns)))
        described = write_description(here, judge.tools, folder, 2, patterns=patterns, earlier=found.source)
        between()
        transaction = stack.enter_context(begin(judge.live))
        done = synchronize(here, transaction, judge, described, strategy, undo=undo)
        require(done)
        at_the_end()
    return done


def look_ahead(case: Case) -> HandedOn:
    """Return what preflight hands on to the stage that synchronizes."""
    source = endpoint("source", case.source, case.name, case.source_user)
    target = endpoint("target", case.target, case.name, case.target_user)
    with contextlib.ExitStack() as kept:
        decision = decide(Request(source, target, load_mode="sync"), None, unhindered, None, kept)
    assert not decision.refusal
    assert decision.found.handed_on
    return decision.found.handed_on


def undo_target(
    case: Case,
    folder: Path,
    undo: Path,
    patterns: Patterns = EVERYTHING,
    *,
    at_the_end: t.Callable[[], object] = lambda: None,
) -> Done:
    """Undo what was done to the target, by the undo in a folder; that of this is written to another one.

    :param at_the_end: called before the commit
    :raises MigrationError: when that fails, or the verdict is not equal; the target is then as it was
    """
    judge = _judge(case, patterns)
    with begin(judge.live) as transaction:
        done = apply_undo(transaction, judge, read_archive(folder), "dependency_order", undo)
        require(done)
        at_the_end()
    return done


def require(done: Done) -> None:
    """Make sure that the verdict is equal."""
    if not done.verdict.equal:
        raise MigrationError("\n".join(map(str, done.verdict.differences)))


def _judge(case: Case, patterns: Patterns, allowed: t.Mapping[str, str] | None = None, target_port: int = 0) -> Judge:
    target = endpoint("target", case.target, case.name, case.target_user)
    if target_port:
        target = dataclasses.replace(target, port=target_port)
    tools = choose_tools(int(case.source.major), int(case.target.major), "")
    return Judge(target, False, tools, 1, allowed=allowed or {}, patterns=patterns)


def counts(done: Done) -> dict[str, Counts]:
    """Return what was done to each table of the schema public that differed."""
    tables = [moved.difference for moved in done.done]
    return {table.relation.name: (table.inserted, table.updated, table.deleted) for table in tables}
