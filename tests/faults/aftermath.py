# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true after every fault, whatever it was."""

from __future__ import annotations

import re

from tests import oracle
from tests.faults.scene import By, Scene


def assert_old_or_new(scene: Scene, rc: int, words: str) -> None:
    """Make sure that the live database is whole, and that the run has not told a lie about it."""
    live = scene.live()
    assert live in (scene.old, scene.new), oracle.differences(scene.new, live)
    if rc == 0:
        assert live == scene.new, words
    else:
        # What it says of the live database is true.
        assert live == scene.old or not re.search("as it was|not touched", words), words
        assert live == scene.new or not re.search('The switch has happened|" was replaced', words), words


def assert_next_run_succeeds(scene: Scene, by: By) -> None:
    """Make sure that a plain run needs no help, copies all, and leaves nothing of its own nor of the run before."""
    rc, words = scene.start(by).finish()
    assert rc == 0, words
    assert scene.is_copied(), oracle.differences(scene.new, scene.live())
    assert not scene.leftovers()
