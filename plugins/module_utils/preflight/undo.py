# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what an earlier run has brought can be taken back, and what of it is still there."""

from __future__ import annotations

import dataclasses

from ..archive.manifest import Manifest
from ..catalog.content import Content
from ..catalog.database import read_database
from ..catalog.snapshot import Snapshot
from ..sync.undo_plan import plan_undo
from ..verdict.comparison import Verdict, compare
from ..verdict.databases import compare_databases
from ..verdict.findings import Finding
from ..verdict.judge import Judge
from .examination import Examination


def judge_undo(found: Examination, judge: Judge, manifest: Manifest, there: Snapshot) -> Verdict:
    """Return the verdict on the live database, whose schema is known to be as it was: equal if all has gone back.

    What clients have written that would be lost is added to the examination.

    :param manifest: of the undo
    :param there: the live database
    :raises MigrationError: when anything cannot be read
    """
    selection = manifest.select(judge.patterns)
    way, database = plan_undo(there, judge.jobs, manifest, selection), read_database(there.session)
    found.findings += [
        Finding(
            "error",
            "changed-since",
            name,
            "clients have changed what the run that is to be undone had brought, and what they wrote would be lost.",
            "Bring it by hand into the state that you want: the backup holds what there was before. Or leave the "
            "rollback, and run again.",
        )
        for name in way.overwritten
    ]
    verdict = compare(_without_views(way.content), _without_views(way.found))
    if selection is not None:
        return verdict
    return verdict.joined(Verdict(differences=compare_databases(manifest.database, database, with_settings=True)))


def _without_views(content: Content) -> Content:
    """Return what holds something of its own."""
    tables = tuple(one for one in content.relations if one.relation.kind != "materialized view")
    return dataclasses.replace(content, relations=tables)
