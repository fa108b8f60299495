# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrate n objects of a kind and then 2n, and tell what each stage takes. See bench/README.md."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import typing as t
from pathlib import Path

import psycopg
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import wheel_bindir
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import HOST, SUPERUSER, Server

from bench.processes import used_by
from tests.migration import Migration, prepare
from tests.servers import PostgresServer

_LOOP: t.Final = "DO $$ BEGIN FOR i IN 1..{} LOOP {} END LOOP; END $$"
#: What makes n objects. A cycle of tables has its last key beside it.
_KINDS: t.Final = {
    "sequences": "EXECUTE format('CREATE SEQUENCE s%s START %s', i, i);",
    "tables": "EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY, v text)', i);"
    " EXECUTE format('INSERT INTO t%s (v) SELECT ''a''', i);",
    "empty": "EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY)', i);",
    "cycle": "EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, next int %s)', i,"
    " CASE WHEN i > 1 THEN format('REFERENCES t%s', i - 1) END);"
    " IF i = {n} THEN EXECUTE format('ALTER TABLE t1 ADD FOREIGN KEY (next) REFERENCES t%s', i); END IF;",
    "large-objects": "PERFORM lo_from_bytea(100000 + i, 'x'); EXECUTE format('COMMENT ON LARGE OBJECT %s IS ''y''',"
    " 100000 + i);",
    "views": "EXECUTE format('CREATE MATERIALIZED VIEW m%s AS SELECT * FROM %s', i,"
    " CASE WHEN i > 1 THEN format('m%s', i - 1) ELSE 'base' END);",
}
#: How many are made in one transaction, each of which locks all that it makes.
_AT_ONCE: t.Final = 5000
_SETTINGS: t.Final = "max_locks_per_transaction = 1000\nautovacuum = off\n"


def main() -> None:
    """Migrate both numbers and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=_KINDS)
    parser.add_argument("number", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--major", default="18", help="PostgreSQL of the source: 18 is the wheel's")
    options = parser.parse_args()
    bindir = wheel_bindir() if options.major == "18" else Path(f"/usr/lib/postgresql/{options.major}/bin")
    counted = count_round_trips()
    with tempfile.TemporaryDirectory(prefix="pgconvoy-bench-") as folder:
        source, target = start(Path(folder) / "source", bindir), start(Path(folder) / "target", wheel_bindir())
        try:
            for number in (options.number, 2 * options.number):
                print(f"{number:,} {options.kind}, PostgreSQL {options.major} to 18, {options.jobs} jobs")
                fill(source, f"n{number}", options.kind, number)
                began = time.monotonic()
                source.run(["pg_dump", "--format=custom", f"--file={folder}/n{number}.dump", f"n{number}"])
                print(f"  {'pg_dump alone':28} {time.monotonic() - began:7.2f} s")
                archive = Path(folder) / f"n{number}"
                migration = prepare(source, archive.name, target, archive.name, archive, jobs=options.jobs)
                run(
                    migration,
                    counted,
                    {"ours": os.getpid(), **{s.server.folder.name: _pid(s) for s in (source, target)}},
                )
        finally:
            source.server.stop()
            target.server.stop()


def count_round_trips() -> list[int]:
    """Return a counter, as a list of one number, of the times that any session has waited for an answer."""
    counted, wait = [0], psycopg.Connection.wait

    def count(*arguments: t.Any, **options: t.Any) -> t.Any:
        counted[0] += 1
        return wait(*arguments, **options)

    psycopg.Connection.wait = count  # type: ignore[method-assign]  # psycopg offers no hook, and all else must be real
    return counted


def start(folder: Path, bindir: Path) -> PostgresServer:
    """Start a server."""
    server = Server(folder, bindir)
    server.create()
    with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write(_SETTINGS)
    server.start()
    assert server.port
    return PostgresServer("", server, HOST, server.port, SUPERUSER, server.password)


def fill(server: PostgresServer, name: str, kind: str, number: int) -> None:
    """Make a database that holds so many objects."""
    server.create_database(name)
    with server.connect(name) as session:
        session.execute("CREATE TABLE base AS SELECT 1 AS one")
        body = _KINDS[kind].replace("{n}", str(number))
        for first in range(1, number + 1, _AT_ONCE):
            last = min(first + _AT_ONCE - 1, number)
            session.execute(_LOOP.format(last, body).replace("1..", f"{first}..", 1).encode())


def _pid(server: PostgresServer) -> int:
    return int((server.server.folder / "data" / "postmaster.pid").read_text().split()[0])


def run(migration: Migration, counted: list[int], processes: dict[str, int]) -> None:
    """Migrate, compare once more by rows, and print what each stage took.

    :param processes: whose processors' seconds are told, with those of all that they start
    """

    def judge() -> None:
        verdict = migration.compare()
        assert verdict.equal, verdict.differences

    stages: tuple[t.Callable[[], object], ...] = (
        migration.preflight,
        migration.dump,
        migration.restore_schema,
        migration.restore_data,
        migration.verify,
        migration.switch,
        judge,
        migration.replace,
    )
    for stage in stages:
        began, before = time.monotonic(), counted[0]
        used = {name: used_by(pid) for name, pid in processes.items()}
        stage()
        told = ", ".join(f"{name} {used_by(pid) - used[name]:.2f}" for name, pid in processes.items())
        seconds, waits = time.monotonic() - began, counted[0] - before
        print(f"  {stage.__name__:16} {seconds:7.2f} s {waits:9,} waits; seconds of processors: {told}", flush=True)


if __name__ == "__main__":
    main()
