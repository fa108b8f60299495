# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database's own tables filled again, in this process: dump, and one transaction on the target."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.writer import write_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import EVERYTHING, Patterns
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.transaction import begin
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.frame import RowsReplaced, Strategy
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.refill import Received, refill
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests.case import Case, execute
from tests.migration import endpoint

STRATEGIES: t.Final[tuple[Strategy, ...]] = ("dependency_order", "disable_triggers")


def refill_target(
    case: Case,
    strategy: Strategy = "dependency_order",
    patterns: Patterns = EVERYTHING,
    allowed: t.Mapping[str, str] | None = None,
    archived: Patterns | None = None,
) -> RowsReplaced[Received]:
    """Fill the target's tables from the source.

    :param archived: which tables the archive holds; by default those that are filled
    :raises MigrationError: when that fails, or the verdict is not equal; the target is then as it was
    """
    source = endpoint("source", case.source, case.name, case.source_user)
    target = endpoint("target", case.target, case.name, case.target_user)
    tools = choose_tools(int(case.source.major), int(case.target.major), "")
    judge = Judge(target, False, tools, 1, allowed=allowed or {}, patterns=patterns)
    with tempfile.TemporaryDirectory(prefix="pgconvoy-test-") as folder:
        archive = Path(folder) / "archive"
        written = write_archive(source, tools, archive, 2, patterns=patterns if archived is None else archived)
        with begin(target) as transaction:
            done = refill(transaction, judge, written, strategy)
            if not done.verdict.equal:
                raise MigrationError("\n".join(map(str, done.verdict.differences)))
    return done


def make_target(case: Case, script: str, owner: str = "") -> None:
    """Make the live database by a script, which usually is the source's own with other rows."""
    case.target.create_database(case.name, template="template0", **({"owner": owner} if owner else {}))
    execute(case.target, case.name, script)
