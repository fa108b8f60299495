#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill the staging database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: data_restore
short_description: Fill the staging database
version_added: "0.1.0"
description:
  - Loads the archive's rows by COPY, then large objects and sequences, and over the complete rows makes indexes,
    constraints, triggers and materialized views, and gives all of it its owners and grants.
  - Any error fails the stage and drops the staging database. The live database is not touched.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.source
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.stage
  - pgconvoy.migrate.stage.tools
  - pgconvoy.migrate.settings
options:
  archive:
    description:
      - The archive's folder, as M(pgconvoy.migrate.dump) returns it.
      - Where that has taken a snapshot to stream from, the rows come from O(source), which must be given then.
    type: path
    required: true
attributes:
  idempotent:
    description: It fills an empty schema, once.
    support: none
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Restore the data beside the live database
  pgconvoy.migrate.data_restore:
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    archive: "{{ dumped.archive }}"
    run_dir: "{{ examined.run_dir }}"
    client_bindir: "{{ examined.client_bindir }}"
"""

RETURN = r"""
rows:
  description: How many rows the target received.
  returned: success
  type: int
  sample: 39103
"""

import contextlib
import functools
import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run.options import RUN, SETTINGS, SOURCE, TARGET, TOOLS
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.archive.folder import read_archive
    from ..module_utils.errors import Outcome
    from ..module_utils.filling.ledger import tell_ledger
    from ..module_utils.filling.notes import Notes
    from ..module_utils.privileges.reading import read_privileges
    from ..module_utils.run.origin import open_origin
    from ..module_utils.schedule.beside import begin_beside
    from ..module_utils.server.client_tools import tools_in
    from ..module_utils.server.endpoint import connect, handing_on
    from ..module_utils.staging.carriage import Carriage, ask_live
    from ..module_utils.staging.databases import dropped_on_failure, staging_session
    from ..module_utils.staging.names import Generations
    from ..module_utils.staging.restore import restore_data
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **SOURCE,
    **TARGET,
    **RUN,
    **TOOLS,
    **SETTINGS,
    "archive": {"type": "path", "required": True},
}


def main() -> None:
    stage = Stage("data_restore", AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))
    stage.only_predict(rows=0)
    stage.run(lambda: data_restore(stage))


def data_restore(stage: Stage) -> Outcome:
    target, folder, settings = stage.endpoint("target"), stage.folder, stage.settings
    assert target
    assert folder
    generations, tools = Generations(target.dbname), tools_in(stage.params["client_bindir"])
    archive = read_archive(pathlib.Path(stage.params["archive"]))
    manifest = archive.manifest
    # By a session of its own, so that both are waited for once.
    live = begin_beside(lambda: ask_live(target, read_privileges))
    with (
        dropped_on_failure(target, generations, folder.run_id),
        open_origin(stage, archive, tools) as origin,
        staging_session(target, generations, folder.run_id) as session,
    ):
        connect_again = functools.partial(connect, target.at(generations.staging))
        open_session = handing_on(contextlib.nullcontext(session), connect_again)
        source = manifest.require_privileges(settings.policy.needs_source)
        carriage = Carriage(settings.policy, live(), source, settings.allowed)
        received = restore_data(
            open_session,
            tools,
            archive,
            settings.jobs,
            settings.allowed,
            carriage.finish,
            origin,
            Notes(folder.run_id),
        )
    return Outcome(
        changed=True,
        record={
            "tables": tell_ledger(manifest.content, received),
            "large_objects": len(manifest.content.large_objects),
            "sequences": len(manifest.content.sequences),
        },
        returned={"rows": sum(rows for _, rows in received)},
    )


if __name__ == "__main__":
    main()
