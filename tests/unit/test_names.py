# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases beside the live one: names that fit, and that no two live databases share."""

from __future__ import annotations

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.names import MOST_KEPT, NAME_BYTES, Generations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.switch import plan_renames
from hypothesis import given
from hypothesis import strategies as st

#: Names as PostgreSQL takes them: up to 63 bytes of UTF-8, no NUL.
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
    lambda name: len(name.encode()) <= NAME_BYTES
)


def neighbours(live: str) -> set[str]:
    generations = Generations(live)
    return {generations.staging, generations.scratch, generations.discarded, *generations.kept(MOST_KEPT)}


@given(NAMES)
def test_fit_and_differ(live: str) -> None:
    names = neighbours(live)
    assert len(names) == 3 + MOST_KEPT
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


@pytest.mark.parametrize(
    ("present", "keep", "renames", "dropped"),
    [
        ("staging", 1, "staging>live", ""),
        ("staging live", 1, "live>previous staging>live", ""),
        ("staging previous", 1, "staging>live", ""),
        ("staging live previous", 1, "previous>discarded live>previous staging>live", "discarded"),
        ("staging live previous", 2, "previous>previous_2 live>previous staging>live", ""),
        ("staging live previous previous_3", 3, "previous>previous_2 live>previous staging>live", ""),
        (
            "staging live previous previous_2",
            1,
            "previous>discarded live>previous staging>live",
            "discarded previous_2",
        ),
        ("staging live previous_2 previous_9", 1, "live>previous staging>live", "previous_2 previous_9"),
    ],
)
def test_places_of_a_switch(present: str, keep: int, renames: str, dropped: str) -> None:
    """The kept ones move up to the first free name, and nothing else is dropped than what is too old."""

    def full(name: str) -> str:
        return name if name == "live" else f"live__pgconvoy_{name}"

    planned = plan_renames(Generations("live"), {full(name) for name in present.split()}, keep)
    wanted = [tuple(full(name) for name in pair.split(">")) for pair in renames.split()]
    assert planned == (wanted, [full(name) for name in dropped.split()])
