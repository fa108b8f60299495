#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freeze the source, and bring what it has got since it was dumped."""

from __future__ import annotations

DOCUMENTATION = r"""
module: freeze
short_description: Freeze the source, and bring what it has got since it was dumped
version_added: "0.1.0"
description:
  - Locks all tables of the source, so that its clients go on reading and wait where they write. A process of its own
    holds that lock until M(pgconvoy.migrate.switch) has made the copy the live database, until O(timeout), or until
    C(ansible-playbook) has ended.
  - Then compares the source with what was dumped, brings those rows into the staging database that are not the same,
    and all positions of sequences and large objects that are not, in one transaction, and judges all of it.
  - Any failure lets the source's clients go on, and drops the staging database. The live database is not touched.
  - Nothing but rows, sequences and large objects may have changed since the dump.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.source
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.stage
  - pgconvoy.migrate.stage.tools
  - pgconvoy.migrate.settings
options:
  archive:
    description: The folder that M(pgconvoy.migrate.dump) has returned, from which the staging database was filled.
    type: path
    required: true
  timeout:
    description: After how many seconds the source's clients go on, unless the switch has begun.
    type: int
    default: 300
attributes:
  idempotent:
    description: A run freezes its source once.
    support: none
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Freeze the source, and bring what it has got meanwhile
  pgconvoy.migrate.freeze:
    source: {host: localhost, dbname: app, user: app, password: "{{ source_password }}"}
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    run_dir: "{{ examined.run_dir }}"
    client_bindir: "{{ examined.client_bindir }}"
    archive: "{{ dumped.archive }}"
  register: frozen
"""

RETURN = r"""
archive:
  description: The folder in which lies what the frozen source holds; the switch needs it.
  returned: success
  type: str
  sample: runs/sandbox-db/20261122T101500Z-1f2e3d/frozen/description
began_at:
  description: When the freeze began, by the source's clock, in UTC.
  returned: success
  type: str
  sample: "2026-11-22T10:16:02.123456+00:00"
rows:
  description: How many rows the staging database received.
  returned: success
  type: int
  sample: 213
"""

import dataclasses
import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run.options import RUN, SETTINGS, SOURCE, TARGET, TOOLS
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.archive.folder import read_archive
    from ..module_utils.catalog.snapshot import imported_snapshot
    from ..module_utils.errors import Outcome
    from ..module_utils.preflight.judging import judge_by
    from ..module_utils.run.folder import Record, RunFolder
    from ..module_utils.run.held_freeze import hold_freeze, let_go_on_failure, tell_waiting
    from ..module_utils.server.client_tools import tools_in
    from ..module_utils.staging.databases import check_staging, dropped_on_failure, maintenance_session
    from ..module_utils.staging.names import Generations
    from ..module_utils.sync.account import tell_moved
    from ..module_utils.sync.second_pass import Brought, bring, know_copy
    from ..module_utils.verdict.failure import require_equal
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **SOURCE,
    **TARGET,
    **RUN,
    **TOOLS,
    **SETTINGS,
    "archive": {"type": "path", "required": True},
    "timeout": {"type": "int", "default": 300},
}


def main() -> None:
    stage = Stage("freeze", AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))
    stage.only_predict(archive="", rows=0)
    stage.run(lambda: freeze(stage))


def freeze(stage: Stage) -> Outcome:
    source, target, folder, settings = stage.endpoint("source"), stage.endpoint("target"), stage.folder, stage.settings
    assert source
    assert target
    assert folder
    assert folder.playbook_pid
    generations = Generations(target.dbname)
    judge = dataclasses.replace(judge_by(settings, target, tools_in(stage.params["client_bindir"])), staging=True)
    with dropped_on_failure(target, generations, folder.run_id):
        with maintenance_session(target) as session:
            check_staging(session, generations, folder.run_id)
        dumped = read_archive(pathlib.Path(stage.params["archive"]))
        judge = know_copy(judge, dumped, folder.read_records()["compare"]["instant"])
        with let_go_on_failure(folder):
            # No session is open now.
            held = hold_freeze(source, settings.patterns, folder, folder.playbook_pid, stage.params["timeout"])
            with tell_waiting(held), stage.source() as reached:
                with imported_snapshot(reached, held["snapshot"]) as here:
                    brought = bring(here, judge, dumped, folder.frozen)
                outcome = tell(brought, folder, held)
                require_equal(brought.verdict, f"The {judge.target}, made equal to the frozen source,", outcome)
                return outcome


def tell(brought: Brought, folder: RunFolder, held: Record) -> Outcome:
    """Return the stage's outcome."""
    tables, verdict = tell_moved(brought.manifest.content, brought.replaced.done), dataclasses.asdict(brought.verdict)
    # Of privileges, the comparison of the source with its dump has told.
    del verdict["privileges"]
    return Outcome(
        changed=True,
        record={"tables": tables, "verdict": {"equal": brought.verdict.equal, **verdict}},
        returned={
            "archive": str(folder.frozen),
            "began_at": held["began_at"],
            "rows": sum(table["received_rows"] for table in tables),
        },
    )


if __name__ == "__main__":
    main()
