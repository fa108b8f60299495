#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create the staging database and the schema in it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schema_restore
short_description: Create the staging database and the schema in it
version_added: "0.1.0"
description:
  - Creates the staging database beside the live one, with the source's encoding and locale, and in it everything that
    must be there before the rows.
  - The archive is checked before. A staging database that an earlier run left is dropped, and so is this one on
    failure. The live database is not touched.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.stage
  - pgconvoy.migrate.stage.tools
  - pgconvoy.migrate.stage.gate
options:
  archive:
    description: The archive's folder, as M(pgconvoy.migrate.dump) returns it.
    type: path
    required: true
attributes:
  idempotent:
    description: Every run builds a new staging database.
    support: none
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Restore the schema beside the live database
  pgconvoy.migrate.schema_restore:
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    archive: "{{ dumped.archive }}"
    run_dir: "{{ examined.run_dir }}"
    production: "{{ 'production' in group_names }}"
    client_bindir: "{{ examined.client_bindir }}"
"""

RETURN = r"""
staging:
  description: Name of the staging database.
  returned: always
  type: str
  sample: app__pgconvoy_staging
"""

import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run.options import GATE, RUN, TARGET, TOOLS
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.archive.folder import read_archive
    from ..module_utils.errors import Outcome
    from ..module_utils.run.confirmation import require_confirmation
    from ..module_utils.server.client_tools import tools_in
    from ..module_utils.server.endpoint import connect
    from ..module_utils.staging.databases import create_staging, dropped_on_failure, maintenance_session
    from ..module_utils.staging.names import Generations
    from ..module_utils.staging.restore import restore_schema
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {**TARGET, **RUN, **TOOLS, **GATE, "archive": {"type": "path", "required": True}}


def main() -> None:
    stage = Stage("schema_restore", AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))
    stage.only_predict(staging=Generations(stage.params["target"]["dbname"]).staging)
    stage.run(lambda: schema_restore(stage))


def schema_restore(stage: Stage) -> Outcome:
    target, folder, params = stage.endpoint("target"), stage.folder, stage.params
    assert target
    assert folder
    if folder.goal != "rehearse":
        require_confirmation(params["production"], params["confirm_phrase"], params["confirm_answer"], target)
    generations, archive = Generations(target.dbname), pathlib.Path(params["archive"])
    manifest, tools = read_archive(archive, loaded=True), tools_in(params["client_bindir"])
    with dropped_on_failure(target, generations, folder.run_id):
        with maintenance_session(target) as session:
            create_staging(session, generations, manifest.database.locale, folder.run_id)
        with connect(target.at(generations.staging)) as session:
            objects = restore_schema(session, tools, archive, manifest)
    staging = {"staging": generations.staging}
    return Outcome(changed=True, record={**staging, "objects": objects}, returned=staging)


if __name__ == "__main__":
    main()
