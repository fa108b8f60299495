#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare two databases table by table."""

from __future__ import annotations

DOCUMENTATION = r"""
module: compare
short_description: Compare two databases table by table
version_added: "0.1.0"
description:
  - Counts and checksums the rows of every table, partition, partitioned table and materialized view on both sides,
    and compares them, the sequences, the large objects, the foreign keys, the definitions of all objects, and the
    encodings and settings of the databases.
  - Definitions that both servers word differently are compared in the words of the target's server. For that, an empty
    scratch database is made on it and dropped again.
  - Fails if anything differs, naming each difference; a query that fails is a failure, never an empty result.
  - Each side is read at one instant. Nothing is written to either.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.source
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.stage
  - pgconvoy.migrate.stage.tools
  - pgconvoy.migrate.settings
options:
  archive:
    description: Folder of an archive that stands for the source; its manifest says what must be.
    type: path
  staging:
    description: Whether the target's staging database is compared, not the live one. It is dropped if it differs.
    type: bool
    default: false
  discard:
    description: Whether the staging database is dropped as soon as it was found equal, as in a rehearsal.
    type: bool
    default: false
attributes:
  idempotent:
    description: Changes nothing that is managed.
    support: full
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Compare source and target
  pgconvoy.migrate.compare:
    source: {host: localhost, dbname: app, user: app, password: "{{ source_password }}"}
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    run_dir: "{{ examined.run_dir }}"
    client_bindir: "{{ examined.client_bindir }}"
"""

RETURN = r"""
equal:
  description: Whether nothing differs.
  returned: always
  type: bool
tables:
  description: How many relations were compared.
  returned: success
  type: int
  sample: 21
differences:
  description: What differs, an entry an object.
  returned: always
  type: list
  elements: dict
  contains:
    object:
      description: The object's kind and name.
      type: str
      sample: table public.positions
    message:
      description: How it differs.
      type: str
      sample: 76 rows on the source, 0 on the target
"""

import dataclasses
import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run.options import RUN, SETTINGS, SOURCE, TARGET, TOOLS
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.archive.folder import read_archive
    from ..module_utils.catalog.earlier import ask_instant
    from ..module_utils.errors import Outcome
    from ..module_utils.preflight.checks.allowances import check_allowances
    from ..module_utils.preflight.judging import judge_by
    from ..module_utils.privileges.proof import read_before
    from ..module_utils.schedule.beside import begin_beside
    from ..module_utils.server.answer_cache import CACHE
    from ..module_utils.server.client_tools import tools_in
    from ..module_utils.server.endpoint import Endpoint, Session
    from ..module_utils.server.inquiry import answer
    from ..module_utils.staging.carriage import ask_live
    from ..module_utils.staging.databases import (
        drop_database,
        dropped_on_failure,
        maintenance_session,
        staging_session,
    )
    from ..module_utils.staging.names import Generations
    from ..module_utils.verdict.comparison import Verdict
    from ..module_utils.verdict.failure import require_equal
    from ..module_utils.verdict.judge import Judge
    from ..module_utils.verdict.words import read_words
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **SOURCE,
    **TARGET,
    **RUN,
    **TOOLS,
    **SETTINGS,
    "archive": {"type": "path"},
    "staging": {"type": "bool", "default": False},
    "discard": {"type": "bool", "default": False},
}


def main() -> None:
    stage = Stage(
        "compare",
        AnsibleModule(argument_spec=ARGUMENTS, required_one_of=[("source", "archive")], supports_check_mode=True),
    )
    if stage.module.check_mode and stage.params["staging"]:
        stage.module.exit_json(changed=False, msg="There is no staging database to compare in check mode.")
    stage.run(lambda: compare_databases(stage))


def compare_databases(stage: Stage) -> Outcome:
    target, params, settings = stage.endpoint("target"), stage.params, stage.settings
    assert target
    tools = tools_in(params["client_bindir"])
    judge = dataclasses.replace(judge_by(settings, target, tools), staging=params["staging"])
    if not params["staging"]:
        return tell(stage, give_verdict(stage, judge), judge.target)
    assert stage.folder
    generations, run_id = Generations(target.dbname), stage.folder.run_id
    # By a session of its own, so that both are waited for once.
    before = begin_beside(lambda: ask_live(target, read_before))
    with dropped_on_failure(target, generations, run_id):
        with staging_session(target, generations, run_id) as session:
            CACHE.recall(stage.folder.answers)
            judge = dataclasses.replace(judge, before=before(), words=read_words(stage.folder.words))
            # While the source is frozen, what was judged by now need not be judged again.
            freezes = stage.folder.read_records().get("preflight", {}).get("downtime") == "short"
            instant = answer(session, ask_instant()) if freezes else None
            outcome = tell(stage, give_verdict(stage, judge, session), judge.target)
            outcome.record["instant"] = instant
        if params["discard"]:
            with maintenance_session(target) as session:
                drop_database(session, generations.staging)
        return outcome


def give_verdict(stage: Stage, judge: Judge, session: Session | None = None) -> Verdict:
    """The target must hold what the archive holds or, without one, what the source holds now.

    :param session: one of the target, if it is open already
    """
    if stage.params["archive"]:
        return judge.judge_by_archive(read_archive(pathlib.Path(stage.params["archive"])), session=session)
    with stage.source() as source:
        return judge.judge_by_source(source)


def tell(stage: Stage, verdict: Verdict, target: Endpoint) -> Outcome:
    """Return the verdict as the stage's result.

    :raises MigrationError: when it is not that both are equal
    """
    findings = check_allowances(verdict, stage.settings.allowed)
    stage.warn(findings)
    told = dataclasses.asdict(verdict)
    outcome = Outcome(
        record={
            "equal": verdict.equal,
            "staging": stage.params["staging"],
            **told,
            "findings": [dataclasses.asdict(finding) for finding in findings],
        },
        returned={"equal": verdict.equal, "differences": told["differences"], "tables": len(verdict.tables)},
    )
    require_equal(verdict, f"The {target}", outcome)
    return outcome


if __name__ == "__main__":
    main()
