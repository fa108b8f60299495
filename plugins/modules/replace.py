#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill the live database in place."""

from __future__ import annotations

DOCUMENTATION = r"""
module: replace
short_description: Fill the live database in place
version_added: "0.1.0"
description:
  - Replaces all that the live database holds by what an archive holds, in one transaction. It is committed only if the
    verdict on it is that both are equal; otherwise the live database is as it was.
  - Where tables are selected, or O(settings.fk_strategy) says so, the schema is kept, and its tables alone are emptied
    and filled.
  - With O(source) in the place of an archive, the schema is kept, too, and only those rows are deleted and copied that
    are not the same on both sides. The source is read meanwhile, all of it as it is at one instant. Clients go on
    reading the live database, as it was before, but for tables whose keys must be dropped and added again.
  - The database itself stays, with its owner, grants and settings.
  - What an archive replaces must still be what M(pgconvoy.migrate.backup) has backed up in the same run. The module
    compares both as soon as nobody else can write, and refuses if they differ.
  - Where only what differs is brought, the module itself writes what goes, below O(archive_root), before anything does.
    That undo, as O(archive), takes it back, and leaves alone what clients have written since.
  - Tables that clients use cannot be replaced. The module waits a few seconds for each lock, and then fails and names
    the sessions that hold it.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.source
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.stage
  - pgconvoy.migrate.stage.tools
  - pgconvoy.migrate.stage.gate
  - pgconvoy.migrate.settings
options:
  archive:
    description:
      - The archive's folder, as M(pgconvoy.migrate.dump) returns it. It is checked before.
      - Where that has taken a snapshot to stream from, the rows come from O(source), which must be given then, too.
      - Without it, only what differs is brought, straight from O(source).
      - The undo of a call that did so takes that back.
    type: path
  archive_root:
    description:
      - Folder of all archives. The undo is C(<host>/backup/<run-id>) below it.
      - Needed where only what differs is brought, or taken back.
    type: path
  replaces:
    description:
      - What differs between the live database and what it must hold, as M(pgconvoy.migrate.preflight) has found.
      - Shown in check mode with diff.
    type: dict
attributes:
  diff_mode:
    description: Shows O(replaces) in check mode.
    support: partial
  idempotent:
    description: Every call replaces what is there.
    support: none
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Fill the live database in place
  pgconvoy.migrate.replace:
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    archive: "{{ dumped.archive }}"
    run_dir: "{{ examined.run_dir }}"
    client_bindir: "{{ examined.client_bindir }}"
    production: "{{ 'production' in group_names }}"

- name: Bring what differs
  pgconvoy.migrate.replace:
    source: {host: localhost, dbname: app, user: app, password: "{{ source_password }}"}
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    run_dir: "{{ examined.run_dir }}"
    client_bindir: "{{ examined.client_bindir }}"
    archive_root: archives
    production: "{{ 'production' in group_names }}"
"""

RETURN = r"""
rows:
  description: How many rows the target received.
  returned: success
  type: int
  sample: 39103
backup:
  description: The undo's folder.
  returned: when only what differs was brought, or taken back
  type: str
  sample: archives/sandbox-db/backup/20261122T101500Z-1f2e3d
equal:
  description: Whether the live database now holds what the archive or the source holds.
  returned: when there is a verdict
  type: bool
differences:
  description: What differs, each with C(object) and C(message).
  returned: when there is a verdict
  type: list
  elements: dict
"""

import contextlib
import dataclasses
import pathlib
import shutil
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run.options import GATE, RUN, SETTINGS, SOURCE, TARGET, TOOLS
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.archive.folder import backup_folder, read_archive, read_manifest
    from ..module_utils.archive.manifest import Manifest
    from ..module_utils.archive.writer import write_description
    from ..module_utils.catalog.selection import tables_to_hold
    from ..module_utils.catalog.snapshot import exported_snapshot
    from ..module_utils.catalog.transaction import begin
    from ..module_utils.errors import MigrationError, Outcome
    from ..module_utils.filling.ledger import tell_ledger
    from ..module_utils.in_place.frame import RowsReplaced, Strategy
    from ..module_utils.in_place.order import tell_load
    from ..module_utils.in_place.refill import refill
    from ..module_utils.in_place.replacement import replace
    from ..module_utils.in_place.unchanged import require_unchanged
    from ..module_utils.preflight.checks.refill import choose_strategy
    from ..module_utils.preflight.judging import judge_by, serving_by
    from ..module_utils.run.confirmation import require_confirmation
    from ..module_utils.run.origin import open_origin
    from ..module_utils.server.client_tools import tools_in
    from ..module_utils.sync.account import tell_moved
    from ..module_utils.sync.moving import Moved
    from ..module_utils.sync.synchronization import synchronize
    from ..module_utils.sync.taking_back import take_back
    from ..module_utils.verdict.comparison import Verdict
    from ..module_utils.verdict.failure import require_equal
    from ..module_utils.verdict.judge import Judge
    from ..module_utils.work_folder import WorkFolder
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **SOURCE,
    **TARGET,
    **RUN,
    **TOOLS,
    **GATE,
    **SETTINGS,
    "archive": {"type": "path"},
    "archive_root": {"type": "path"},
    "replaces": {"type": "dict"},
}


