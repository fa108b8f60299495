#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Examine both sides before anything is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Examine both sides before anything is changed
version_added: "0.1.0"
description:
  - Finds what would lose something, fail later or surprise, and reports all of it at once, with remedies.
  - Where there is something to do, the source's schema is made once without rows on the target's server, in a database
    that is dropped at once or, where none can be made, in the live one, undone; what the server refuses is a finding.
  - Fails if a finding is an error. Nothing is changed on either side, but that databases are dropped which runs that
    were killed have left beside the live one, if there is nothing else to do.
  - Makes the run's folder, in which every later stage leaves its record.
  - Claims the target for the run, unless it only reads. Two runs on one target exclude each other; the finding names
    the other one. A process of its own keeps the claim until M(pgconvoy.migrate.report) ends it, or until
    O(playbook_pid) has ended.
  - Whether there is anything to do is judged from the two databases. Where the live database equals the source
    already, the plan is empty.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.source
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.settings
options:
  archive:
    description:
      - Folder of an archive that stands for the source. Its files are checked.
      - V(latest), with O(goal=restore) or O(goal=verify), is the newest one that a run of one of the O(tried_on) has
        ended V(migrated) with, and that is still whole.
    type: path
  archive_root:
    description:
      - Folder of all archives, in which a run writes that of the source.
      - With O(goal=rollback) the host's backups are looked for there, where no previous database can return.
    type: path
  host:
    description: Name of the run's host in the inventory; the run's folder lies below it.
    type: str
    required: true
  playbook_pid:
    description:
      - Process id of C(ansible-playbook), as the lookup P(pgconvoy.migrate.playbook_pid#lookup) returns it.
      - When it has ended, however that came, every stage of the run breaks off.
    type: int
    required: true
  tried_on:
    description: The hosts on which archives are tried, those of the group C(sandbox). Their runs lie in O(runs_root).
    type: list
    elements: str
    default: []
  goal:
    description: What the run is for.
    type: str
    choices: [migrate, dump, restore, verify, rehearse, repair, rollback]
    default: migrate
  runs_root:
    description: Folder of all runs.
    type: path
    required: true
  rerun:
    description:
      - An earlier verification of the host, by its C(report.json) or as V(latest). The run is about those tables only
        which that found different. Where it found anything else that differs, the run is about everything.
    type: str
  client_bindir:
    description: Directory of pg_dump, pg_restore and psql; found by itself if empty.
    type: path
  load_mode:
    description:
      - How the live database gets its new content. V(swap) builds a copy beside it, which then takes its name.
        V(in_place) clears and fills the live database itself, in one transaction. V(sync) keeps its schema, which
        must be the source's, and brings only the rows that differ, in one transaction, too.
      - V(auto) is V(swap) where the target user may create databases and rename the live one, else V(in_place).
    type: str
    choices: [auto, swap, in_place, sync]
    default: auto
  target_room:
    description:
      - How many bytes the target may hold, for instance those of its volume. All its databases, the copy and
        write-ahead log must fit into it, or the run is refused.
      - Without it, the room on the disk is looked at where the server is on this machine.
    type: int
  asks:
    description:
      - Whether somebody will be asked before the live database is replaced. What that means is told, then, in
        RV(question); for this, both sides count their rows.
    type: bool
    default: false
  transfer:
    description:
      - How the source's rows come to the target. V(archive) writes them to O(archive_root) first, from where they can
        be restored again, also to other targets. V(stream) sends them straight from a snapshot of the source, which is
        held until they have arrived.
      - V(auto) is V(archive) where the rows take up to 100 MB, else V(stream).
      - A dump is always an archive.
    type: str
    choices: [auto, archive, stream]
    default: auto
  downtime:
    description:
      - How long the source's clients must not write. V(full) is from the dump to the end, which is up to those who run
        it. With V(short) they go on meanwhile; then the source is frozen, and what they have written since the dump is
        brought, before the copy becomes the live database. Only with O(load_mode=swap).
    type: str
    choices: [full, short]
    default: full
requirements:
  - psycopg >= 3.2
  - msgspec >= 0.19
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what it would do without doing it.
    support: full
  diff_mode:
    description: The module M(pgconvoy.migrate.switch) shows what this one has found.
    support: none
  idempotent:
    description: >-
      Changes nothing that is managed. Where there is nothing to do, it drops what a run that was killed has left, and
      only then reports a change.
    support: full
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Examine both sides
  pgconvoy.migrate.preflight:
    source: {host: localhost, dbname: app, user: app, password: "{{ source_password }}"}
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    host: "{{ inventory_hostname }}"
    playbook_pid: "{{ lookup('pgconvoy.migrate.playbook_pid') }}"
    runs_root: runs
  register: examined
"""

RETURN = r"""
run_dir:
  description: The run's folder; empty in check mode.
  returned: always
  type: str
  sample: runs/sandbox-db/20261122T101500Z-1f2e3d
client_bindir:
  description: Directory of the client tools to use.
  returned: success
  type: str
  sample: /usr/lib/postgresql/18/bin
load_mode:
  description: How the live database gets its new content, V(swap), V(in_place) or V(sync); empty if it gets none.
  returned: success
  type: str
  sample: swap
transfer:
  description: How the source's rows come to the target, V(archive) or V(stream).
  returned: success
  type: str
  sample: archive
resumes:
  description:
    - Whether M(pgconvoy.migrate.dump) shall take the newest archive if nothing has changed since. A run that was killed
      has left a copy that is half filled from it.
  returned: success
  type: bool
  sample: false
downtime:
  description: V(short) if the source is to be frozen at the end, else V(full).
  returned: success
  type: str
  sample: full
fk_strategy:
  description: How tables are filled whose foreign keys are there; V(post_data) is to have them added last.
  returned: success
  type: str
  sample: post_data
archive:
  description: The archive that stands for the source; of a rollback in place, the backup that is to return.
  returned: success
  type: str
include_tables:
  description: Which tables the run is about, as patterns; all of them if there are none.
  returned: success
  type: list
  elements: str
findings:
  description: Everything found, worst first.
  returned: always
  type: list
  elements: dict
  contains:
    severity:
      description: V(error), V(warning) or V(notice).
      type: str
    code:
      description: A word for the kind of finding.
      type: str
    object:
      description: What it is about.
      type: str
    message:
      description: What was found.
      type: str
    remedy:
      description: What to do.
      type: str
replaces:
  description: What the run would replace and what would take its place, as a diff.
  returned: success, if there is anything to do
  type: dict
question:
  description:
    - What a person must know before the live database is replaced. What it holds, which tables lose and gain rows, who
      is connected, what the undo is, how long it will take, and whether it was tried elsewhere.
  returned: success, with O(asks), if there is anything to do
  type: list
  elements: str
plan:
  description: What the run would do, step by step; empty if there is nothing to do.
  returned: success
  type: list
  elements: str
"""

import dataclasses
import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.preflight.goals import GOALS
from ..module_utils.run.options import SETTINGS, SOURCE, TARGET
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.errors import Outcome
    from ..module_utils.preflight.request import Request
    from ..module_utils.run.earlier import Earlier, read_earlier
    from ..module_utils.run.preflight import prepare
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **SOURCE,
    **TARGET,
    **SETTINGS,
    "archive": {"type": "path"},
    "archive_root": {"type": "path"},
    "host": {"type": "str", "required": True},
    "tried_on": {"type": "list", "elements": "str", "default": []},
    "playbook_pid": {"type": "int", "required": True},
    "goal": {"type": "str", "choices": list(GOALS), "default": "migrate"},
    "runs_root": {"type": "path", "required": True},
    "rerun": {"type": "str"},
    "client_bindir": {"type": "path"},
    "load_mode": {"type": "str", "choices": ["auto", "swap", "in_place", "sync"], "default": "auto"},
    "target_room": {"type": "int"},
    "asks": {"type": "bool", "default": False},
    "transfer": {"type": "str", "choices": ["auto", "archive", "stream"], "default": "auto"},
    "downtime": {"type": "str", "choices": ["full", "short"], "default": "full"},
}


def main() -> None:
    stage = Stage("preflight", AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))
    stage.run(lambda: preflight(stage))


def preflight(stage: Stage) -> Outcome:
    params = stage.params
    runs_root = pathlib.Path(params["runs_root"])
    earlier = read_earlier(params["rerun"], runs_root, params["host"]) if params["rerun"] else None
    return prepare(stage, read_request(stage, earlier), runs_root, earlier)


def read_request(stage: Stage, earlier: Earlier | None) -> Request:
    params, settings = stage.params, stage.settings
    if earlier:
        patterns = dataclasses.replace(settings.patterns, include=earlier.tables)
        settings = dataclasses.replace(settings, patterns=patterns)
    return Request(
        goal=params["goal"],
        host=params["host"],
        source=stage.endpoint("source"),
        target=stage.endpoint("target"),
        archive=pathlib.Path(params["archive"]) if params["archive"] else None,
        archive_root=pathlib.Path(params["archive_root"]) if params["archive_root"] else None,
        client_bindir=params["client_bindir"] or "",
        load_mode="sync" if params["goal"] == "repair" else params["load_mode"],
        target_room=params["target_room"],
        transfer=params["transfer"],
        asks=params["asks"] or stage.module.check_mode,
        downtime=params["downtime"],
        settings=settings,
        check_mode=stage.module.check_mode,
    )


if __name__ == "__main__":
    main()
