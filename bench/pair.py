# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers on this machine, and databases on them."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import wheel_bindir
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import Server

_DEBIAN: t.Final = Path("/usr/lib/postgresql/15/bin")
# A server that is tuned a little, as servers of a gigabyte are.
_SETTINGS: t.Final = "shared_buffers = '512MB'\nmax_wal_size = '8GB'\n"


@dataclasses.dataclass(frozen=True)
class Pair:
    """A source and a target of one version, and a folder for whatever else is needed; all gone at the end."""

    source: Server
    target: Server
    folder: Path

    @property
    def bindir(self) -> Path:
        """Where the programs of both servers are, the clients too."""
        return self.source.bindir

    @property
    def version(self) -> str:
        """The servers' version."""
        return self.source.psql("postgres", "SHOW server_version").strip()

    def create(self, dbname: str) -> None:
        """Make the source's database, empty."""
        self.source.create_database(dbname)

    def drop(self, dbname: str) -> None:
        """Drop the database on both sides, and what came of it."""
        for server in (self.source, self.target):
            self._drop(server, dbname)

    def empty_target(self, dbname: str) -> None:
        """Make an empty database to be filled, and let nothing of what was done before weigh on what comes."""
        self._drop(self.target, dbname)
        self.target.psql("postgres", 'CREATE DATABASE :"name" TEMPLATE template0', f"--set=name={dbname}")
        for server in (self.source, self.target):
            server.psql("postgres", "CHECKPOINT")

    def run_on_source(self, *command: str) -> None:
        """Run a client program on the source."""
        path = [str(self.bindir / command[0]), *command[1:]]
        subprocess.run(path, env=self.source.environment(), check=True, capture_output=True)

    @staticmethod
    def _drop(server: Server, dbname: str) -> None:
        for name in server.databases():
            if name == dbname or name.startswith(f"{dbname}_"):
                server.psql("postgres", 'DROP DATABASE :"name" WITH (FORCE)', f"--set=name={name}")


@contextlib.contextmanager
def running_pair() -> t.Iterator[Pair]:
    """Give two new servers, of Debian's 15 where it is installed, else of the wheel."""
    bindir = _DEBIAN if (_DEBIAN / "postgres").exists() else wheel_bindir()
    with tempfile.TemporaryDirectory(prefix="pgconvoy-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        # The servers' user must be able to enter.
        folder.chmod(0o711)
        source, target = Server(folder / "source", bindir), Server(folder / "target", bindir)
        for server in (source, target):
            server.create()
            with (server.folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
                settings.write(_SETTINGS)
            server.start()
            stack.callback(server.stop)
        yield Pair(source, target, folder)
