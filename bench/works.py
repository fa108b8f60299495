# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: databases, the way to the target, and the goals."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

from bench.ours import ROOT
from bench.pair import Pair
from bench.results import AGAIN, FIRST

_SQL: t.Final = Path(__file__).parent / "sql"
_INCIDENT: t.Final = ROOT / "roles" / "lab" / "files" / "sigmasight.sql"
#: Beside the checkout, where it is.
_CORPUS: t.Final = ROOT.parent / "shared" / "corpus" / "gen"
#: Half of the way there and back to a server that is far away, in seconds.
FAR: t.Final = 0.040

Figure = t.Literal["seconds", "copy_seconds", "freeze_seconds", "turns", "connections", "down", "crossed", "peak"]


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a figure of ours shall not exceed: by itself or, against a peer or another run of ours, as a ratio."""

    figure: Figure
    at_most: float
    run: str = FIRST
    against: str = ""


@dataclasses.dataclass(frozen=True)
class Work:
    """A database to move."""

    name: str
    title: str
    #: a psql script that knows the variable scale, or "pgbench"
    script: Path | t.Literal["pgbench"]
    peers: tuple[str, ...]
    goals: tuple[Goal, ...] = ()
    one_way: float = 0.0
    #: which runs of ours, of OWN_WAYS
    ours: tuple[str, ...] = (FIRST, AGAIN)

    @property
    def is_here(self) -> bool:
        """Whether its database can be made; some scripts lie beside the checkout."""
        return self.script == "pgbench" or self.script.is_file()

    @property
    def scales(self) -> bool:
        """Whether it can be made larger and smaller; the incident is what it was."""
        return self.script != _INCIDENT

    def load(self, pair: Pair, dbname: str, scale: float) -> None:
        """Make its database on the source."""
        pair.create(dbname)
        if self.script == "pgbench":
            rows = max(1, round(40 * scale))
            pair.run_on_source("pgbench", "--initialize", "--quiet", "--foreign-keys", f"--scale={rows}", dbname)
            return
        variables = [f"--set={name}={value}" for name, value in (("scale", f"{scale:g}"), ("ON_ERROR_STOP", "1"))]
        pair.run_on_source("psql", "-Xq", *variables, f"--dbname={dbname}", f"--file={self.script}")


_ALL: t.Final = ("documented", "pipe", "directory", "pgcopydb", "pgcopydb-compare")
_MEMORY: t.Final = Goal("peak", 200e6)

WORKS: t.Final = (
    Work(
        "incident-near",
        "The incident: 21 tables, 39,103 rows, on loopback",
        _INCIDENT,
        _ALL,
        (
            Goal("seconds", 5.0),
            Goal("seconds", 2.5, run=AGAIN),
            Goal("seconds", 4.0, run="ten", against="one"),
            _MEMORY,
        ),
        ours=(FIRST, AGAIN, "one", "ten"),
    ),
    Work(
        "incident-far",
        "The incident, the target 80 ms away, there and back",
        _INCIDENT,
        _ALL,
        (
            Goal("turns", 180),
            Goal("turns", 40, run=AGAIN),
            Goal("connections", 12),
            Goal("down", 0.3e6),
            Goal("seconds", 1.0, against="pipe"),
            Goal("seconds", 0.4, run=AGAIN, against="pipe"),
        ),
        one_way=FAR,
    ),
    Work(
        "facts",
        "Facts: 5 million rows in two long tables, 1 GB",
        _SQL / "facts.sql",
        _ALL,
        (
            Goal("seconds", 0.5, against="pgcopydb-compare"),
            Goal("copy_seconds", 0.7, against="pgcopydb"),
            Goal("turns", 60, run="sync"),
            Goal("crossed", 1e6, run="sync"),
            Goal("seconds", 0.25, run="sync", against=FIRST),
            Goal("freeze_seconds", 0.2, run="short", against=FIRST),
            _MEMORY,
        ),
        ours=(FIRST, AGAIN, "sync", "short"),
    ),
    Work(
        "bulk",
        "Bulk: 1.8 million wide rows, 932 MB",
        _CORPUS / "bulk.sql",
        _ALL,
        (
            Goal("seconds", 0.9, against="directory"),
            Goal("seconds", 0.5, against="pgcopydb-compare"),
            _MEMORY,
        ),
        ours=(FIRST, AGAIN, "archive", "packed"),
    ),
    Work("pgbench", "pgbench at scale 40 with foreign keys, 606 MB", "pgbench", _ALL, (_MEMORY,)),
    Work(
        "tables",
        "5,000 tables, each with a serial, keys and an index",
        _SQL / "tables.sql",
        ("pipe", "directory", "pgcopydb"),
        (Goal("seconds", 0.8, against="pipe"), Goal("seconds", 0.1, run=AGAIN, against="pipe"), _MEMORY),
    ),
    Work(
        "sequences",
        "6,000 sequences",
        _SQL / "sequences.sql",
        ("pipe", "directory", "pgcopydb"),
        (Goal("seconds", 1.0, against="pipe"), _MEMORY),
    ),
)
