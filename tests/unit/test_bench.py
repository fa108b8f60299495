# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurements make of their figures, without measuring anything."""

from __future__ import annotations

import datetime
import os
import subprocess
import typing as t

import msgspec
import pytest

from bench import timeline
from bench.__main__ import chosen
from bench.line import Counts
from bench.ours import OwnRun
from bench.own_ways import OWN_WAYS
from bench.page import render
from bench.processes import Process, Watch
from bench.results import AGAIN, FIRST, Figures, Measured, Results
from bench.works import WORKS


def test_parts_are_the_whole() -> None:
    """Every second of a run is told of once, and to the part that it belongs to."""
    events: list[dict[str, t.Any]] = [
        {"at": 102.0, "event": "loaded", "action": ""},
        {"at": 103.0, "event": "begin", "action": "pgconvoy.migrate.dump"},
        {"at": 120.0, "event": "end", "action": "pgconvoy.migrate.dump"},
        {"at": 121.0, "event": "begin", "action": "pgconvoy.migrate.switch"},
        # It was skipped: its module has never begun.
        {"at": 122.5, "event": "begin", "action": "ansible.builtin.assert"},
        {"at": 123.0, "event": "end", "action": "ansible.builtin.assert"},
        {"at": 124.0, "event": "done", "action": ""},
    ]
    began_at = datetime.datetime.fromtimestamp(107.0, datetime.UTC).isoformat()
    main, worker, module = ["ansible-playbook", "x"], ["ansible-playbook", "x"], ["ansible-playbook", "x"]
    watch = Watch(
        processes=[
            Process(1, 0, main, 100.0, 125.0),
            # A process of another task, and one that the module starts.
            Process(9, 1, worker, 103.5, 123.0),
            Process(2, 1, worker, 104.5, 119.5),
            Process(3, 2, module, 105.0, 119.0),
            Process(4, 3, ["psql"], 104.9, 119.0),
        ]
    )
    run = OwnRun(25.0, watch, {}, {"dump": {"began_at": began_at, "seconds": 10.0}}, events)
    assert {part: seconds for part, (seconds, _) in timeline.sums(timeline.spans(run)).items()} == {
        timeline.START: 2.0,
        timeline.TASKS: 1.0 + 1.0 + 1.5 + 0.5 + 1.0,
        timeline.PREPARE: 2.0,
        timeline.BEGIN: 2.0,
        timeline.STAGE: 10.0,
        "stage dump": 10.0,
        timeline.LEAVE: 3.0,
        timeline.END: 1.0,
    }


def test_memory_that_is_not_its_own() -> None:
    """A process that has just been forked has its parent's memory, and may become another program at once."""
    with subprocess.Popen(["/bin/sleep", "60"], env={**os.environ, "BENCH_RUN": "this"}) as process:
        try:
            watch, entry = Watch(), str(process.pid)
            while not watch.processes:
                assert watch._resident(entry, b"BENCH_RUN=this") == 0
            assert watch._resident(entry, b"BENCH_RUN=this") > 0
            assert watch._resident(entry, b"BENCH_RUN=another") > 0, "it is known"
        finally:
            process.kill()


def test_page() -> None:
    """Ratios are of runs of one round, goals are judged, and what is missing is said; results survive the file."""
    far = Counts(connections=36, turns=800, up=7_000_000, down=100_000)
    measured = Measured(
        "incident-far",
        1.0,
        20_000_000,
        {
            FIRST: [Figures(seconds, 150_000_000, 5.0, line=far) for seconds in (10.0, 30.0, 20.0)],
            AGAIN: [Figures(1.0, 150_000_000, line=far)] * 3,
            "pipe": [Figures(seconds, 20_000_000, line=far) for seconds in (10.0, 10.0, 40.0)],
        },
        {"directory": "pg_restore: error"},
    )
    measured.began, measured.commit = "2026-11-26T12:00:00+00:00", "abc"
    results = Results({"PostgreSQL": "15.20"}, "two processors", ["pgcopydb"], [measured])
    page = render(msgspec.json.decode(msgspec.json.encode(results), type=Results))
    assert "| incident-far | round trips | 800 | 180 | **missed** |" in page
    assert "| incident-far | bytes down | 0.10 MB | 0.30 MB | met |" in page
    assert "| incident-far | wall, against pg_dump \\| psql | 1.00 | 1.00 | met |" in page
    assert "| pg_dump \\| psql | 10.0 | 1.00 | 0.10 | 20 | 36 | 800 | 7.00 | 0.10 |" in page
    assert "- Left out: pgcopydb." in page
    measured.scale = 0.5
    assert "| incident-far | round trips | 800 | 180 |  |" in render(results), "a goal is for the whole database"
    assert "- directory failed on incident-far." in page
    assert "Measured on 2026-11-26, of abc, in 3 rounds." in page
    assert "Not all is measured" in page
    assert "- Not measured: incident-near" in page


