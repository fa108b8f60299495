# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A far target is asked seldom: what a migration of the incident sends there and back is bounded."""

from __future__ import annotations

import typing as t

import pytest

from bench.line import Counts, Line, tell_often
from tests.databases import database
from tests.playbooks import ROOT, Controller
from tests.servers import Servers

_SAMPLE: t.Final = ROOT / "roles/lab/files/sigmasight.sql"
_CHANGE: t.Final = "UPDATE position_market_betas SET beta = beta + 1"

#: What may cross the line to the target, for a whole migrate.yml. None of it depends on how fast the machine is. Lower
#: it whenever less crosses.
FIRST_RUN: t.Final = Counts(connections=12, turns=145, up=7_850_000, down=285_000)
#: Half of it is what preflight asks; most bytes are definitions, and the questions for them.
SYNC: t.Final = Counts(connections=4, turns=58, up=409_000, down=280_000)
#: Of a target that bears a note: it was filled by a migration.
NOTED_SYNC: t.Final = Counts(connections=4, turns=52, up=254_000, down=194_000)
NOTHING_TO_DO: t.Final = Counts(connections=4, turns=35, up=111_000, down=75_000)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Servers]:
    """Give servers that hold nothing else: a run asks for some of what others have there, too."""
    own = Servers(tmp_path_factory.mktemp("servers"))
    yield own
    own.stop()


def test_incident(servers: Servers, controller: Controller) -> None:
    """Into an empty database, once more, when there is nothing to do, and then only what differs."""
    with database(servers.source(), "") as source, database(servers.target(), "") as target:
        source.server.run_sql_file(_SAMPLE, source.name)
        controller.add_host("sandbox", source.variables("source"), target.variables("target"))
        assert_at_most(FIRST_RUN, run(controller, target.server.port, "migrated"))
        assert_at_most(NOTHING_TO_DO, run(controller, target.server.port, "unchanged"))
        source.execute(_CHANGE)
        controller.vary(load_mode="sync")
        assert_at_most(NOTED_SYNC, run(controller, target.server.port, "migrated"))


def test_sync(servers: Servers, controller: Controller) -> None:
    """Of one table, a hundred rows have changed."""
    with database(servers.source(), "") as source, database(servers.target(), "") as target:
        for side in (source, target):
            side.server.run_sql_file(_SAMPLE, side.name)
        source.execute(_CHANGE)
        controller.add_host("sandbox", source.variables("source"), target.variables("target"), load_mode="sync")
        assert_at_most(SYNC, run(controller, target.server.port, "migrated"))


def run(controller: Controller, port: int, status: str) -> Line:
    """Migrate by way of a line, and return it."""
    with Line(port, traced=True) as line:
        controller.vary(target_port=line.port)
        report = controller.migrate().report("sandbox-db")
    assert report["status"] == status
    # None of the run's own sessions is told of.
    assert "target-clients" not in {finding["code"] for finding in report["findings"]}
    return line


def assert_at_most(bound: Counts, line: Line) -> None:
    """Make sure that no figure is above the bound, else tell what crossed, the most frequent first."""
    counts = line.counts
    excess = [name for name, most in vars(bound).items() if vars(counts)[name] > most]
    assert not excess, "\n".join([f"{', '.join(excess)}: {counts}; at most {bound}", *tell_often(line.turns)])
