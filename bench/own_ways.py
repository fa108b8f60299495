# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs of ours that are measured: what each begins with, and what becomes of the databases meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import typing as t

import psycopg
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import HOST, SUPERUSER

from bench.ours import Controller, OwnRun
from bench.pair import Pair
from bench.results import AGAIN, FIRST

_HOST: t.Final = "sandbox-db"
#: Of ten consecutive days each, of ten symbols that lie far apart.
_EDIT: t.Final = """
    UPDATE price SET volume = volume + 1
    WHERE symbol IN ('S1', 'S2', 'S3', 'S4', 'S5', 'S6', 'S7', 'S8', 'S9', 'S10')
    AND day BETWEEN date '2010-01-11' AND date '2010-01-20'
"""
#: Ten new rows and ten others that are changed.
_WRITE: t.Final = """
    WITH added AS (
        INSERT INTO price SELECT 'W' || extract(epoch FROM clock_timestamp()), date '2010-01-01' + n, 1, 1, 1, 1, n
        FROM generate_series(1, 10) n)
    UPDATE price SET volume = volume + 1 WHERE symbol = 'S1' AND day BETWEEN date '2010-02-01' AND date '2010-02-10'
"""
_WRITES_A_SECOND: t.Final = 10


@dataclasses.dataclass(frozen=True)
class OwnWay:
    """A run of ours."""

    title: str
    status: str
    playbook: str = "migrate.yml"
    variables: t.Mapping[str, object] = dataclasses.field(default_factory=dict)
    #: whether the target holds nothing before
    fresh: bool = False
    #: how many targets are filled at once
    targets: int = 1
    #: whether what crosses the line to the target is counted even where that is near
    counted: bool = False
    #: what is changed on the source before
    edit: str = ""
    #: whether an application writes on the source meanwhile, 200 rows a second
    written: bool = False

    def run(self, controller: Controller, pair: Pair, dbname: str, port: int) -> OwnRun:
        """Do it.

        :raises RuntimeError: when it does not end as it should
        """
        with _application(pair, dbname) if self.written else contextlib.nullcontext():
            run = controller.play(self.playbook, dbname, self._hosts(dbname), port, **self.variables)
        if run.report["status"] != self.status:
            raise RuntimeError(f"{self.title}: it ended as {run.report['status']}, not as {self.status}")
        return run

    def prepare(self, pair: Pair, dbname: str) -> None:
        """Bring both sides to what it begins with."""
        if self.edit:
            pair.source.psql(dbname, self.edit)
        if self.fresh:
            for name in self._hosts(dbname).values():
                pair.empty_target(name)

    def _hosts(self, dbname: str) -> dict[str, str]:
        others = {f"{_HOST}-{number}": f"{dbname}_{number}" for number in range(2, self.targets + 1)}
        return {_HOST: dbname, **others}


@contextlib.contextmanager
def _application(pair: Pair, dbname: str) -> t.Iterator[None]:
    """Write on the source until the block ends; a write waits for a lock like any application's."""
    source, ended = pair.source, threading.Event()
    assert source.port
    session = psycopg.connect(
        host=HOST, port=source.port, user=SUPERUSER, password=source.password, dbname=dbname, autocommit=True
    )

    def write() -> None:
        while not ended.wait(1 / _WRITES_A_SECOND):
            session.execute(_WRITE)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()
        session.close()


#: How they are called among a work's, in the order in which a work's are run.
OWN_WAYS: t.Final = {
    FIRST: OwnWay("**ours**, the whole `migrate.yml`, verified", "migrated", fresh=True),
    AGAIN: OwnWay("**ours**, nothing to do", "unchanged"),
    "sync": OwnWay(
        "**ours**, 100 rows in 10 places have changed, `load_mode: sync`",
        "migrated",
        variables={"load_mode": "sync"},
        counted=True,
        edit=_EDIT,
    ),
    "short": OwnWay(
        "**ours**, `downtime: short`, 200 rows a second are written meanwhile",
        "migrated",
        variables={"downtime": "short"},
        written=True,
    ),
    "archive": OwnWay("**ours**, by way of an archive", "migrated", variables={"transfer": "archive"}, fresh=True),
    "packed": OwnWay(
        "**ours**, by way of an archive that is packed",
        "migrated",
        variables={"transfer": "archive", "archive_compression": "zstd"},
        fresh=True,
    ),
    "one": OwnWay(
        "**ours**, the archive restored to one target",
        "migrated",
        playbook="playbooks/restore.yml",
        variables={"archive": "latest"},
        fresh=True,
    ),
    "ten": OwnWay(
        "**ours**, the same to ten targets at once",
        "migrated",
        playbook="playbooks/restore.yml",
        variables={"archive": "latest", "at_once": 10},
        fresh=True,
        targets=10,
    ),
}
