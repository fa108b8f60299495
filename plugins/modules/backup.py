#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write an archive of the live database, and try it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Write an archive of the live database, and try it
version_added: "0.1.0"
description:
  - Writes an archive of the target before it is filled in place. It is the undo, which C(playbooks/rollback.yml) or
    C(playbooks/restore.yml) restores.
  - Where the target user may create databases, the archive is restored into the staging database, compared and dropped
    again. Elsewhere its files are read from end to end.
  - A live database that holds nothing is not backed up. The live database is not touched.
  - Of selected tables, which alone will be filled, only their rows and sequences are written.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.stage
  - pgconvoy.migrate.stage.tools
  - pgconvoy.migrate.settings
options:
  archive_root:
    description: Folder of all archives; this one is C(<host>/backup/<run-id>) below it.
    type: path
    required: true
attributes:
  idempotent:
    description: Every run takes a new backup.
    support: none
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Back up the live database
  pgconvoy.migrate.backup:
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    run_dir: "{{ examined.run_dir }}"
    client_bindir: "{{ examined.client_bindir }}"
    archive_root: archives
"""

RETURN = r"""
archive:
  description: The archive's folder; empty if there was nothing to back up.
  returned: success
  type: str
  sample: archives/sandbox-db/backup/20261122T101500Z-1f2e3d
restored:
  description: Whether the archive was restored into a database of its own and compared.
  returned: success
  type: bool
"""

import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run.options import RUN, SETTINGS, TARGET, TOOLS
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.archive.folder import backup_folder
    from ..module_utils.errors import Outcome
    from ..module_utils.in_place.backup import back_up, rehearse
    from ..module_utils.server.client_tools import tools_in
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **TARGET,
    **RUN,
    **TOOLS,
    **SETTINGS,
    "archive_root": {"type": "path", "required": True},
}


def main() -> None:
    stage = Stage("backup", AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))
    stage.only_predict(archive="", restored=False)
    stage.run(lambda: backup(stage))


def backup(stage: Stage) -> Outcome:
    target, run, settings, params = stage.endpoint("target"), stage.folder, stage.settings, stage.params
    assert target
    assert run
    tools = tools_in(params["client_bindir"])
    folder = backup_folder(pathlib.Path(params["archive_root"]), run.host, run.run_id)
    if back_up(target, tools, folder, settings.jobs, settings.patterns, settings.compression) is None:
        return Outcome(record={"archive": ""}, returned={"archive": "", "restored": False})
    restored = rehearse(target, tools, folder, run.run_id, settings.jobs, settings.allowed)
    told = {"archive": str(folder), "restored": restored}
    return Outcome(changed=True, record=told, returned=told)


if __name__ == "__main__":
    main()
