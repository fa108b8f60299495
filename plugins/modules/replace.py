#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill the live database in place."""

from __future__ import annotations

DOCUMENTATION = r"""
module: replace
short_description: Fill the live database in place
version_added: "0.1.0"
description:
  - Replaces all that the live database holds by what an archive holds, in one transaction. It is committed only if the
    verdict on it is that both are equal; otherwise the live database is as it was.
  - Where tables are selected, or O(settings.fk_strategy) says so, the schema is kept, and its tables alone are emptied
    and filled.
  - With O(source) in the place of an archive, the schema is kept, too, and only those rows are deleted and copied that
    are not the same on both sides. The source is read meanwhile, all of it as it is at one instant. Clients go on
    reading the live database, as it was before, but for tables whose keys must be dropped and added again.
  - The database itself stays, with its owner, grants and settings.
  - What an archive replaces must still be what M(pgconvoy.migrate.backup) has backed up in the same run. The module
    compares both as soon as nobody else can write, and refuses if they differ.
  - Where only what differs is brought, the module itself writes what goes, below O(archive_root), before anything does.
    That undo, as O(archive), takes it back, and leaves alone what clients have written since.
  - Tables that clients use cannot be replaced. The module waits a few seconds for each lock, and then fails and names
    the sessions that hold it.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.source
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.stage
  - pgconvoy.migrate.stage.tools
  - pgconvoy.migrate.stage.gate
  - pgconvoy.migrate.settings
options:
  archive:
    description:
      - The archive's folder, as M(pgconvoy.migrate.dump) returns it. It is checked before.
      - Where that has taken a snapshot to stream from, the rows come from O(source), which must be given then, too.
      - Without it, only what differs is brought, straight from O(source).
      - The undo of a call that did so takes that back.
    type: path
  archive_root:
    description:
      - Folder of all archives. The undo is C(<host>/backup/<run-id>) below it.
      - Needed where only what differs is brought, or taken back.
    type: path
  replaces:
    description:
      - What differs between the live database and what it must hold, as M(pgconvoy.migrate.preflight) has found.
      - Shown in check mode with diff.
    type: dict
attributes:
  diff_mode:
    description: Shows O(replaces) in check mode.
    support: partial
  idempotent:
    description: Every call replaces what is there.
    support: none
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Fill the live database in place
  pgconvoy.migrate.replace:
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    archive: "{{ dumped.archive }}"
    run_dir: "{{ examined.run_dir }}"
    client_bindir: "{{ examined.client_bindir }}"
    production: "{{ 'production' in group_names }}"

- name: Bring what differs
  pgconvoy.migrate.replace:
    source: {host: localhost, dbname: app, user: app, password: "{{ source_password }}"}
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    run_dir: "{{ examined.run_dir }}"
    client_bindir: "{{ examined.client_bindir }}"
    archive_root: archives
    production: "{{ 'production' in group_names }}"
"""

RETURN = r"""
rows:
  description: How many rows the target received.
  returned: success
  type: int
  sample: 39103
backup:
  description: The undo's folder.
  returned: when only what differs was brought, or taken back
  type: str
  sample: archives/sandbox-db/backup/20261122T101500Z-1f2e3d
equal:
  description: Whether the live database now holds what the archive or the source holds.
  returned: when there is a verdict
  type: bool
differences:
  description: What differs, each with C(object) and C(message).
  returned: when there is a verdict
  type: list
  elements: dict
"""

import dataclasses
import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run.options import GATE, RUN, SETTINGS, SOURCE, TARGET, TOOLS
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.errors import MigrationError, Outcome
    from ..module_utils.preflight.handed_on import HandedOn, take
    from ..module_utils.preflight.judging import judge_by, serving_by
    from ..module_utils.run.confirmation import require_confirmation
    from ..module_utils.run.in_place import replace_content
    from ..module_utils.server.client_tools import tools_in
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **SOURCE,
    **TARGET,
    **RUN,
    **TOOLS,
    **GATE,
    **SETTINGS,
    "archive": {"type": "path"},
    "archive_root": {"type": "path"},
    "replaces": {"type": "dict"},
}


def main() -> None:
    # In check mode there is no archive yet.
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    stage = Stage("replace", module)
    shown = {"diff": stage.params["replaces"]} if module._diff and stage.params["replaces"] else {}
    stage.only_predict(rows=0, **shown)
    stage.run(lambda: replace_in_place(stage))


def replace_in_place(stage: Stage) -> Outcome:
    target, params, settings = stage.endpoint("target"), stage.params, stage.settings
    assert target
    require_confirmation(params["production"], params["confirm_phrase"], params["confirm_answer"], target)
    archive = pathlib.Path(params["archive"]) if params["archive"] else None
    if not (archive or params["source"]):
        raise MigrationError("Nothing was changed. Neither archive nor source says what the database must hold.")
    found = take(stage.folder.handed_on) if stage.folder else HandedOn()
    judge = dataclasses.replace(
        judge_by(settings, target, tools_in(params["client_bindir"])), jobs=1, noted=found.note, earlier=found.target
    )
    outcome, manifest = replace_content(stage, judge, archive)
    outcome.changed = True
    try:
        serving_by(settings, stage.folder.host if stage.folder else "").require(target, manifest)
    except MigrationError as error:
        raise MigrationError(str(error), outcome) from None
    return outcome


if __name__ == "__main__":
    main()
