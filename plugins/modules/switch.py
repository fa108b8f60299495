#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exchange the live database and the one beside it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: switch
short_description: Exchange the live database and the one beside it
version_added: "0.1.0"
description:
  - Renames the live database to the previous one and the staging database to the live one, in one transaction. The
    live one's owner, grants and settings go with the name.
  - With O(source), that must be frozen by M(pgconvoy.migrate.freeze) in the same run, and still hold what it held then.
    It is let go when the databases are exchanged, or when that has failed.
  - Databases that were live before that move on to the next name; the oldest are dropped when the copy is known to be
    live.
  - Or, to undo it, exchanges the live database and the previous one, and proves what is live then. It is the very
    database that was the previous one, the target user enters it under the live name, and reads from all of its tables
    that it may read.
extends_documentation_fragment:
  - pgconvoy.migrate.connection.source
  - pgconvoy.migrate.connection.target
  - pgconvoy.migrate.stage
  - pgconvoy.migrate.stage.gate
  - pgconvoy.migrate.settings
options:
  to:
    description: Which database becomes the live one.
    type: str
    choices: [staging, previous]
    default: staging
  archive:
    description:
      - Folder of the archive that the staging database was made from, or what M(pgconvoy.migrate.freeze) has returned.
        Needed with O(to=staging).
    type: path
  client_bindir:
    description:
      - Directory of pg_dump and pg_restore, as M(pgconvoy.migrate.preflight) returns it. Needed with O(source), whose
        definitions are looked at once more.
    type: path
  replaces:
    description:
      - What differs between the live database and the copy, as M(pgconvoy.migrate.preflight) has found.
      - Shown in check mode with diff.
    type: dict
  keep_previous:
    description: How many databases that were live before are kept. Each takes its room on the server.
    type: int
    choices: [1, 2, 3, 4, 5, 6, 7, 8, 9]
    default: 1
attributes:
  diff_mode:
    description: Shows O(replaces) in check mode.
    support: partial
  idempotent:
    description: Every call exchanges the databases.
    support: none
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Make the verified copy the live database
  pgconvoy.migrate.switch:
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    archive: "{{ dumped.archive }}"
    run_dir: "{{ examined.run_dir }}"
    production: "{{ 'production' in group_names }}"

- name: Go back to the database before
  pgconvoy.migrate.switch:
    target: {host: db.example.org, dbname: app, user: app, password: "{{ target_password }}"}
    to: previous
    run_dir: "{{ examined.run_dir }}"
    production: "{{ 'production' in group_names }}"
"""

RETURN = r"""
live:
  description: Name of the live database.
  returned: always
  type: str
  sample: app
previous:
  description: Name of the database that was live before; empty if there was none.
  returned: always
  type: str
  sample: app__pgconvoy_previous
"""

import contextlib
import dataclasses
import functools
import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.run.options import GATE, RUN, SETTINGS, SOURCE, TARGET
from ..module_utils.run.stage import Stage

try:
    from ..module_utils.archive.archive import Archive
    from ..module_utils.archive.folder import read_archive
    from ..module_utils.errors import MigrationError, Outcome
    from ..module_utils.preflight.judging import serving_by
    from ..module_utils.run.confirmation import require_confirmation
    from ..module_utils.run.folder import RunFolder
    from ..module_utils.run.held_freeze import kept_until_committed
    from ..module_utils.server.client_tools import tools_in
    from ..module_utils.server.endpoint import Endpoint
    from ..module_utils.staging.databases import dropped_on_failure
    from ..module_utils.staging.names import Generations
    from ..module_utils.staging.switch import Switched, roll_back, switch
    from ..module_utils.sync.last_look import Frozen, look_again
except ImportError:
    pass  # Stage says which library is missing

ARGUMENTS: t.Final = {
    **SOURCE,
    **TARGET,
    **RUN,
    **GATE,
    **SETTINGS,
    "to": {"type": "str", "choices": ["staging", "previous"], "default": "staging"},
    "archive": {"type": "path"},
    "client_bindir": {"type": "path"},
    "replaces": {"type": "dict"},
    "keep_previous": {"type": "int", "choices": list(range(1, 10)), "default": 1},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_if=[("to", "staging", ["archive"])],
        required_by={"source": ["client_bindir"]},
        supports_check_mode=True,
    )
    stage = Stage("switch", module)
    generations = Generations(stage.params["target"]["dbname"])
    shown = {"diff": stage.params["replaces"]} if module._diff and stage.params["replaces"] else {}
    stage.only_predict(live=generations.live, previous=generations.previous, **shown)
    stage.run(lambda: exchange(stage, generations))


def exchange(stage: Stage, generations: Generations) -> Outcome:
    target, folder, params, settings = stage.endpoint("target"), stage.folder, stage.params, stage.settings
    assert target
    assert folder
    require_confirmation(params["production"], params["confirm_phrase"], params["confirm_answer"], target)
    if params["to"] == "previous":
        told = dataclasses.asdict(roll_back(target, settings.may_disconnect, stage.committed))
    else:
        switched = switch_to_staging(stage, target, generations, folder.run_id, folder.host)
        for refusal in switched.left:
            stage.module.warn(f"A database that is kept no longer is still there: {refusal}")
        told = dataclasses.asdict(switched)
    names = {"live": generations.live, "previous": next(iter(told["kept"]), "")}
    return Outcome(changed=True, record={**names, **told, "staging": generations.staging}, returned=names)


def switch_to_staging(stage: Stage, target: Endpoint, generations: Generations, run_id: str, host: str) -> Switched:
    params, settings = stage.params, stage.settings
    archive, serving = read_archive(pathlib.Path(params["archive"])), serving_by(settings, host)
    with dropped_on_failure(target, generations, run_id), source_frozen(stage, archive) as let_go:
        require_verdict(stage.folder)

        def committed() -> None:
            stage.committed()
            let_go()

        return switch(
            target,
            archive.manifest.database,
            run_id,
            settings.may_disconnect,
            params["keep_previous"],
            settings.allowed,
            committed,
            with_grants=settings.policy.grants != "source",
            prove=lambda: serving.require(target, archive.manifest),
        )


def require_verdict(folder: RunFolder | None) -> None:
    """Refuse a copy that this run has not judged: whoever goes step by step (``--step``) may leave out the stage.

    :raises MigrationError: when it has not been found equal
    """
    compared = folder.read_records().get("compare", {}) if folder else {}
    if not (compared.get("staging") and compared.get("equal")):
        raise MigrationError(
            "The switch did not happen. This run has not verified the copy, and nothing goes live that is not. Call "
            "pgconvoy.migrate.compare before, with staging and the same run_dir."
        )


def source_frozen(stage: Stage, described: Archive) -> contextlib.AbstractContextManager[t.Callable[[], object]]:
    """Keep the source as it is described, if the run has frozen it, and give what lets it go."""
    source, target, settings = stage.endpoint("source"), stage.endpoint("target"), stage.settings
    if source is None:
        return contextlib.nullcontext(lambda: None)
    assert stage.folder
    assert target
    frozen = Frozen(
        described,
        settings.patterns,
        tools_in(stage.params["client_bindir"]),
        settings.policy,
        target.at(Generations(target.dbname).staging),
    )
    return kept_until_committed(source, stage.folder, functools.partial(look_again, frozen=frozen))


if __name__ == "__main__":
    main()
