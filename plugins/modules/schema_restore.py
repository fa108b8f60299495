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
  - What a run that was killed has left half filled is taken over instead, where it was filled from the same archive, or
    from a snapshot of a source that still holds the same, by the same role, version and allowed differences.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.stage
  - pgconvoy.migrate.stage.tools
  - pgconvoy.migrate.stage.gate
  - pgconvoy.migrate.settings
options:
  archive:
    description: The archive's folder, as M(pgconvoy.migrate.dump) returns it.
    type: path
    required: true
attributes:
  idempotent:
    description: Every run builds a new staging database, or takes over what one that was killed has left.
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
resumed_from:
  description: The run that was killed whose staging database is filled on; empty if it is a new one.
  returned: success
  type: str
  sample: 20261122T101500Z-1f2e3d
"""

import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run.options import GATE, RUN, SETTINGS, TARGET, TOOLS
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.archive.folder import check_archive
    from ..module_utils.errors import Outcome
    from ..module_utils.filling.notes import Notes
    from ..module_utils.run.confirmation import require_confirmation
    from ..module_utils.server.client_tools import tools_in
    from ..module_utils.server.endpoint import connect
    from ..module_utils.staging.databases import (
        create_staging,
        drop_leftovers,
        dropped_on_failure,
        maintenance_session,
    )
    from ..module_utils.staging.names import Generations
    from ..module_utils.staging.restore import restore_schema
    from ..module_utils.staging.resume import describe_origin, take_over
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {**TARGET, **RUN, **TOOLS, **GATE, **SETTINGS, "archive": {"type": "path", "required": True}}


def main() -> None:
    stage = Stage("schema_restore", AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))
    stage.only_predict(staging=Generations(stage.params["target"]["dbname"]).staging, resumed_from="")
    stage.run(lambda: schema_restore(stage))


def schema_restore(stage: Stage) -> Outcome:
    target, folder, params = stage.endpoint("target"), stage.folder, stage.params
    assert target
    assert folder
    if folder.goal != "rehearse":
        require_confirmation(params["production"], params["confirm_phrase"], params["confirm_answer"], target)
    generations, tools = Generations(target.dbname), tools_in(params["client_bindir"])
    archive = check_archive(pathlib.Path(params["archive"]), loaded=True)
    notes, filled_from = Notes(folder.run_id), describe_origin(archive, tools, target, stage.settings.allowed)
    with dropped_on_failure(target, generations, folder.run_id):
        with maintenance_session(target) as session:
            if resumed := take_over(session, target, folder.run_id, filled_from, archive.manifest):
                drop_leftovers(session, generations, kept=[generations.staging])
            else:
                create_staging(session, generations, archive.manifest.database.locale, folder.run_id)
        objects = 0
        if not resumed:
            with connect(target.at(generations.staging)) as session:
                objects = restore_schema(session, tools, archive, notes.begin(filled_from))
    returned = {"staging": generations.staging, "resumed_from": resumed or ""}
    return Outcome(changed=True, record={**returned, "objects": objects}, returned=returned)


if __name__ == "__main__":
    main()
