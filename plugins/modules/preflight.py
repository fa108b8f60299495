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
  - pgconvoy.migrate.verdict.allowed
  - pgconvoy.migrate.verdict.queries
  - pgconvoy.migrate.verdict.selection
  - pgconvoy.migrate.verdict.privileges
  - pgconvoy.migrate.stage.fk_strategy
options:
  archive:
    description: Folder of an archive that stands for the source. Its files are checked.
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
  goal:
    description: What the run is for.
    type: str
    choices: [migrate, dump, restore, verify, rollback]
    default: migrate
  runs_root:
    description: Folder of all runs.
    type: path
    required: true
  client_bindir:
    description: Directory of pg_dump, pg_restore and psql; found by itself if empty.
    type: path
  jobs:
    description: How many relations are counted at once.
    type: int
    default: 4
  load_mode:
    description:
      - How the live database gets its new content. V(swap) builds a copy beside it, which then takes its name.
        V(in_place) clears and fills the live database itself, in one transaction.
      - V(auto) is V(swap) where the target user may create databases and rename the live one, else V(in_place).
    type: str
    choices: [auto, swap, in_place]
    default: auto
  switch_disconnects_clients:
    description: Whether the switch may end the sessions of clients that use the live database.
    type: bool
    default: false
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
  description: How the live database gets its new content, V(swap) or V(in_place); empty where the run gives it none.
  returned: success
  type: str
  sample: swap
fk_strategy:
  description: How tables are filled whose foreign keys are there; V(post_data) is to have them added last.
  returned: success
  type: str
  sample: post_data
archive:
  description: The archive that stands for the source; of a rollback in place, the backup that is to return.
  returned: success
  type: str
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
plan:
  description: What the run would do, step by step; empty if there is nothing to do.
  returned: success
  type: list
  elements: str
