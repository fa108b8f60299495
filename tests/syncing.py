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
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.schema import read_schema
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.writer import write_description
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.identity import read_identity
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import (
    EVERYTHING,
    Patterns,
    tables_to_hold,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.transaction import begin
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.frame import RowsReplaced, Strategy
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync.moving import Moved
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync.synchronization import synchronize
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync.undo_apply import apply_undo
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.note import Note
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.original import read_original

from tests.case import Case
from tests.migration import endpoint

Done = RowsReplaced[tuple[Moved, ...]]
#: What is done to a table: rows inserted, updated, deleted.
Counts = tuple[int, int, int]


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
    noted: str = "",
) -> Done:
    """Synchronize the target with the source.

    :param target_port: by which way the target is reached, if not its own
    :param between: called when the source's snapshot is taken
    :param at_the_end: called before the commit
    :param undo: where the undo is written
    :param noted: what was noted of the target's definitions, by `note_on`
    :raises MigrationError: when that fails, or the verdict is not equal; the target is then as it was
    """
    source = endpoint("source", case.source, case.name, case.source_user)
    judge = dataclasses.replace(_judge(case, patterns, allowed, target_port), noted=noted)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgconvoy-test-"))) / "described"
        here = stack.enter_context(exported_snapshot(source, tables_to_hold(patterns)))
        described = write_description(here, judge.tools, folder, 2, patterns=patterns)
        between()
        transaction = stack.enter_context(begin(judge.live))
        done = synchronize(here, transaction, judge, described, strategy, undo=undo)
        require(done)
        at_the_end()
    return done


def note_on(case: Case) -> str:
    """Return what preflight notes where the target's definitions are the source's."""
    source, judge = endpoint("source", case.source, case.name, case.source_user), _judge(case, EVERYTHING)
    with tempfile.TemporaryDirectory(prefix="pgconvoy-test-") as folder, exported_snapshot(source) as here:
        original = read_original(here, judge.tools, Path(folder))
        entries = read_schema(judge.tools, original.schema)
    with connect(judge.live) as session:
        return Note("", read_identity(session)).renewed(original, entries)


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
