# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time the verdict on two equal databases against the queries by which pgcopydb compares them. See bench/README.md."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import resource
import shutil
import statistics
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import psycopg
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import wheel_bindir
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import HOST, SUPERUSER, Server
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge
from psycopg import sql

_FACTS: t.Final = Path(__file__).resolve().parent / "sql" / "facts.sql"
_DATABASE: t.Final = "facts"
# A server that is tuned a little, as servers of a gigabyte are, and does nothing by itself.
_SETTINGS: t.Final = "shared_buffers = '512MB'\nmax_wal_size = '8GB'\nautovacuum = off\n"
_SAMPLE_SECONDS: t.Final = 0.05


def main() -> None:
    """Load, measure in turns, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 5 million rows, 972 MB")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is timed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--major", default="18", help="PostgreSQL of both servers: 18 is the wheel's")
    options = parser.parse_args()
    bindir = wheel_bindir() if options.major == "18" else Path(f"/usr/lib/postgresql/{options.major}/bin")
    with tempfile.TemporaryDirectory(prefix="pgconvoy-bench-") as folder, servers(Path(folder), bindir, options.scale):
        source, target = (endpoint(side, Server(Path(folder) / side, bindir)) for side in ("source", "target"))
        judge = Judge(
            target, staging=False, tools=choose_tools(int(options.major), int(options.major), ""), jobs=options.jobs
        )
        rows = judge_once(judge, source)
        print(f"PostgreSQL {options.major}, {rows:,} rows, {options.jobs} jobs; seconds")
        timings: dict[str, list[float]] = {"verdict": [], "peer": []}
        with BackendMemory(Path(folder)) as memory:
            for _ in range(options.rounds):
                timings["verdict"].append(timed(lambda: judge_once(judge, source)))
                timings["peer"].append(timed(lambda: ask_as_the_peer(source, target, options.jobs)))
                print(f"  verdict {timings['verdict'][-1]:6.2f}   peer {timings['peer'][-1]:6.2f}", flush=True)
        tell("verdict", timings["verdict"])
        tell("peer", timings["peer"])
        tell("ratio", [ours / theirs for ours, theirs in zip(timings["verdict"], timings["peer"], strict=True)])
        kilobytes = {who: resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)}
        print(
            f"peak memory: {kilobytes[resource.RUSAGE_SELF] / 1024:.0f} MB this process,"
            f" {kilobytes[resource.RUSAGE_CHILDREN] / 1024:.0f} MB the largest program,"
            f" {memory.peak_kilobytes / 1024:.0f} MB private to all backends together"
        )


def tell(what: str, figures: t.Sequence[float]) -> None:
    """Print the spread of some figures."""
    print(f"{what:8} min {min(figures):.2f}   median {statistics.median(figures):.2f}   max {max(figures):.2f}")


def timed(work: t.Callable[[], object]) -> float:
    """Return the wall seconds that something takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


@contextlib.contextmanager
def servers(folder: Path, bindir: Path, scale: float) -> t.Iterator[None]:
    """Run a server with the database, and a second one that is its copy, file by file."""
    source, target = Server(folder / "source", bindir), Server(folder / "target", bindir)
    with contextlib.ExitStack() as stack:
        source.create()
        with (source.folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(_SETTINGS)
        source.start()
        stack.callback(stop, source)
        source.psql("postgres", f"CREATE DATABASE {_DATABASE}")
        source.psql(_DATABASE, _FACTS.read_text(encoding="utf-8"), f"--set=scale={scale:g}")
        source.psql(_DATABASE, "CHECKPOINT")
        # A server that is stopped at once leaves all that a restart needs; the copy recovers likewise.
        source.stop()
        shutil.copytree(source.folder / "data", target.folder / "data", copy_function=copy_file, symlinks=True)
        for path in (target.folder / "data", *(target.folder / "data").rglob("*")):
            shutil.chown(path, *owner(source.folder / "data"))
        shutil.copy2(source.password_file, target.password_file)
        source.start()
        target.start()
        stack.callback(stop, target)
        yield


def stop(server: Server) -> None:
    """Stop a server if it runs."""
    if server.is_running():
        server.stop()


def copy_file(source: str, target: str) -> None:
    """Copy a file, with its mode."""
    shutil.copy2(source, target)


def owner(path: Path) -> tuple[int, int]:
    """Return user and group."""
    found = path.stat()
    return found.st_uid, found.st_gid


def endpoint(side: t.Any, server: Server) -> Endpoint:
    """Return the database of a server."""
    assert server.port
    return Endpoint(side, HOST, server.port, _DATABASE, SUPERUSER, server.password, sslmode="disable")


def judge_once(judge: Judge, source: Endpoint) -> int:
    """Return the number of rows found equal."""
    verdict = judge.judge_by_source(source)
    assert verdict.equal, verdict.differences
    return sum(table.source_rows or 0 for table in verdict.tables)


def ask_as_the_peer(source: Endpoint, target: Endpoint, jobs: int) -> None:
    """Sum up the hashes of the rows' texts, table by table, each table on both sides at once."""
    with connect(source) as session:
        tables = session.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY pg_table_size(c.oid) DESC"
        ).fetchall()

    def ask(side: Endpoint) -> list[t.Any]:
        answers: list[t.Any] = [None] * len(tables)

        def work(numbers: t.Iterator[int]) -> None:
            with connect(side) as session:
                for number in numbers:
                    query = sql.SQL("SELECT count(1), sum(hashtext(t::text)::bigint) FROM ONLY {} t")
                    answers[number] = session.execute(query.format(sql.SQL(tables[number][0]))).fetchone()

        waiting = iter(range(len(tables)))
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for done in [pool.submit(work, waiting) for _ in range(jobs)]:
                done.result()
        return answers

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(ask, (source, target))
    assert ours == theirs
    assert None not in ours


def connect(side: Endpoint) -> psycopg.Connection[t.Any]:
    """Connect without any setting, as the peer does."""
    return psycopg.connect(
        host=side.host, port=side.port, dbname=side.dbname, user=side.user, password=side.password, sslmode="disable"
    )


@dataclasses.dataclass
class BackendMemory:
    """The most private memory that the backends of the servers in a folder held together, sampled."""

    folder: Path
    peak_kilobytes: int = 0
    _stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> t.Self:
        """Begin to look."""
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._stop.set()
        assert self._thread
        self._thread.join()

    def _watch(self) -> None:
        postmasters = {path.read_text().split("\n", 1)[0] for path in self.folder.glob("*/data/postmaster.pid")}
        while not self._stop.wait(_SAMPLE_SECONDS):
            total = sum(self._private(path, postmasters) for path in Path("/proc").glob("[0-9]*"))
            self.peak_kilobytes = max(self.peak_kilobytes, total)

    @staticmethod
    def _private(process: Path, parents: t.Container[str]) -> int:
        try:
            status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        except OSError:
            return 0
        return int(status["RssAnon"].split()[0]) if status["PPid"].strip() in parents and "RssAnon" in status else 0


if __name__ == "__main__":
    main()
