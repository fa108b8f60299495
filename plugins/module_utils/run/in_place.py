# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database gets its new content in one transaction: it is filled, made equal, or taken back to what it was."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import typing as t

from ..archive.archive import Archive
from ..archive.folder import backup_folder, check_archive
from ..archive.manifest import Manifest
from ..archive.writer import write_description
from ..catalog.selection import tables_to_hold
from ..catalog.snapshot import exported_snapshot
from ..catalog.transaction import begin
from ..errors import MigrationError, Outcome
from ..filling.ledger import tell_ledger
from ..in_place.frame import RowsReplaced, Strategy
from ..in_place.order import tell_load
from ..in_place.refill import refill
from ..in_place.replacement import replace
from ..in_place.unchanged import TABLES, require_unchanged
from ..preflight.checks.refill import choose_strategy
from ..preflight.handed_on import take
from ..sync.account import tell_moved
from ..sync.moving import Moved
from ..sync.synchronization import synchronize
from ..sync.undo_apply import apply_undo
from ..verdict.comparison import Verdict
from ..verdict.failure import require_equal
from ..verdict.judge import Judge
from ..work_folder import WorkFolder
from .origin import open_origin
from .stage import Stage


def replace_content(stage: Stage, judge: Judge, archive: pathlib.Path | None) -> tuple[Outcome, Manifest]:
    """Replace what the live database holds; return what came of it, and what must be there now.

    :param archive: what it is to hold, or the undo of a run that has brought what differed; without one, the source is
        what it is made equal to
    :raises MigrationError: when anything fails, or the verdict is not that both are equal; nothing was changed then
    """
    if archive is None:
        return _synchronize_tables(stage, judge)
    there = check_archive(archive, loaded=True)
    if there.manifest.changes:
        return _undo_changes(stage, judge, there), there.manifest
    return _fill(stage, judge, there, _find_backup(stage)), there.manifest


def _fill(stage: Stage, judge: Judge, archive: Archive, backup: pathlib.Path | None) -> Outcome:
    """Replace all that the live database holds, or keep the schema and fill its tables."""
    manifest = archive.manifest
    selection = manifest.select(judge.patterns)
    content = manifest.content if selection is None else manifest.content.of(selection)
    strategy = choose_strategy(stage.settings.fk_strategy, selection is not None)
    with (
        open_origin(stage, archive, judge.tools) as origin,
        begin(judge.target, stage.committed, [TABLES]) as transaction,
    ):
        require_unchanged(transaction, judge, backup)
        if strategy == "post_data":
            replaced = replace(transaction, judge, archive, origin)
            verdict, received, load = replaced.verdict, replaced.received, None
        else:
            kept = refill(transaction, judge, archive, strategy, origin)
            verdict, received, load = kept.verdict, kept.done, tell_load(strategy, kept.order, kept.readded)
        outcome = _tell(judge, verdict, tell_ledger(content, received), load)
        require_equal(verdict, f"The {judge.target}, filled from the archive and not committed,", outcome)
    return outcome


def _synchronize_tables(stage: Stage, judge: Judge) -> tuple[Outcome, Manifest]:
    """Bring what is not the same as in the source, and nothing else."""
    settings, strategy = stage.settings, _keeping_strategy(stage, judge)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(stage.source())
        here = stack.enter_context(exported_snapshot(source, tables_to_hold(judge.patterns)))
        # Who writes into a folder locks that around it, and the work folder is locked already.
        folder = stack.enter_context(WorkFolder()) / "source" / "description"
        described = write_description(
            here,
            judge.tools,
            folder,
            settings.jobs,
            judge.queries,
            judge.patterns,
            summed=judge.summed,
            earlier=take(stage.folder.handed_on).source if stage.folder else None,
        )
        transaction = stack.enter_context(begin(judge.target, stage.committed, [TABLES]))
        undo = stack.enter_context(_new_undo(stage))
        kept = synchronize(here, transaction, judge, described, strategy, undo=undo)
        outcome = _tell_kept(judge, kept, strategy, undo)
        require_equal(kept.verdict, f"The {judge.target}, made equal to the source and not committed,", outcome)
    return outcome, described.manifest


def _undo_changes(stage: Stage, judge: Judge, changed: Archive) -> Outcome:
    """Take back what an earlier run has brought, and nothing else."""
    strategy = _keeping_strategy(stage, judge)
    with begin(judge.target, stage.committed, [TABLES]) as transaction, _new_undo(stage) as undo:
        kept = apply_undo(transaction, judge, changed, strategy, undo)
        outcome = _tell_kept(judge, kept, strategy, undo)
        require_equal(kept.verdict, f"The {judge.target}, taken back to what it was and not committed,", outcome)
    return outcome


def _keeping_strategy(stage: Stage, judge: Judge) -> Strategy:
    """Return how a schema is kept.

    :raises MigrationError: when it is to be replaced
    """
    strategy = choose_strategy(stage.settings.fk_strategy, bool(judge.patterns), "sync")
    if strategy == "post_data":
        raise MigrationError("Nothing was changed. fk_strategy post_data replaces the schema, and here it is kept.")
    return strategy


@contextlib.contextmanager
def _new_undo(stage: Stage) -> t.Iterator[pathlib.Path]:
    """Give where the run's undo will be; what was written is removed if the block fails, since nothing was changed."""
    run, root = stage.folder, stage.params["archive_root"]
    if not (run and root):
        raise MigrationError(
            "Nothing was changed. Without run_dir and archive_root, what is changed could not be brought back."
        )
    folder = backup_folder(pathlib.Path(root), run.host, run.run_id)
    try:
        yield folder
    except BaseException:
        # Not why it cannot be removed, but why nothing was changed is what is to be told.
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _tell_kept(judge: Judge, kept: RowsReplaced[tuple[Moved, ...]], strategy: Strategy, undo: pathlib.Path) -> Outcome:
    load = tell_load(strategy, kept.order, kept.readded)
    outcome = _tell(judge, kept.verdict, tell_moved(kept.manifest.content, kept.done), load)
    outcome.record["backup"] = outcome.returned["backup"] = str(undo) if kept.verdict.equal else ""
    return outcome


def _tell(judge: Judge, verdict: Verdict, tables: list[dict[str, t.Any]], load: dict[str, t.Any] | None) -> Outcome:
    return Outcome(
        record={
            "live": judge.target.dbname,
            "tables": tables,
            "load": load,
            "verdict": {"equal": verdict.equal, **dataclasses.asdict(verdict)},
        },
        returned={
            "rows": sum(table["received_rows"] for table in tables),
            "equal": verdict.equal,
            "differences": [dataclasses.asdict(difference) for difference in verdict.differences],
        },
    )


def _find_backup(stage: Stage) -> pathlib.Path | None:
    """Return the folder of the run's backup; None if there was nothing to back up.

    :raises MigrationError: when the run has made none: what is replaced could not be brought back
    """
    record = stage.folder.read_records().get("backup", {}) if stage.folder else {}
    if "archive" not in record:
        raise MigrationError(
            "Nothing was changed. This run has not backed up the live database, so that there would be no way back. "
            "Call pgconvoy.migrate.backup before, with the same run_dir."
        )
    return pathlib.Path(record["archive"]) if record["archive"] else None