"""

import contextlib
import dataclasses
import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run.folder import RunFolder
from ..module_utils.run.stage import (
    ALLOWED,
    FK_STRATEGY,
    JOBS,
    PRIVILEGES,
    QUERIES,
    SELECTION,
    SOURCE,
    TARGET,
    Result,
    Stage,
)

try:
    from ..module_utils.archive.folder import find_backups, read_archive
    from ..module_utils.errors import MigrationError
    from ..module_utils.in_place.order import tell_load
    from ..module_utils.preflight.checks.allowances import check_allowances
    from ..module_utils.preflight.checks.passwords import check_passwords
    from ..module_utils.preflight.examination import Examination, can_return, examine
    from ..module_utils.preflight.outlook import look_ahead
    from ..module_utils.preflight.plan import diff, steps
    from ..module_utils.run.claim import TargetClaimedError, claim_target
    from ..module_utils.server.client_tools import ClientTools
    from ..module_utils.server.endpoint import Endpoint, Session
    from ..module_utils.staging.databases import drop_leftovers
    from ..module_utils.staging.names import Generations
    from ..module_utils.verdict.findings import Finding, tell_errors
    from ..module_utils.verdict.judge import Judge
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **SOURCE,
    **TARGET,
    **JOBS,
    **ALLOWED,
    **QUERIES,
    **SELECTION,
    **FK_STRATEGY,
    **PRIVILEGES,
    "archive": {"type": "path"},
    "archive_root": {"type": "path"},
    "host": {"type": "str", "required": True},
    "playbook_pid": {"type": "int", "required": True},
    "goal": {"type": "str", "choices": ["migrate", "dump", "restore", "verify", "rollback"], "default": "migrate"},
    "runs_root": {"type": "path", "required": True},
    "client_bindir": {"type": "path"},
    "load_mode": {"type": "str", "choices": ["auto", "swap", "in_place"], "default": "auto"},
    "switch_disconnects_clients": {"type": "bool", "default": False},
}

#: Of severities.
ORDER: t.Final = ("error", "warning", "notice")
#: The goals that write an archive of the source.
DUMPING: t.Final = ("migrate", "dump")
#: The goals that replace the live database.
REPLACING: t.Final = ("migrate", "restore", "rollback")


def main() -> None:
    stage = Stage("preflight", AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))
    stage.run(lambda: preflight(stage))


def preflight(stage: Stage) -> Result:
    params, target = stage.params, stage.endpoint("target")
    if not stage.module.check_mode:
        stage.folder = RunFolder.create(pathlib.Path(params["runs_root"]), params["host"])
        stage.folder.playbook_pid = params["playbook_pid"]
    run_dir = str(stage.folder.path) if stage.folder else ""
    result: Result = {"goal": params["goal"], "host": params["host"], "returned": {"run_dir": run_dir}}
    unclaimed = None
    if target and stage.folder and params["goal"] in REPLACING:
        unclaimed = claim(stage.folder, target, params["playbook_pid"], result)
    stage.end_with(params["playbook_pid"])
    for archive in choose_archives(stage, result):
        with contextlib.ExitStack() as kept:
            found = examine_with(stage, archive, unclaimed, result, kept)
            if result["plan"]:
                return result
            if found.server_session and stage.folder and params["goal"] in ("migrate", "restore"):
                left = clear(found.server_session, Generations(params["target"]["dbname"]))
                result["findings"] += left
                result["changed"] = bool(left)
    if params["goal"] == "rollback":
        raise MigrationError("There is nothing to go back to: the live database holds what its backup holds.", result)
    # Whoever has something to do begins by this.
    return result


def choose_archives(stage: Stage, result: Result) -> list[pathlib.Path | None]:
    """Return what may stand for the source, best first.

    A rollback takes an archive only in place: the one that is named, or a backup that is not live already.

    :raises MigrationError: when there are a previous database and backups, of which neither side knows the later one
    """
    params, target = stage.params, stage.endpoint("target")
    named = pathlib.Path(params["archive"]) if params["archive"] else None
    if target and params["goal"] == "rollback":
        backups = find_backups(pathlib.Path(params["archive_root"]), params["host"]) if params["archive_root"] else []
        if params["load_mode"] != "in_place" and can_return(target):
            if backups and params["load_mode"] == "auto":
                raise MigrationError(
                    "Nothing was changed. There are two ways back: the previous database of the last switch, and the "
                    f"backup {backups[0]} from before a run in place. Say which, by -e load_mode=swap or "
                    "-e load_mode=in_place.",
                    result,
                )
            return [None]
        return [named] if named else [*backups] or [None]
    return [named]


def examine_with(
    stage: Stage,
    archive: pathlib.Path | None,
    unclaimed: Finding | None,
    result: Result,
    kept: contextlib.ExitStack,
) -> Examination:
    """Examine both sides and make the plan; all that is found out goes into the result.

    :param archive: the archive that stands for the source, if there is one
    :param unclaimed: why the target could not be claimed
    :param kept: what the sessions that the examination has opened on the target end with
    """
    params, goal, load_mode = stage.params, stage.params["goal"], stage.params["load_mode"]
    source, target = stage.endpoint("source"), stage.endpoint("target")
    if goal == "rollback" and archive:
        goal, load_mode = "restore", "in_place"
    # What is live after a switch back is compared with one that is named.
    described = archive or (pathlib.Path(params["archive"]) if params["archive"] else None)
    try:
        manifest = read_archive(described) if described else None
    except MigrationError as error:
        raise MigrationError(str(error), result) from None
    found = examine(
        source,
        target,
        manifest,
        params["client_bindir"] or "",
        params["switch_disconnects_clients"],
        goal=goal,
        load_mode=load_mode,
        fk_strategy=params["fk_strategy"],
        patterns=stage.patterns,
        jobs=params["jobs"],
        allowed=stage.allowed,
        policy=stage.policy,
        archive_root=pathlib.Path(params["archive_root"]) if params["archive_root"] and goal in DUMPING else None,
        kept=kept,
    )
    names = [name for table in found.tables for name in table]
    paths = [
        path
        for path in (str(stage.folder.path) if stage.folder else "", found.tools.bindir if found.tools else "")
        if path
    ]
    found.findings += check_passwords([side for side in (source, target) if side], names, paths)
    # Why a server cannot be reached, the examination tells better.
    if unclaimed and not tell_errors(found.findings):
        found.findings.append(unclaimed)
    verdict = None
    if target and found.tools and goal in ("migrate", "restore"):
        judge = make_judge(stage, target, found.tools)
        try:
            verdict = look_ahead(found, judge, stage.source, archive, check_mode=stage.module.check_mode)
        except MigrationError as error:
            tell_examination(stage, target, found, archive, result)
            raise MigrationError(str(error), result) from None
    if verdict and verdict.equal:
        # No stage follows that would tell.
        found.findings += check_allowances(verdict, stage.allowed)
    tell_examination(stage, target, found, archive, result)
    if errors := tell_errors(found.findings):
        raise MigrationError(f"Nothing was changed. What must be settled first:\n{errors}", result)
    result["plan"] = steps(goal, target, found.target_exists, verdict, found.load_mode, found.order)
    if verdict:
        result["verdict"] = dataclasses.asdict(verdict)
    result["returned"]["plan"] = result["plan"]
    if target and result["plan"]:
        result["returned"]["replaces"] = diff(target, verdict)
    return found


def tell_examination(
    stage: Stage, target: Endpoint | None, found: Examination, archive: pathlib.Path | None, result: Result
) -> None:
    """Put what was found out into the result, findings worst first, and show these."""
    findings = [dataclasses.asdict(f) for f in sorted(found.findings, key=lambda f: ORDER.index(f.severity))]
    result |= {
        "findings": findings,
        "source": describe_source(found),
        "target": describe_target(target, found),
        "load_mode": found.load_mode,
        "load": tell_load(found.fk_strategy, found.order) if found.order else None,
        "foreign_keys": [
            {"name": c.key.name, "table": c.key.table, "orphans": c.orphans, "null_rows": c.null_rows, "cycle": c.cycle}
            for c in found.census
        ],
        "tools": dataclasses.asdict(found.tools) if found.tools else None,
    }
    stage.warn(found.findings)
    result["returned"] |= {
        "findings": findings,
        "load_mode": found.load_mode or "",
        "fk_strategy": found.fk_strategy,
        "archive": str(archive or ""),
        "client_bindir": found.tools.bindir if found.tools else "",
    }


def clear(session: Session, generations: Generations) -> list[Result]:
    """Drop what runs have left that were killed; return the findings that tell of it."""
    dropped = drop_leftovers(session, generations)
    message = "a run that was killed had left it; it is dropped."
    return [dataclasses.asdict(Finding("notice", "leftover", f'database "{name}"', message)) for name in dropped]


def claim(folder: RunFolder, target: Endpoint, playbook_pid: int, result: Result) -> Finding | None:
    """Claim the target for the run; return why it could not be had, which the examination may tell better.

    :raises MigrationError: when another run has claimed it: nothing that is found out now would be true for long
    """
    try:
        claim_target(target, folder.run_id, folder.claim, playbook_pid)
    except TargetClaimedError as error:
        remedy = "Wait until it has ended, then run again. One that was killed lets go by itself."
        taken = Finding("error", "target-claimed", str(target), f"another run is at work on it: {error}.", remedy)
        result["findings"] = result["returned"]["findings"] = [dataclasses.asdict(taken)]
        raise MigrationError(f"Nothing was changed. What must be settled first:\n- {taken}", result) from None
    except MigrationError as error:
        return Finding("error", "no-connection", "target", str(error))
    return None


def make_judge(stage: Stage, target: Endpoint, tools: ClientTools) -> Judge:
    return Judge(
        live=target,
        staging=False,
        tools=tools,
        jobs=stage.params["jobs"],
        queries=stage.queries,
        allowed=stage.allowed,
        patterns=stage.patterns,
        policy=stage.policy,
        trusts_note=True,
    )


def describe_source(found: Examination) -> Result | None:
    if found.source is None:
        return None
    reached = found.reached
    # A tunnel's end on this side tells nobody anything.
    addressed = reached if reached and reached.way in ("", "direct") else None
    return {
        "host": addressed.host if addressed else None,
        "port": addressed.port if addressed else None,
        "container": (reached.container if reached else "") or None,
        "way": (reached.way if reached else "") or None,
        "dbname": found.source.name,
        "server_version": version(found.source.server_version),
        "size": found.source.size,
    }


def describe_target(target: Endpoint | None, found: Examination) -> Result | None:
    if target is None:
        return None
    return {
        "host": target.host,
        "port": target.port,
        "dbname": target.dbname,
        "server_version": version(found.target_version) if found.target_version else None,
        "exists": found.target_exists,
    }


def version(number: int) -> str:
    return f"{number // 10000}.{number % 10000}"


if __name__ == "__main__":
    main()
