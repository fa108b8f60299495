# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether two databases have the same foreign keys."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.foreign_keys import ForeignKey
from .findings import Difference


@dataclasses.dataclass(frozen=True)
class ForeignKeyVerdict:
    """A foreign key on both sides; None where it is missing."""

    name: str
    table: str
    references: str
    source_validated: bool | None
    target_validated: bool | None
    equal: bool


def pair_foreign_keys(
    source: t.Collection[ForeignKey], target: t.Collection[ForeignKey]
) -> tuple[list[ForeignKeyVerdict], list[Difference]]:
    """Return the keys of both sides, and what differs, also in whether their triggers are enabled."""
    verdicts = _pair_up(source, target)
    return verdicts, _differences(verdicts, _unchecked(source, target))


def _pair_up(source: t.Iterable[ForeignKey], target: t.Iterable[ForeignKey]) -> list[ForeignKeyVerdict]:
    ours = {(key.table, key.name): key for key in source}
    theirs = {(key.table, key.name): key for key in target}
    verdicts = []
    for table, name in sorted(ours.keys() | theirs.keys()):
        our, their = ours.get((table, name)), theirs.get((table, name))
        if our and their and not our.enforced:
            # A restore makes every key enforced.
            our = dataclasses.replace(our, enforced=their.enforced)
        verdicts.append(
            ForeignKeyVerdict(
                name=name,
                table=table,
                references=(our or theirs[table, name]).references,
                source_validated=our.validated if our else None,
                target_validated=their.validated if their else None,
                equal=our == their,
            )
        )
    return verdicts


def _unchecked(source: t.Iterable[ForeignKey], target: t.Iterable[ForeignKey]) -> set[tuple[str, str]]:
    """Return the keys, as (table, name), that are checked on the source alone, which no definition tells."""
    checked = {(key.table, key.name) for key in source if key.enforced}
    return checked & {(key.table, key.name) for key in target if not key.enforced}


def _differences(verdicts: t.Iterable[ForeignKeyVerdict], unchecked: t.Container[tuple[str, str]]) -> list[Difference]:
    """Name the keys as pg_dump does, so that what is allowed of one is allowed of the other."""
    differences = []
    for key in verdicts:
        if key.equal:
            continue
        if key.target_validated is None:
            message = "missing on the target"
        elif key.source_validated is None:
            message = "only on the target"
        elif key.source_validated != key.target_validated:
            message = "validated on one side only"
        elif (key.table, key.name) in unchecked:
            message = "its triggers are disabled on the target: no row is checked"
        else:
            message = "defined otherwise on the target"
        differences.append(Difference(f"fk constraint {key.table} {key.name}", message))
    return differences
