# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One PostgreSQL server of the lab: a folder with its data, its log and its superuser's password."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
import socket
import typing as t
from pathlib import Path

from .programs import NOBODY, LabError, clean_environment, major_version, run, server_command

HOST: t.Final = "127.0.0.1"
SUPERUSER: t.Final = "postgres"

# Nothing in a lab has to survive a power cut, and everything has to be quick.
_SETTINGS: t.Final = f"""
listen_addresses = '{HOST}'
unix_socket_directories = ''
fsync = off
synchronous_commit = off
full_page_writes = off
"""


@dataclasses.dataclass(frozen=True)
class Server:
    """A server in a folder of its own; what it is doing is always asked, never remembered."""

    folder: Path
    bindir: Path

    @property
    def password_file(self) -> Path:
        """The file with the superuser's password."""
        return self.folder / "password"

    @property
    def password(self) -> str:
        """The superuser's password."""
        return self.password_file.read_text(encoding="ascii")

    @property
    def port(self) -> int | None:
        """The port that the server took at its last start, as it wrote it down; None after a clean stop."""
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        return int(lines[3]) if len(lines) > 3 else None

    @property
    def exists(self) -> bool:
        """Whether the server has been created, running or not."""
        return self._data.is_dir()

    def is_running(self) -> bool:
        """Whether this very server answers; another process with its port or its process id does not count."""
        if self.port is None:
            return False
        answer = run(self._psql("postgres"), self.environment(), "SHOW data_directory")
        return answer.returncode == 0 and os.path.samefile(answer.stdout.rstrip("\n"), self._data)

    def check_version(self) -> None:
        """Refuse programs that cannot run this server: none at all, or those of another major version."""
        major = major_version(self.bindir)
        if not self.exists:
            return
        made_by = int((self._data / "PG_VERSION").read_text(encoding="ascii"))
        if made_by != major:
            raise LabError(
                f"The server in {self.folder} was made by PostgreSQL {made_by}, and {self.bindir} holds {major}. "
                f"Take the lab down first, or name the programs of {made_by}."
            )

    def create(self) -> None:
        """Initialize the data directory; named last, so that an interrupted attempt leaves no half server."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(self.password_file)
        unfinished = self.folder / "data.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(unfinished, NOBODY, NOBODY)
        self._run_server_program(
            "initdb",
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            f"--pwfile={self.password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(_SETTINGS)
        unfinished.rename(self._data)

    def start(self) -> None:
        """Start the server on a free port, and wait until it answers."""
        self.check_version()
        # Between the choice of a port and its use another program may take it: then another port will do.
        for attempts_left in (2, 1, 0):
            try:
                self._control("start", f"--log={self.folder / 'log'}", f"--options=-p {_free_port()}")
            except LabError:
                if not attempts_left:
                    raise
            else:
                return

    def stop(self) -> None:
        """Stop the server at once; as nothing else is done with a stopped server, it does not tidy up its files."""
        self._control("stop", "--mode=immediate")

    def databases(self) -> frozenset[str]:
        """Return the names of the databases."""
        return frozenset(self.psql("postgres", "SELECT datname FROM pg_database").splitlines())

    def create_database(self, name: str, sample: Path | None = None) -> None:
        """Create a database, with a sample or empty; named last, so that a half-loaded one is never taken for it."""
        unfinished = f"{name}_unfinished"
        self.psql(
            "postgres",
            'DROP DATABASE IF EXISTS :"name";\nCREATE DATABASE :"name" TEMPLATE template0;',
            f"--set=name={unfinished}",
        )
        if sample is not None:
            self.psql(unfinished, sample.read_text(encoding="utf-8"))
        self.psql(
            "postgres",
            'ALTER DATABASE :"unfinished" RENAME TO :"name"',
            f"--set=unfinished={unfinished}",
            f"--set=name={name}",
        )

    def psql(self, database: str, sql: str, *options: str) -> str:
        """Run a script as the superuser, stop at the first error, and return what it printed."""
        answer = run(self._psql(database, *options), self.environment(), sql)
        if answer.returncode:
            raise LabError(f"psql failed on database {database} of the server in {self.folder}:\n{answer.stderr}")
        return answer.stdout

    def environment(self) -> dict[str, str]:
        """Return the environment in which PostgreSQL's client programs connect to this server as its superuser."""
        return {
            **clean_environment(),
            "PGHOST": HOST,
            "PGPORT": str(self.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self.password,
            "PGSSLMODE": "disable",
            # After a reboot the port may be somebody else's, who accepts and says nothing.
            "PGCONNECT_TIMEOUT": "10",
        }

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _psql(self, database: str, *options: str) -> list[str]:
        quiet = ("--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set=ON_ERROR_STOP=1")
        return [str(self.bindir / "psql"), *quiet, f"--dbname={database}", *options]

    def _control(self, action: str, *options: str) -> None:
        self._run_server_program("pg_ctl", action, f"--pgdata={self._data}", "--wait", *options)

    def _run_server_program(self, program: str, *arguments: str) -> None:
        answer = run(server_command([str(self.bindir / program), *arguments]))
        if answer.returncode:
            told = f"{answer.stdout}{answer.stderr}{self._log_end()}"
            raise LabError(f"{program} failed for the server in {self.folder}:\n{told}")

    def _log_end(self) -> str:
        try:
            lines = (self.folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(["The end of its log:", *lines[-10:]])


def write_secret(path: Path) -> None:
    """Write a new random password to a file that only its owner reads, unless there is one already."""
    if path.exists():
        return
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_text(secrets.token_hex(16), encoding="ascii")
    unfinished.rename(path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
