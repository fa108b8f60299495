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
  - Where tables are selected, or O(fk_strategy) says so, the schema is kept, and its tables alone are emptied and
    filled.
  - The database itself stays, with its owner, grants and settings.
  - What is replaced must still be what M(pgconvoy.migrate.backup) has backed up in the same run. The module compares
    both as soon as nobody else can write, and refuses if they differ.
  - Tables that clients use cannot be replaced. The module waits a few seconds for each lock, and then fails and names
    the sessions that hold it.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.stage
  - pgconvoy.migrate.stage.tools
  - pgconvoy.migrate.stage.gate
  - pgconvoy.migrate.settings
options:
  archive:
    description: The archive's folder, as M(pgconvoy.migrate.dump) returns it. It is checked before.
    type: path
    required: true
  replaces:
    description:
      - What differs between the live database and the archive, as M(pgconvoy.migrate.preflight) has found.
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
"""

RETURN = r"""
rows:
  description: How many rows the target received.
  returned: success
  type: int
  sample: 39103
equal:
  description: Whether the live database now holds what the archive holds.
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

from ..module_utils.run.options import GATE, RUN, SETTINGS, TARGET, TOOLS
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.archive.folder import read_archive
    from ..module_utils.catalog.transaction import Transaction, begin
    from ..module_utils.errors import MigrationError, Outcome
    from ..module_utils.filling.ledger import tell_ledger
    from ..module_utils.in_place.order import tell_load
    from ..module_utils.in_place.refill import Refilled, refill
    from ..module_utils.in_place.replacement import Replaced, replace
    from ..module_utils.in_place.unchanged import require_unchanged
    from ..module_utils.preflight.checks.refill import FkStrategy, choose_strategy
    from ..module_utils.run.confirmation import require_confirmation
    from ..module_utils.server.client_tools import tools_in
    from ..module_utils.verdict.failure import require_equal
    from ..module_utils.verdict.judge import Judge
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **TARGET,
    **RUN,
    **TOOLS,
    **GATE,
    **SETTINGS,
    "archive": {"type": "path", "required": True},
    "replaces": {"type": "dict"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    stage = Stage("replace", module)
    shown = {"diff": stage.params["replaces"]} if module._diff and stage.params["replaces"] else {}
    stage.only_predict(rows=0, **shown)
    stage.run(lambda: replace_in_place(stage))


def replace_in_place(stage: Stage) -> Outcome:
    target, params, settings = stage.endpoint("target"), stage.params, stage.settings
    assert target
    require_confirmation(params["production"], params["confirm_phrase"], params["confirm_answer"], target)
    backup = find_backup(stage)
    archive, tools = pathlib.Path(params["archive"]), tools_in(params["client_bindir"])
    manifest = read_archive(archive)
    selection = manifest.select(settings.patterns)
    strategy = choose_strategy(settings.fk_strategy, selection is not None)
    judge = Judge(
        target,
        staging=False,
        tools=tools,
        jobs=1,
        queries=settings.queries,
        allowed=settings.allowed,
        patterns=settings.patterns,
        policy=settings.policy,
    )
    with begin(target, stage.committed) as transaction:
        require_unchanged(transaction, judge, backup)
        replaced = fill(transaction, judge, archive, strategy)
        content = manifest.content if selection is None else manifest.content.of(selection)
        verdict = replaced.verdict
        outcome = Outcome(
            record={
                "live": target.dbname,
                "tables": tell_ledger(content, replaced.received),
                "load": tell_load(strategy, replaced.order, replaced.readded)
                if isinstance(replaced, Refilled)
                else None,
                "verdict": {"equal": verdict.equal, **dataclasses.asdict(verdict)},
            },
            returned={
                "rows": sum(rows for _, rows in replaced.received),
                "equal": verdict.equal,
                "differences": [dataclasses.asdict(difference) for difference in verdict.differences],
            },
        )
        require_equal(verdict, f"The {target}, filled from the archive and not committed,", outcome)
    outcome.changed = True
    return outcome


def find_backup(stage: Stage) -> pathlib.Path | None:
    """Return the folder of the run's backup; None if there was nothing to back up.

    :raises MigrationError: when the run has made none: what is replaced could not be brought back
    """
    record = stage.folder.read_records().get("backup", {}) if stage.folder else {}
    if "archive" not in record:
        raise MigrationError(
            "Nothing was changed. This run has not backed up the live database, so that there would be no way back. "
            "Call pgconvoy.migrate.backup before, with the same run_dir."
        )
    return pathlib.Path(record["archive"]) if record["archive"] else None


def fill(transaction: Transaction, judge: Judge, archive: pathlib.Path, strategy: FkStrategy) -> Replaced | Refilled:
    """Replace the schema with all that it holds, or keep it and fill its tables."""
    if strategy == "post_data":
        return replace(transaction, judge, archive)
    return refill(transaction, judge, archive, strategy)


if __name__ == "__main__":
    main()
