# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens: the live database is the old one or the new one, the next run succeeds, and nothing is left."""

from __future__ import annotations

import re
import typing as t

import pytest

from tests.faults import databases, disks, network, processes, servers
from tests.faults.aftermath import assert_next_run_succeeds, assert_old_or_new
from tests.faults.fault import Fault
from tests.faults.scene import Scene

FAULTS: t.Final = (*network.FAULTS, *processes.FAULTS, *servers.FAULTS, *databases.FAULTS, *disks.FAULTS)

#: The most telling ones, which `make test` tries.
QUICK: t.Final = {
    "archive-full",
    "answer-to-switch-of-target-reset",
    "backend-killed-at-copy-middle-of-target",
    "backend-terminated-at-answer-to-switch-of-target",
    "backend-terminated-at-copy-start-of-source",
    "copy-end-of-target-closed",
    "copy-middle-of-source-reset",
    "copy-start-of-target-closed",
    "creating-revoked",
    "in-place-answer-to-commit-of-target-reset",
    "in-switch-of-target-reset",
    "module-killed-in-commit",
    "module-killed-in-load",
    "pg-dump-of-source-closed",
    "pg_restore-killed",
    "postmaster-killed-at-answer-to-switch-of-target",
    "psql-killed-in-dump",
    "table-truncated-before-its-rows-are-counted",
}


@pytest.mark.parametrize(
    "fault", [pytest.param(f, id=f.name, marks=() if f.name in QUICK else pytest.mark.faults) for f in FAULTS]
)
def test_fault(scene: Scene, fault: Fault) -> None:
    """One fault, and the run after it."""
    fault.arm(scene)
    rc, words = scene.start(fault.by).finish()
    print(words)
    fault.repair(scene)
    scene.undo_before_next.close()
    left = scene.leftovers() if fault.tidy else {}
    scene.heal()

    assert_old_or_new(scene, rc, words)
    if rc == 0:
        assert fault.reason is None or fault.may_succeed, words
    else:
        assert fault.reason is not None, words
        assert re.search(fault.reason, words), words
    assert not left

    assert_next_run_succeeds(scene, fault.by)
