# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the round trips go: what is said at each turn of a run of ours, and at which stage. See bench/README.md."""

from __future__ import annotations

import argparse
import collections
import datetime
import typing as t

from bench.line import Line, Turn, tell, tell_often
from bench.ours import Controller, OwnRun
from bench.pair import running_pair
from bench.works import WORKS


def main() -> None:
    """Migrate, and once more when there is nothing to do; tell both runs' turns."""
    parser = argparse.ArgumentParser(prog="bench.trace", description=__doc__)
    parser.add_argument("work", choices=[work.name for work in WORKS])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--round-trip", type=float, default=0.0, metavar="MS", help="there and back, in milliseconds")
    options = parser.parse_args()
    work = next(work for work in WORKS if work.name == options.work)
    with running_pair() as pair:
        work.load(pair, "app", options.scale)
        pair.empty_target("app")
        port = pair.target.port
        assert port
        controller = Controller(pair)
        for _ in range(2):
            with Line(port, one_way=options.round_trip / 2000, traced=True) as line:
                run = controller.play("migrate.yml", "app", {"sandbox-db": "app"}, line.port)
            print(f"\n{run.report['status']}: {run.seconds:.1f} s, {line.counts}\n")
            print("\n".join([*by_stage(run, line.turns), "", *tell(line.turns), "", *tell_often(line.turns)]))


def by_stage(run: OwnRun, turns: t.Iterable[Turn]) -> t.Iterator[str]:
    """Give a line for each stage with its connections and turns, and the bytes that these brought."""
    begun = {
        name: datetime.datetime.fromisoformat(record["began_at"]).timestamp() for name, record in run.records.items()
    }
    said: dict[str, list[Turn]] = collections.defaultdict(list)
    for turn in turns:
        # What comes before the first stage's record begins, or after the last one's end, is theirs too.
        stage = max((name for name in begun if begun[name] <= turn.at), key=begun.__getitem__, default="before")
        said[stage].append(turn)
    for stage, of_stage in said.items():
        connections, down = len({turn.connection for turn in of_stage}), sum(turn.down for turn in of_stage)
        yield f"{len(of_stage):6} turns, {connections:3} connections, {down:10,} bytes down: {stage}"


if __name__ == "__main__":
    main()
