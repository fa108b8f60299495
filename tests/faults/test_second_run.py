# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs on one target at once: one of them wins, whichever it is."""

from __future__ import annotations

import pytest

from tests.faults import places
from tests.faults.aftermath import assert_next_run_succeeds
from tests.faults.scene import Scene


@pytest.mark.faults
def test_second_run_at_once(scene: Scene) -> None:
    """The second one does all that it does while the first is in the middle of its work."""
    ends: list[tuple[int, str]] = []

    def run_another(_: object) -> None:
        # Not through the network that stands still meanwhile.
        scene.proxied = False
        ends.append(scene.start("playbook").finish())

    scene.proxies["target"].at(places.copy_start, run_another)
    ends.append(scene.start("playbook").finish())
    scene.heal()

    assert [rc for rc, _ in ends].count(0) == 1, ends
    (refused,) = [words for rc, words in ends if rc != 0]
    assert "another run" in refused
    assert scene.live() == scene.new
    assert not scene.leftovers()
    assert_next_run_succeeds(scene, "playbook")
