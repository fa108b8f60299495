# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source has got since it was dumped is brought to the copy that was made of the dump, while it is frozen.

Its writers wait meanwhile. So what can be known before is read before, and what did not change is not read again.
"""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

from ..archive.archive import Archive
from ..archive.manifest import Manifest
from ..archive.writer import write_description
from ..catalog.earlier import Earlier, Instant
from ..catalog.snapshot import ExportedSnapshot, exported_snapshot
from ..catalog.transaction import begin
from ..in_place.frame import RowsReplaced
from ..verdict.comparison import Verdict
from ..verdict.judge import Judge
from .moving import Moved
from .same_schema import require_same_schema
from .synchronization import Known, synchronize


@dataclasses.dataclass(frozen=True)
class Brought:
    """What the frozen source holds, what was done, and the verdict on the copy."""

    manifest: Manifest
    replaced: RowsReplaced[tuple[Moved, ...]]
    verdict: Verdict


def know_copy(judge: Judge, archive: Archive, instant: t.Sequence[t.Any]) -> Judge:
    """Return who judges the copy, and knows of it what can be known: to be called before anybody waits.

    :param archive: what the copy was found to hold
    :param instant: when that was, by its server
    """
    manifest = archive.manifest
    # What was allowed to differ in the copy is not what the dump holds.
    earlier = Earlier(Instant(*instant), manifest.content, manifest.database.serving_path)
    with exported_snapshot(judge.target) as copy:
        definitions = judge.read_definitions(copy)
    return dataclasses.replace(judge, definitions=definitions, earlier=None if judge.allowed else earlier)


def bring(here: ExportedSnapshot, judge: Judge, archive: Archive, folder: pathlib.Path) -> Brought:
    """Bring what the frozen source holds and the copy does not, and judge it.

    The caller must drop the copy unless the verdict says equal.

    :param here: the frozen source
    :param judge: of the copy
    :param archive: the dump that the copy was found equal to
    :param folder: where the frozen source is to be described
    :raises MigrationError: when more than rows has changed, or anything fails
    """
    frozen = write_description(
        here,
        judge.tools,
        folder,
        judge.jobs,
        judge.queries,
        judge.patterns,
        summed=judge.summed,
        before=archive,
        earlier=archive.manifest.earlier,
    )
    schema = require_same_schema(archive, frozen, judge.tools, judge.policy)
    known = Known(schema, judge.earlier.content if judge.earlier else None, archive.manifest.unseen_from)
    # Nobody sees the copy yet: it is committed first, so that all sessions can judge it.
    with begin(judge.target) as transaction:
        replaced = synchronize(here, transaction, judge, frozen, "dependency_order", known)
    return Brought(frozen.manifest, replaced, replaced.verdict.joined(judge.judge_rows(frozen)))