def main() -> None:
    # In check mode there is no archive yet.
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    stage = Stage("replace", module)
    shown = {"diff": stage.params["replaces"]} if module._diff and stage.params["replaces"] else {}
    stage.only_predict(rows=0, **shown)
    stage.run(lambda: replace_in_place(stage))


def replace_in_place(stage: Stage) -> Outcome:
    target, params, settings = stage.endpoint("target"), stage.params, stage.settings
    assert target
    require_confirmation(params["production"], params["confirm_phrase"], params["confirm_answer"], target)
    archive = pathlib.Path(params["archive"]) if params["archive"] else None
    if not (archive or params["source"]):
        raise MigrationError("Nothing was changed. Neither archive nor source says what the database must hold.")
    judge = dataclasses.replace(judge_by(settings, target, tools_in(params["client_bindir"])), jobs=1)
    if archive is None:
        outcome, manifest = synchronize_tables(stage, judge)
    elif read_manifest(archive).changes:
        outcome, manifest = undo_changes(stage, judge, archive)
    else:
        outcome, manifest = fill(stage, judge, archive, find_backup(stage))
    outcome.changed = True
    try:
        serving_by(settings, stage.folder.host if stage.folder else "").require(target, manifest)
    except MigrationError as error:
        raise MigrationError(str(error), outcome) from None
    return outcome


def fill(stage: Stage, judge: Judge, archive: pathlib.Path, backup: pathlib.Path | None) -> tuple[Outcome, Manifest]:
    """Replace all that the live database holds, or keep the schema and fill its tables."""
    manifest = read_archive(archive, loaded=True)
    selection = manifest.select(judge.patterns)
    content = manifest.content if selection is None else manifest.content.of(selection)
    strategy = choose_strategy(stage.settings.fk_strategy, selection is not None)
    with (
        open_origin(stage, archive, manifest, judge.tools) as origin,
        begin(judge.target, stage.committed) as transaction,
    ):
        require_unchanged(transaction, judge, backup)
        if strategy == "post_data":
            replaced = replace(transaction, judge, archive, origin)
            verdict, received, load = replaced.verdict, replaced.received, None
        else:
            kept = refill(transaction, judge, archive, strategy, origin)
            verdict, received, load = kept.verdict, kept.done, tell_load(strategy, kept.order, kept.readded)
        outcome = tell(judge, verdict, tell_ledger(content, received), load)
        require_equal(verdict, f"The {judge.target}, filled from the archive and not committed,", outcome)
    return outcome, manifest


def synchronize_tables(stage: Stage, judge: Judge) -> tuple[Outcome, Manifest]:
    """Bring what is not the same as in the source, and nothing else."""
    settings, strategy = stage.settings, keeping_strategy(stage, judge)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(stage.source())
        here = stack.enter_context(exported_snapshot(source, tables_to_hold(judge.patterns)))
        # Who writes into a folder locks that around it, and the work folder is locked already.
        described = stack.enter_context(WorkFolder()) / "source" / "description"
        manifest = write_description(
            here, judge.tools, described, settings.jobs, judge.queries, judge.patterns, summed=judge.summed
        )
        transaction = stack.enter_context(begin(judge.target, stage.committed))
        undo = stack.enter_context(new_undo(stage))
        kept = synchronize(here, transaction, judge, described, strategy, undo=undo)
        outcome = tell_kept(judge, kept, strategy, undo)
        require_equal(kept.verdict, f"The {judge.target}, made equal to the source and not committed,", outcome)
    return outcome, manifest


def undo_changes(stage: Stage, judge: Judge, archive: pathlib.Path) -> tuple[Outcome, Manifest]:
    """Take back what an earlier run has brought, and nothing else."""
    manifest, strategy = read_archive(archive, loaded=True), keeping_strategy(stage, judge)
    with begin(judge.target, stage.committed) as transaction, new_undo(stage) as undo:
        kept = take_back(transaction, judge, archive, strategy, undo)
        outcome = tell_kept(judge, kept, strategy, undo)
        require_equal(kept.verdict, f"The {judge.target}, taken back to what it was and not committed,", outcome)
    return outcome, manifest


def keeping_strategy(stage: Stage, judge: Judge) -> Strategy:
    """Return how a schema is kept.

    :raises MigrationError: when it is to be replaced
    """
    strategy = choose_strategy(stage.settings.fk_strategy, bool(judge.patterns), "sync")
    if strategy == "post_data":
        raise MigrationError("Nothing was changed. fk_strategy post_data replaces the schema, and here it is kept.")
    return strategy


@contextlib.contextmanager
def new_undo(stage: Stage) -> t.Iterator[pathlib.Path]:
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
        shutil.rmtree(folder, ignore_errors=True)
        raise


def tell_kept(judge: Judge, kept: RowsReplaced[tuple[Moved, ...]], strategy: Strategy, undo: pathlib.Path) -> Outcome:
    load = tell_load(strategy, kept.order, kept.readded)
    outcome = tell(judge, kept.verdict, tell_moved(kept.manifest.content, kept.done), load)
    outcome.record["backup"] = outcome.returned["backup"] = str(undo) if kept.verdict.equal else ""
    return outcome


def tell(judge: Judge, verdict: Verdict, tables: list[dict[str, t.Any]], load: dict[str, t.Any] | None) -> Outcome:
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


def find_backup(stage: Stage) -> pathlib.Path | None:
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


if __name__ == "__main__":
    main()
