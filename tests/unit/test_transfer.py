# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way rows take, where nobody has said it."""

from __future__ import annotations

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.transfer import choose_transfer


@pytest.mark.parametrize(
    ("wanted", "size", "way", "why"),
    [
        ("auto", 0, "archive", "can be restored again"),
        ("auto", 100_000_000, "archive", "take 100,000,000 bytes"),
        ("auto", 100_000_001, "stream", "take 100,000,001 bytes"),
        ("archive", 10**12, "archive", "asked for"),
        ("stream", 0, "stream", "asked for"),
    ],
)
def test_choice(wanted: str, size: int, way: str, why: str) -> None:
    transfer = choose_transfer(wanted, size)
    assert transfer.way == way
    assert why in transfer.reason
