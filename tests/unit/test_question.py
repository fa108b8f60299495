# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is told before the live database is replaced."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.goals import LoadMode
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.question import (
    History,
    Past,
    Standing,
    put_question,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.history import Entry
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.trials import read_trials

_STANDING = Standing(
    live="shop",
    exists=True,
    theirs={("public", "item"): 12, ("public", "owner"): 3, ("public", "forgotten"): 1, ("public", "same"): 5},
    ours={("public", "item"): 9, ("public", "owner"): 5, ("public", "new"): 7, ("public", "same"): 5},
    clients="",
    undo="it stays",
    size=2_000_000,
)
_RUN = Past("shop-db", "R1", "migrated", "2026-11-20T10:15:30+00:00", 1_000_000, copying=100.0, switching=0.2)


def test_all_that_is_known() -> None:
    tried = dataclasses.replace(_RUN, host="sandbox-db", run_id="R2", status="failed")
    assert put_question(_STANDING, History(_RUN, _RUN, (tried,))) == [
        'live now   "shop", 4 tables with 21 rows; its content is of 2026-11-20 10:15 UTC (run R1) and of what clients '
        "did since",
        "lost       public.item: 3 rows fewer",
        "           public.forgotten: 1 row fewer, and the table goes",
        "           (rows are counted here: one that is replaced by another is not seen)",
        "gained     public.new: 7 rows more, in a table that is new",
        "           public.owner: 2 rows more",
        "connected  nobody, as far as the target's user may see",
        "the undo   it stays",
        "time       about 3 min for the copy, by run R1",
        "           clients wait for about 1 s, as they did then",
        "tried      on sandbox-db at 2026-11-20 10:15 UTC: failed (run R2)",
    ]


def test_what_is_not_known_is_said() -> None:
    standing = dataclasses.replace(_STANDING, theirs="permission denied for table item", clients="2 in number: ...")
    assert put_question(standing, History()) == [
        'live now   "shop"; no run that is known here has filled it',
        "rows       which tables lose or gain some is not known: permission denied for table item",
        "connected  2 in number: ...",
        "the undo   it stays",
        "time       not known: no earlier run of this host tells; playbooks/rehearse.yml would",
        "tried      not yet on another target, as far as the reports here tell",
    ]


def test_many_tables() -> None:
    """The largest losses are named."""
    theirs = {("public", f"t{number:02}"): number for number in range(1, 21)}
    told = put_question(dataclasses.replace(_STANDING, theirs=theirs, ours={}), History())
    assert told[1] == "lost       public.t20: 20 rows fewer, and the table goes"
    assert told[9] == "           and 12 tables more"


def test_nothing_there_yet() -> None:
    standing = dataclasses.replace(_STANDING, exists=False, theirs={}, undo="none is needed")
    assert [line.partition("  ")[0] for line in put_question(standing, History())] == [
        "live now",
        "the undo",
        "time",
        "tried",
    ]


@pytest.mark.parametrize(
    ("load_mode", "copies", "told"),
    [
        ("swap", True, ["about 3 min for the copy, by run R1", "clients wait for about 1 s, as they did then"]),
        ("swap", False, ["clients wait for about 1 s, as they did then, by run R1"]),
        (
            "in_place",
            True,
            ["about 3 min for dump and backup, by run R1", "clients wait for about 1 s, as they did then"],
        ),
        ("sync", True, ["clients who write wait for about 1 s, as they did then, by run R1"]),
    ],
)
def test_time_of_each_way(load_mode: LoadMode, copies: bool, told: list[str]) -> None:
    standing = dataclasses.replace(_STANDING, load_mode=load_mode, copies=copies)
    assert time_told(standing, History(rate=_RUN)) == told
    (nothing,) = time_told(standing, History())
    assert nothing.startswith("not known: no earlier run of this host ")
    # A rehearsal is one of a copy.
    assert ("rehearse" in nothing) is (load_mode == "swap" and copies)


def time_told(standing: Standing, history: History) -> list[str]:
    told = [line.partition("  ") for line in put_question(standing, history)]
    headings = [heading for heading, _, _ in told]
    return [line.strip() for _, _, line in told[headings.index("time") : headings.index("tried")]]


@pytest.mark.parametrize(
    ("load_mode", "copies", "rate"),
    [("swap", True, "R3"), ("swap", False, "R4"), ("in_place", True, "R2"), ("sync", True, None)],
)
def test_time_is_told_by_a_run_of_the_same_way(
    tmp_path: Path, load_mode: LoadMode, copies: bool, rate: str | None
) -> None:
    """What differed is brought in another time than all is copied; a rollback copies nothing."""
    for run_id, goal, status, timings in (
        ("R1", "migrate", "migrated", {"dump": 1, "switch": 0.1}),
        ("R2", "migrate", "migrated", {"dump": 1, "backup": 1, "replace": 20}),
        ("R3", "rehearse", "rehearsed", {"dump": 1, "compare": 1}),
        ("R4", "rollback", "rolled_back", {"switch": 0.1}),
        ("R5", "migrate", "failed", {"dump": 1}),
    ):
        folder = tmp_path / "shop-db" / run_id
        folder.mkdir(parents=True)
        mode = "in_place" if "replace" in timings else "swap"
        ended = dataclasses.asdict(_RUN) | {"run_id": run_id, "status": status}
        report: dict[str, t.Any] = {**ended, "goal": goal, "load_mode": mode, "timings": timings, "source": None}
        (folder / "report.json").write_text(json.dumps(report))
        entry = {key: report.get(key) for key in Entry.__annotations__}
        (folder / "summary.json").write_text(json.dumps(entry))
    standing = dataclasses.replace(_STANDING, load_mode=load_mode, copies=copies)
    history = read_trials(tmp_path, "shop-db", None, Path("archive"), standing)
    assert (history.rate and history.rate.run_id) == rate
    assert history.last
    assert history.last.run_id == "R4"
