# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases beside the live one: names that fit, and that no two live databases share."""

from __future__ import annotations

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.names import NAME_BYTES, Generations
from hypothesis import given
from hypothesis import strategies as st

#: Names as PostgreSQL takes them: up to 63 bytes of UTF-8, no NUL.
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
    lambda name: len(name.encode()) <= NAME_BYTES
)


def neighbours(live: str) -> set[str]:
    generations = Generations(live)
    return {generations.staging, generations.previous, generations.discarded}


@given(NAMES)
def test_fit_and_differ(live: str) -> None:
    names = neighbours(live)
    assert len(names) == 3
    assert live not in names
    assert all(len(name.encode()) <= NAME_BYTES for name in names)


@given(st.text("aé長", max_size=40), st.text("aé長", min_size=1, max_size=9), st.text("aé長", min_size=1, max_size=9))
def test_no_two_live_databases_share_one(start: str, one_end: str, other_end: str) -> None:
    """Names that begin alike, which are those that collide where a name is cut."""
    one, other = start + one_end, start + other_end
    assert one == other or not neighbours(one) & neighbours(other)


@pytest.mark.parametrize(
    ("live", "staging"),
    [
        ("app", "app__pgconvoy_staging"),
        ("n" * 45, "n" * 45 + "__pgconvoy_staging"),
        ("n" * 46, "n" * 37 + "f5a5c7b0__pgconvoy_staging"),
    ],
)
def test_readable_where_there_is_room(live: str, staging: str) -> None:
    names = Generations(live)
    assert len(names.staging.encode()) == len(staging.encode())
    assert names.staging.startswith(staging[:37])
    assert names.staging.endswith("__pgconvoy_staging")
