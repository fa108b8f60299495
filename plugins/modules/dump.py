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
attributes:
  idempotent:
    description: Every run takes a new archive.
    support: none
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
  description: The archive's folder.
  returned: success
  type: str
  sample: archives/sandbox-db/20261122T101500Z-1f2e3d
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
    from ..module_utils.archive.writer import write_archive
    from ..module_utils.errors import Outcome
    from ..module_utils.server.client_tools import tools_in
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **SOURCE,
    **RUN,
    **TOOLS,
    **SETTINGS,
    "archive_root": {"type": "path", "required": True},
}


def main() -> None:
    stage = Stage("dump", AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))
    stage.only_predict(archive="", tables=0, rows=0)
    stage.run(lambda: dump(stage))


def dump(stage: Stage) -> Outcome:
    folder, settings = stage.folder, stage.settings
    assert folder
    archive = pathlib.Path(stage.params["archive_root"]) / folder.path.parent.name / folder.run_id
    with stage.source() as source:
        tools = tools_in(stage.params["client_bindir"])
        manifest = write_archive(
            source, tools, archive, settings.jobs, settings.queries, settings.patterns, summed=settings.sums
        )
    files = {(table.schema, table.name): table for table in manifest.tables}
    tables = []
    for measured in manifest.content.relations:
        relation = measured.relation
        if relation.kind == "table" and measured.rows:
            written = files.get((relation.schema, relation.name))
            tables.append(
                {
                    "schema": relation.schema,
                    "name": relation.name,
                    "snapshot_rows": measured.rows.count,
                    "sent_rows": written.rows if written else 0,
                    "bytes": written.file.size if written else 0,
                }
            )
    rows, size = sum(table.rows for table in manifest.tables), sum(file.size for file in manifest.files)
    return Outcome(
        changed=True,
        record={"archive": str(archive), "bytes": size, "tables": tables},
        returned={"archive": str(archive), "tables": len(tables), "rows": rows},
    )


if __name__ == "__main__":
    main()
