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
  - Fails if a finding is an error. Nothing is changed on either side, but that databases are dropped which runs that
    were killed have left beside the live one, if there is nothing else to do.
  - Makes the run's folder, in which every later stage leaves its record.
  - Claims the target for the run, unless it only reads. Two runs on one target exclude each other; the finding names
    the other one. A process of its own keeps the claim until M(pgconvoy.migrate.report) ends it, or until
    O(controller) has ended.
  - Whether there is anything to do is judged from the two databases. Where the live database equals the source
    already, the plan is empty.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.source
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.verdict.allowed
  - pgconvoy.migrate.verdict.queries
options:
  archive:
    description: Folder of an archive that stands for the source. Its files are checked.
    type: path
  host:
    description: Name of the run's host in the inventory; the run's folder lies below it.
    type: str
    required: true
  controller:
    description:
      - Process id of C(ansible-playbook), as the lookup P(pgconvoy.migrate.controller#lookup) returns it.
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
    controller: "{{ lookup('pgconvoy.migrate.controller') }}"
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

import dataclasses
import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run_folder import RunFolder
from ..module_utils.stage import ALLOWED, JOBS, QUERIES, SOURCE, TARGET, Result, Stage

try:
    from ..module_utils.archive.folder import read_archive
    from ..module_utils.endpoint import Endpoint
    from ..module_utils.errors import MigrationError
    from ..module_utils.staging.claim import TargetClaimedError, claim_target
    from ..module_utils.staging.databases import drop_leftovers, maintenance_session
    from ..module_utils.staging.names import Generations
    from ..module_utils.tools import ClientTools
    from ..module_utils.verdict.comparison import Verdict
    from ..module_utils.verdict.findings import Finding, tell_errors
    from ..module_utils.verdict.judge import Judge
    from ..module_utils.verdict.plan import diff, steps
    from ..module_utils.verdict.preflight import Examination, examine
    from ..module_utils.verdict.switch_checks import check_exchange
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **SOURCE,
    **TARGET,
    **JOBS,
    **ALLOWED,
    **QUERIES,
    "archive": {"type": "path"},
    "host": {"type": "str", "required": True},
    "controller": {"type": "int", "required": True},
    "goal": {"type": "str", "choices": ["migrate", "dump", "restore", "verify", "rollback"], "default": "migrate"},
    "runs_root": {"type": "path", "required": True},
    "client_bindir": {"type": "path"},
    "switch_disconnects_clients": {"type": "bool", "default": False},
}


#: The goals that replace the live database.
REPLACING: t.Final = ("migrate", "restore", "rollback")


def main() -> None:
    stage = Stage("preflight", AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True))
    stage.run(lambda: preflight(stage))


def preflight(stage: Stage) -> Result:
    params = stage.params
    source, target = stage.endpoint("source"), stage.endpoint("target")
    unclaimed: Finding | None = None
    if not stage.module.check_mode:
        stage.folder = RunFolder.create(pathlib.Path(params["runs_root"]), params["host"])
        stage.folder.controller = params["controller"]
        if target and params["goal"] in REPLACING:
            unclaimed = claim(stage.folder, target, params["controller"])
    stage.end_with(params["controller"])
    run_dir = str(stage.folder.path) if stage.folder else ""
    result: Result = {"goal": params["goal"], "host": params["host"], "returned": {"run_dir": run_dir}}
    try:
        manifest = read_archive(pathlib.Path(params["archive"])) if params["archive"] else None
    except MigrationError as error:
        raise MigrationError(str(error), result) from None
    archived = (manifest.database, manifest.requirements) if manifest else None
    taken = unclaimed is not None and unclaimed.code == "target-claimed"
    found = examine(
        source,
        # Of a target that another run changes, nothing would be true for long.
        None if taken else target,
        archived,
        params["client_bindir"] or "",
        params["switch_disconnects_clients"],
        rollback=params["goal"] == "rollback",
        jobs=params["jobs"],
        allowed=stage.allowed,
    )
    if target and found.target_version and params["goal"] in REPLACING:
        found.findings += check_exchange(target, rollback=params["goal"] == "rollback")
    # Why a server cannot be reached, the examination tells better.
    if unclaimed and (taken or not tell_errors(found.findings)):
        found.findings.append(unclaimed)
    order = ("error", "warning", "notice")
    findings = [dataclasses.asdict(f) for f in sorted(found.findings, key=lambda f: order.index(f.severity))]
    result["returned"]["findings"] = findings
    result |= {
        "findings": findings,
        "source": describe_source(found),
        "target": describe_target(target, found),
        "foreign_keys": [
            {"name": c.key.name, "table": c.key.table, "orphans": c.orphans, "null_rows": c.null_rows, "cycle": c.cycle}
            for c in found.census
        ],
        "tools": dataclasses.asdict(found.tools) if found.tools else None,
    }
    for finding in found.findings:
        if finding.severity == "warning":
            stage.module.warn(str(finding))
    if errors := tell_errors(found.findings):
        raise MigrationError(f"Nothing was changed. What must be settled first:\n{errors}", result)
    verdict = None
    if found.target_readable and params["goal"] in ("migrate", "restore"):
        assert target
        assert found.tools
        try:
            verdict = ask_verdict(stage, make_judge(stage, target, found.tools))
        except MigrationError as error:
            message = f"Nothing was changed. Whether the target equals the source already cannot be told: {error}"
            raise MigrationError(message, result) from None
    result["plan"] = steps(params["goal"], target, found.target_exists, verdict)
    if verdict:
        result["verdict"] = dataclasses.asdict(verdict)
    result["returned"] |= {"plan": result["plan"], "client_bindir": found.tools.bindir if found.tools else ""}
    if target and result["plan"]:
        result["returned"]["replaces"] = diff(target, verdict)
    # Whoever has something to do begins by this.
    if target and params["goal"] in REPLACING and not result["plan"] and not stage.module.check_mode:
        findings += [dataclasses.asdict(finding) for finding in clear(target)]
        result["changed"] = any(finding["code"] == "leftover" for finding in findings)
    return result


def clear(target: Endpoint) -> list[Finding]:
    """Drop what runs have left that were killed, and tell of it."""
    with maintenance_session(target) as session:
        dropped = drop_leftovers(session, Generations(target.dbname))
    message = "a run that was killed had left it; it is dropped."
    return [Finding("notice", "leftover", f'database "{name}"', message) for name in dropped]


def claim(folder: RunFolder, target: Endpoint, controller: int) -> Finding | None:
    """Claim the target for the run; return why it could not be had."""
    try:
        claim_target(target, folder.run_id, folder.claim, controller)
    except TargetClaimedError as error:
        remedy = "Wait until it has ended, then run again. One that was killed lets go by itself."
        return Finding("error", "target-claimed", str(target), f"another run is at work on it: {error}.", remedy)
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
    )


def ask_verdict(stage: Stage, judge: Judge) -> Verdict:
    """Whether there is anything to do is told by the two databases; in check mode, also all that there is to do."""
    if stage.params["archive"]:
        return judge.judge_by_archive(pathlib.Path(stage.params["archive"]))
    with stage.source() as source:
        return judge.judge_by_source(source, stop_early=not stage.module.check_mode)


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
