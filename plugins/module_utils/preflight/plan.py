# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run would do, for those who ask first."""

from __future__ import annotations

import pathlib
import typing as t

from ..in_place.order import LoadOrder
from ..server.endpoint import Endpoint
from ..staging.names import Generations
from ..verdict.comparison import RowsVerdict, Verdict
from ..verdict.tables import TableVerdict
from .goals import GOALS, LoadMode

#: What is to be done with a row that is not the source's.
_TO_DO: t.Final = {"missing": "insert", "changed": "update", "extra": "delete"}
#: How many tables a step names.
_NAMED: t.Final = 10

_DUMP: t.Final = "dump the source, as it is at one instant, into an archive"
_HOLD: t.Final = "hold a snapshot of the source, as it is at one instant, and describe it"


def steps(
    goal: str,
    target: Endpoint | None,
    target_exists: bool,
    verdict: Verdict | None,
    load_mode: LoadMode | None = "swap",
    order: LoadOrder | None = None,
    *,
    streamed: bool = False,
    short: bool = False,
) -> list[str]:
    """Return the steps of a run in words; none where the target equals its source already.

    :param order: in which order tables are filled that are kept
    :param streamed: whether rows come straight from the source
    :param short: whether the source is frozen at the end
    """
    if verdict and verdict.equal:
        return []
    wanted = GOALS[goal]
    dumps = wanted.writes_archive and load_mode != "sync"
    planned = [_DUMP if not streamed else _HOLD] if dumps else []
    if target and wanted.fills and load_mode == "sync":
        what = "that are not the source's" if goal != "restore" else "back that an earlier run has replaced"
        planned += [
            f'keep out who writes to "{target.dbname}", and write what will be replaced into an archive, the undo',
            f'bring the rows of "{target.dbname}" {what}, and no others, in the same transaction, which is committed '
            "if all is as it must be",
        ]
    elif target and wanted.fills and load_mode == "in_place":
        planned += [
            f'back up "{target.dbname}" into an archive, the undo',
            f"{_filling(target, order)}, in a transaction that is committed if it equals the source",
        ]
    elif target and wanted.fills:
        names = Generations(target.dbname)
        planned += [
            f'{"stream the source" if streamed else "restore the archive"} into the new database "{names.staging}"',
            f'verify "{names.staging}" against {"that instant" if streamed else "the archive"}',
        ]
        if not wanted.replaces:
            return [*planned, f'drop "{names.staging}"']
        if short:
            planned += [
                "freeze the source: its clients go on reading, and wait where they write, until all is done",
                f'bring what has been written since into "{names.staging}", and verify it against the frozen source',
            ]
        if target_exists:
            planned.append(f'rename "{names.live}" to "{names.previous}", the undo')
        planned.append(f'rename "{names.staging}" to "{names.live}"')
    elif target and wanted.replaces:
        planned.append(f'exchange "{target.dbname}" and "{Generations(target.dbname).previous}"')
    return planned


def _filling(target: Endpoint, order: LoadOrder | None) -> str:
    if order is None:
        return f'clear "{target.dbname}" and fill it'
    tables = [".".join(table) for table in order.tables]
    named = f"{len(tables)} tables" if len(tables) > _NAMED else f"the tables {', '.join(tables)}"
    return f'empty and fill {named} of "{target.dbname}", whose schema is kept'


def diff(
    target: Endpoint,
    verdict: Verdict | None,
    load_mode: LoadMode | None = "swap",
    archive: pathlib.Path | None = None,
) -> dict[str, str]:
    """Return what differs, before and after the run, one sorted line an object, as Ansible shows a diff.

    :param archive: what stands for the source, if anything does
    """
    before, after = [], []
    for table in verdict.tables if verdict else ():
        if not table.equal:
            before += _line(table, table.target_rows, table.target_checksum)
            after += _line(table, table.source_rows, table.source_checksum)
    if load_mode == "sync":
        after += [line for rows in (verdict.rows if verdict else ()) for line in _rows_to_bring(rows)]
    told = {line.partition(": ")[0] for line in set(before) ^ set(after)}
    for difference in verdict.differences if verdict else ():
        if difference.object not in told:
            before.append(f"{difference.object}: {difference.message.splitlines()[0]}")
            after.append(f"{difference.object}: as on the source")
    if verdict is None:
        after.append(f'database "{target.dbname}": as on the source')
    place = f"{target.host}:{target.port}/{target.dbname}"
    return {
        "before_header": f"{place} now",
        "after_header": f"{place} after the run" + (f", by the archive {archive}" if archive else ""),
        "before": "".join(f"{line}\n" for line in sorted(before)),
        "after": "".join(f"{line}\n" for line in sorted(after)),
    }


def _rows_to_bring(rows: RowsVerdict) -> t.Iterator[str]:
    name = f"{rows.kind} {rows.schema}.{rows.name}"
    yield (
        f"{name}: {rows.missing:,} rows to insert, {rows.changed:,} to update, {rows.extra:,} to delete; about "
        f"{rows.bytes:,} bytes to send"
    )
    for kind, names in rows.examples:
        if names:
            yield f"{name}: {_TO_DO[kind]} {', '.join(names)}"


def _line(table: TableVerdict, rows: int | None, checksum: str | None) -> list[str]:
    return [f"{table.kind} {table.schema}.{table.name}: {rows:,} rows, checksum {checksum}"] if rows is not None else []
