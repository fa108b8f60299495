# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the schema that is kept is the source's."""

from __future__ import annotations

import dataclasses
import typing as t

from ..archive.archive import Archive
from ..archive.schema import read_schema
from ..catalog.database import read_database
from ..catalog.foreign_keys import ForeignKey
from ..catalog.selection import Selection
from ..catalog.transaction import Transaction
from ..errors import MigrationError
from ..staging.properties import take_over
from ..verdict.comparison import Verdict, compare_foreign_keys
from ..verdict.judge import Judge
from ..verdict.schema import Asked
from .replacement import reword

_OTHER: t.Final = (
    "The target's schema is to be kept, but it is not the source's. Nothing was changed. Bring it up to date first, or "
    "leave out load_mode, fk_strategy and the selection of tables to have it replaced:"
)
#: Of a way back, the undo stands for the source.
_ALTERED: t.Final = (
    "Nothing was changed. Since the run that is to be undone, the live database's schema has been altered, and what "
    "went can return only into the schema that it was in. Bring that back and roll back again, or leave the rollback, "
    "and run again (source: as it was then, target: as it is now):"
)


def judge_kept_schema(
    transaction: Transaction,
    judge: Judge,
    archive: Archive,
    selection: Selection | None,
    asked: Asked,
    keys: t.Collection[ForeignKey],
) -> Verdict:
    """Return the verdict on the schema that is kept; the database's settings and comment are taken over first.

    :param asked: what the live database has told of it, and its foreign keys
    :raises MigrationError: when it is not the source's, with what differs
    """
    if selection is None:
        statements = take_over(asked.database, archive.manifest.database, judge.allowed)
        for statement in statements:
            transaction.session.execute(statement)
        if statements:
            asked = dataclasses.replace(asked, database=read_database(transaction.session))
        verdict = _judge_whole_schema(transaction, judge, archive, asked)
    else:
        verdict = judge.judge_definitions(transaction, archive, asked=asked)
    ours, theirs = (
        [key for key in side if selection is None or key.table in selection.labels]
        for side in (archive.manifest.content.foreign_keys, keys)
    )
    verdict = verdict.joined(compare_foreign_keys(ours, theirs)).allowing(judge.allowed)
    if not verdict.equal:
        why = _ALTERED if archive.manifest.changes else _OTHER
        raise MigrationError("\n".join([why, *(f"- {difference}" for difference in verdict.differences)]))
    return verdict


def _judge_whole_schema(transaction: Transaction, judge: Judge, archive: Archive, asked: Asked) -> Verdict:
    """Return the verdict on all definitions.

    Where only the words may differ, the live database says them, and not a scratch database, as it does for a
    selection: where all is filled in place, none can be made.
    """
    same_words = dataclasses.replace(judge, reword=lambda: read_schema(judge.tools, archive.schema))
    verdict = same_words.judge_definitions(transaction, archive, asked=asked)
    if verdict.equal:
        return verdict
    own_words = dataclasses.replace(judge, reword=lambda: reword(transaction, judge.tools, archive))
    return own_words.judge_definitions(transaction, archive, asked=asked)
