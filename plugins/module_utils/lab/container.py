# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL server of the lab in a container, with no network at all: the way into it leads through the engine."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import time
import typing as t
from pathlib import Path

from .image import build_image, plain_recipe
from .programs import LabError, clean_environment, major_version, run
from .server import SUPERUSER, Server, write_secret

#: What a development environment calls its own.
CONTAINER: t.Final = "backend-postgres-1"
_PROGRAMS: t.Final = ("docker", "podman")
_LABEL: t.Final = "pgconvoy.lab"
_RECORD: t.Final = "container.json"
#: The first start initializes the server.
_PATIENCE_SECONDS: t.Final = 60
# Nothing in a lab has to survive a power cut.
_COMMAND: t.Final = ("postgres", "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


@dataclasses.dataclass(frozen=True)
class ContainerServer(Server):
    """A server in a container that carries the lab's label; one of the same name without it is never touched."""

    name: str = CONTAINER

    @classmethod
    def recorded(cls, folder: Path, bindir: Path) -> ContainerServer | None:
        """Return the server that was made in this folder, if that was one in a container."""
        try:
            record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return cls(folder, bindir, record["name"])

    @property
    def port(self) -> int | None:
        """The port is inside, and always the same."""
        return 5432

    @property
    def exists(self) -> bool:
        """Whether the container has been created, running or not."""
        return (self.folder / _RECORD).exists() and self._is_ours()

    def is_running(self) -> bool:
        """Whether the container runs and its server answers."""
        return self.exists and self._status() == "running" and self._answers()

    def check_version(self) -> None:
        """Refuse a name that belongs to somebody else's container."""
        if self._status() and not self._is_ours():
            raise LabError(
                f"There is a container {self.name} that is not this lab's; it stays as it is. Give the lab's another "
                "name: lab_source_container."
            )

    def create(self) -> None:
        """Create the container; recorded last, so that an interrupted attempt leaves no half server."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(self.password_file)
        if self._is_ours():
            self._engine("rm", "--force", "--volumes", self.name)
        self._engine(
            "create",
            f"--name={self.name}",
            f"--label={_LABEL}={self.folder}",
            "--network=none",
            # Some machines do not let a container have more than they have themselves.
            "--ulimit=nofile=1024:1024",
            "--env=POSTGRES_PASSWORD",
            self._image(),
            *_COMMAND,
            environment={"POSTGRES_PASSWORD": self.password},
        )
        (self.folder / _RECORD).write_text(json.dumps({"name": self.name}), encoding="utf-8")

    def start(self) -> None:
        """Start the container, and wait until its server answers."""
        self._engine("start", self.name)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._answers():
            if self._status() != "running" or time.monotonic() > deadline:
                told = run([_program(), "logs", "--tail=10", self.name])
                raise LabError(f"The server in container {self.name} does not start:\n{told.stdout}{told.stderr}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Remove the container: a stopped one would stay when the lab's folder goes."""
        self._engine("rm", "--force", "--volumes", self.name)

    def remove(self) -> None:
        """Remove what is left of the container, and the image if the lab made one."""
        if self._is_ours():
            self.stop()
        # In use by another lab, it stays.
        run([_program(), "image", "rm", self._own_tag()])

    def psql(self, database: str, sql: str, *options: str) -> str:
        """Run a script as the superuser, stop at the first error, and return what it printed."""
        answer = self._psql_inside(database, sql, *options)
        if answer.returncode:
            raise LabError(f"psql failed on database {database} in container {self.name}:\n{answer.stderr}")
        return answer.stdout

    def _answers(self) -> bool:
        return self._psql_inside("postgres", "SELECT").returncode == 0

    def _psql_inside(self, database: str, sql: str, *options: str) -> subprocess.CompletedProcess[str]:
        # Not the socket: while the official image initializes, a server listens there that will be gone.
        inside = ("--host=127.0.0.1", f"--username={SUPERUSER}", "--no-password")
        quiet = ("--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set=ON_ERROR_STOP=1")
        command = [_program(), "exec", "--interactive", "--env=PGPASSWORD", self.name, "psql", *inside, *quiet]
        environment = {**clean_environment(), "PGPASSWORD": self.password}
        return run([*command, f"--dbname={database}", *options], environment, sql)

    def _status(self) -> str:
        """Return the engine's word for what the container does; nothing when there is none."""
        return run([_program(), "container", "inspect", "--format={{.State.Status}}", self.name]).stdout.strip()

    def _is_ours(self) -> bool:
        label = f'--format={{{{index .Config.Labels "{_LABEL}"}}}}'
        answer = run([_program(), "container", "inspect", label, self.name])
        return answer.returncode == 0 and answer.stdout.strip() == str(self.folder)

    def _image(self) -> str:
        """Return an image: the official one where it can be had, else one made here."""
        official, own = f"docker.io/library/postgres:{major_version(self.bindir)}", self._own_tag()
        for question in ([official], [own]):
            if run([_program(), "image", "inspect", *question]).returncode == 0:
                return question[0]
        if run([_program(), "pull", "--quiet", official]).returncode == 0:
            return official
        build_image(_program(), own, plain_recipe(self.bindir))
        return own

    def _own_tag(self) -> str:
        return f"pgconvoy-lab:{major_version(self.bindir)}"

    def _engine(self, *arguments: str, environment: t.Mapping[str, str] | None = None) -> None:
        answer = run([_program(), *arguments], {**clean_environment(), **(environment or {})})
        if answer.returncode:
            raise LabError(f"{_program()} {arguments[0]} failed for container {self.name}: {answer.stderr.strip()}")


def _program() -> str:
    """Return the program of the engine that answers, docker's or podman's."""
    silent = []
    for program in filter(shutil.which, _PROGRAMS):
        answer = run([program, "ps"])
        if answer.returncode == 0:
            return program
        silent.append(f"{program}: {answer.stderr.strip()}")
    raise LabError(
        "lab_source=docker needs a container engine, and "
        + ("none answers. " + "; ".join(silent) if silent else "neither docker nor podman is installed.")
    )
