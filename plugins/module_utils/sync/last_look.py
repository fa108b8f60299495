# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients of a frozen source may have changed all the same is looked for right before the switch.

A lock on tables keeps their rows and what alters them, but neither large objects nor sequences, nor who makes something
new: a table, an index, a function.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..archive.archive import Archive
from ..archive.manifest import Manifest
from ..archive.schema import dump_schema, read_schema
from ..catalog.database import read_database
from ..catalog.identity import read_identity
from ..catalog.large_objects import read_large_objects
from ..catalog.selection import Patterns, tables_to_hold
from ..catalog.sequences import read_sequences, set_sequences
from ..catalog.snapshot import Snapshot
from ..errors import MigrationError
from ..privileges.reading import read_privileges
from ..privileges.wanted import Policy
from ..server.client_tools import ClientTools
from ..server.endpoint import Endpoint, connect
from ..verdict.databases import compare_databases
from ..verdict.definitions import compare_schemas
from ..work_folder import WorkFolder
from .same_schema import compare_privileges

#: So many of the things that have changed are named.
_NAMED: t.Final = 20


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A frozen source, and what is about to become live."""

    #: the description of it
    described: Archive
    patterns: Patterns
    tools: ClientTools
    policy: Policy
    staging: Endpoint


def look_again(now: Snapshot, frozen: Frozen) -> None:
    """Make sure that the source is what it was when it was frozen, and bring the numbers that were drawn since.

    :raises MigrationError: when it is not, with what has changed
    """
    manifest = frozen.described.manifest
    before = {m.relation.full_name for m in manifest.content.relations if m.relation.kind != "materialized view"}
    tables = set(tables_to_hold(frozen.patterns)(now.session))
    changed = [f"table {'.'.join(name)}" for name in sorted(tables ^ before)]
    changed += _find_changed_definitions(now, frozen)
    if not frozen.patterns and tuple(read_large_objects(now.session)) != manifest.content.large_objects:
        changed.append("large objects")
    if changed:
        raise MigrationError(
            "While the source was frozen, clients have changed what no lock keeps: "
            f"{', '.join([*dict.fromkeys(changed)][:_NAMED])}. Nothing was switched. Keep them from it, and run again."
        )
    _bring_numbers(now, frozen, manifest)


def _find_changed_definitions(now: Snapshot, frozen: Frozen) -> list[str]:
    """Return what is not defined as it was; where the catalogs are the same, pg_dump need not be asked."""
    manifest = frozen.described.manifest
    properties = compare_databases(read_database(now.session), manifest.database, with_settings=True)
    changed = [difference.object for difference in properties]
    if read_identity(now.session) != manifest.identity:
        # Temporary tables are in the catalogs, too.
        with WorkFolder() as work:
            dump_schema(now, frozen.tools, work / "now.dump")
            today = read_schema(frozen.tools, work / "now.dump")
        then = read_schema(frozen.tools, frozen.described.schema)
        changed += [difference.object for difference in compare_schemas(today, then)[1]]
        if frozen.policy.needs_source:
            changed += compare_privileges(manifest.require_privileges(True), read_privileges(now.session))
    return changed


def _bring_numbers(now: Snapshot, frozen: Frozen, manifest: Manifest) -> None:
    """Set the sequences from which clients have drawn meanwhile: a lock keeps nobody from that (docs: 13.3.1)."""
    before = {(sequence.schema, sequence.name): sequence for sequence in manifest.content.sequences}
    drawn = [s for s in read_sequences(now.session) if before.get((s.schema, s.name), s) != s]
    if drawn:
        with connect(frozen.staging) as staging:
            set_sequences(staging, drawn)