def test_page_of_other_runs_of_ours() -> None:
    """They are measured against our own first run; only what was counted has counts."""
    crossed = Counts(connections=9, turns=50, up=600_000, down=600_000)
    runs = {
        FIRST: [Figures(40.0, 1)],
        AGAIN: [Figures(4.0, 1)],
        "sync": [Figures(8.0, 1, line=crossed)],
        "short": [Figures(60.0, 1, freeze_seconds=10.0)],
    }
    page = render(Results({}, "", [], [Measured("facts", 1.0, 1, runs)]))
    assert "| facts | round trips, 100 rows in 10 places have changed, `load_mode: sync` | 50 | 60 | met |" in page
    assert "`load_mode: sync` | 1.20 MB | 1.00 MB | **missed** |" in page
    assert "`load_mode: sync`, against the whole `migrate.yml`, verified | 0.20 | 0.25 | met |" in page
    assert "written meanwhile, against the whole `migrate.yml`, verified | 0.25 | 0.20 | **missed** |" in page
    assert "`load_mode: sync` | 8.0 |  |  | 0 | 9 | 50 | 0.60 | 0.60 |" in page
    assert "written meanwhile | 60.0 |  |  | 0 | | | | |" in page


def test_page_of_several_runs() -> None:
    """Of each work, what was measured last."""
    runs = {seconds: {FIRST: [Figures(seconds, 1)], AGAIN: [Figures(1.0, 1)]} for seconds in (4.0, 5.0, 6.0)}
    first = Results({}, "one", [], [Measured("facts", 1.0, 1, runs[4.0]), Measured("pgbench", 1.0, 1, runs[5.0])])
    both = first.renewed(Results({}, "two", [], [Measured("facts", 1.0, 1, runs[6.0])]))
    assert [(one.work, one.median(FIRST, "seconds")) for one in both.measured] == [("facts", 6.0), ("pgbench", 5.0)]
    assert both.machine == "two"
    assert "- In fewer than 3 rounds: facts, pgbench." in render(both)


def test_page_of_archives() -> None:
    """Where one was written, the page tells how large it is."""
    archives = {name: [Figures(9.0, 1, archive=size)] for name, size in (("archive", 9_000_000), ("packed", 2_000_000))}
    runs = {FIRST: [Figures(4.0, 1)], AGAIN: [Figures(4.0, 1)], **archives}
    page = render(Results({}, "", [], [Measured("bulk", 1.0, 1, runs)]))
    assert "verified | 4.0 |  |  | 0 | |" in page
    assert "by way of an archive | 9.0 |  |  | 0 | 9.0 |" in page
    assert "by way of an archive that is packed | 9.0 |  |  | 0 | 2.0 |" in page


def test_goals_are_of_runs_that_are_measured() -> None:
    """A goal of a run, or against one, that its work does not do would never be judged."""
    for work in WORKS:
        done = {*work.ours, *work.peers}
        assert all(goal.run in work.ours and goal.against in {"", *done} for goal in work.goals), work.name
        assert set(work.ours) <= OWN_WAYS.keys()


def test_choice() -> None:
    """All works or those that are named; a misspelt name is no empty choice."""
    assert chosen("") == list(WORKS)
    assert [work.name for work in chosen("facts, bulk")] == ["facts", "bulk"]
    with pytest.raises(SystemExit, match="There is no work fatcs"):
        chosen("facts,fatcs")
