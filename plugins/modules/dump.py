#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write an archive of the source."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dump
short_description: Write an archive of the source
version_added: "0.1.0"
description:
  - Writes schema, rows, large objects and sequences of one instant into a new folder, with a manifest that describes
    all of it.
  - Of selected tables, only their rows and sequences are written; the schema is always whole.
  - The folder appears only when it is complete. Nothing in it is tied to the machine or to a target.
  - With O(transfer=stream) no rows are written. A snapshot of the source is described instead, in the run's folder, and
    a process of its own holds it, from which M(pgconvoy.migrate.data_restore) or M(pgconvoy.migrate.replace) streams
    the rows in the same run; or until M(pgconvoy.migrate.report) ends it, or C(ansible-playbook) has ended.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.source
  - pgconvoy.migrate.stage
  - pgconvoy.migrate.stage.tools
  - pgconvoy.migrate.settings
options:
  archive_root:
    description: Folder of all archives; this one is C(<host>/<run-id>) below it.
    type: path
    required: true
  reuse:
    description:
      - Whether the host's newest archive is returned in place of a new one, if it is whole and the source, which is
        read for that, still holds what is in it. Whatever differs, or cannot be told, is a reason to write a new one.
      - In check mode, the source is not read, and a new archive is foretold.
    type: bool
    default: false
  transfer:
    description: Whether to write an archive, or to hold a snapshot from which rows are streamed.
    type: str
    choices: [archive, stream]
    default: archive
attributes:
  idempotent:
    description: Every run takes a new archive, unless O(reuse) is set and nothing has changed.
    support: partial
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Dump the source
  pgconvoy.migrate.dump:
    source: {host: localhost, dbname: app, user: app, password: "{{ source_password }}"}
    run_dir: "{{ examined.run_dir }}"
    client_bindir: "{{ examined.client_bindir }}"
    archive_root: archives
  register: dumped
"""

RETURN = r"""
archive:
  description: The archive's folder, or that of the description of what is streamed.
  returned: success
  type: str
  sample: archives/sandbox-db/20261122T101500Z-1f2e3d
reused_from:
  description: When the archive was taken, if it is an earlier one since which nothing has changed; else empty.
  returned: success
  type: str
  sample: "2026-11-22T10:15:00+00:00"
tables:
  description: How many tables it holds.
  returned: success
  type: int
  sample: 21
rows:
  description: How many rows it holds.
  returned: success
  type: int
  sample: 39103
"""

import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run.options import RUN, SETTINGS, SOURCE, TOOLS
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.archive.archive import Archive
    from ..module_utils.archive.manifest import Manifest
    from ..module_utils.archive.reuse import find_earlier
    from ..module_utils.archive.writer import write_archive, write_description
    from ..module_utils.catalog.snapshot import imported_snapshot
    from ..module_utils.errors import Outcome
    from ..module_utils.run.background import end_background
    from ..module_utils.run.held_snapshot import hold_snapshot
    from ..module_utils.server.client_tools import tools_in
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **SOURCE,
    **RUN,
    **TOOLS,
    **SETTINGS,
    "archive_root": {"type": "path", "required": True},
    "reuse": {"type": "bool", "default": False},
    "transfer": {"type": "str", "choices": ["archive", "stream"], "default": "archive"},
}


def main() -> None:
    stage = Stage("dump", AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))
    stage.only_predict(archive="", tables=0, rows=0)
    stage.run(lambda: describe(stage) if stage.params["transfer"] == "stream" else dump(stage))


def dump(stage: Stage) -> Outcome:
    folder, settings = stage.folder, stage.settings
    assert folder
    root, host = pathlib.Path(stage.params["archive_root"]), folder.host
    earlier = find_earlier(root, host) if stage.params["reuse"] else None
    with stage.source() as source:
        tools = tools_in(stage.params["client_bindir"])
        archive = write_archive(
            source,
            tools,
            root / host / folder.run_id,
            settings.jobs,
            settings.queries,
            settings.patterns,
            summed=settings.sums,
            earlier=earlier,
            compression=stage.settings.compression,
        )
    manifest = archive.manifest
    reused_from = manifest.taken_at if archive is earlier else ""
    files = {(table.schema, table.name): table for table in manifest.tables}
    tables = tell_tables(manifest)
    for table in tables:
        written = files.get((table["schema"], table["name"]))
        table["sent_rows"] = written.rows if written else 0
        table["bytes"] = written.file.size if written and written.file else 0
    record = {
        "archive": str(archive.folder),
        "reused_from": reused_from,
        "bytes": sum(file.size for file in manifest.files),
        "tables": tables,
    }
    returned = {**tell(archive), "reused_from": reused_from}
    return Outcome(changed=not reused_from, record=record, returned=returned)


def describe(stage: Stage) -> Outcome:
    """Take a snapshot, which a process in the background holds for the stage that streams the rows, and describe it."""
    run, settings, source = stage.folder, stage.settings, stage.endpoint("source")
    assert run
    assert source
    assert run.playbook_pid
    # Before anything is connected.
    snapshot = hold_snapshot(source, settings.patterns, run.snapshot, run.playbook_pid)
    try:
        with stage.source() as reached, imported_snapshot(reached, snapshot) as imported:
            tools = tools_in(stage.params["client_bindir"])
            described = write_description(
                imported,
                tools,
                run.description,
                settings.jobs,
                settings.queries,
                settings.patterns,
                summed=settings.sums,
            )
    except BaseException:
        end_background(run.snapshot)
        raise
    record = {"snapshot": snapshot, "tables": tell_tables(described.manifest)}
    return Outcome(changed=True, record=record, returned=tell(described))


def tell_tables(manifest: Manifest) -> list[dict[str, t.Any]]:
    """Return what the snapshot holds of each table."""
    return [
        {"schema": m.relation.schema, "name": m.relation.name, "snapshot_rows": m.rows.count}
        for m in manifest.content.relations
        if m.relation.kind == "table" and m.rows
    ]


def tell(archive: Archive) -> dict[str, t.Any]:
    """Return the module's result."""
    manifest = archive.manifest
    tables = [m for m in manifest.content.relations if m.relation.kind == "table" and m.rows]
    return {"archive": str(archive.folder), "tables": len(tables), "rows": sum(table.rows for table in manifest.tables)}


if __name__ == "__main__":
    main()
