# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container engine for tests: started when first asked for, in a folder of its own, ended with them."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import itertools
import os
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path
from unittest import mock

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.image import Recipe, build_image
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import clean_environment, wheel_bindir
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import SUPERUSER, Server
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint

from tests.playbooks import wait_until
from tests.servers import NEWEST, PostgresServer

_NUMBERS: t.Final = itertools.count(1)
_SYSTEM_PROGRAMS: t.Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_PASSWORD: t.Final = "inTheContainer1"
#: The tests' own way in, to set something up: a directory of this machine, mounted there.
_SOCKETS: t.Final = "/sockets"

Image = t.Literal["debian", "alpine"]


@dataclasses.dataclass(frozen=True)
class InContainer(PostgresServer):
    """A server in a container, as the other test servers are used: its socket is mounted here."""

    @property
    def bindir(self) -> Path:
        """The directory of its programs, which are those of the image."""
        return wheel_bindir()

    def environment(self) -> dict[str, str]:
        """Return an environment in which client programs connect to this server as superuser."""
        return {
            **clean_environment(),
            "PATH": f"{self.bindir}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
        }


@dataclasses.dataclass(frozen=True)
class DatabaseContainer:
    """A container in which a server runs."""

    engine: Engine
    name: str
    server: InContainer

    def endpoint(self, dbname: str = "postgres", password: str = _PASSWORD) -> Endpoint:
        """Return a database in the container as a user of the playbooks names it."""
        return Endpoint("source", "", self.server.port, dbname, SUPERUSER, password, container=self.name)

    def variables(self, dbname: str) -> dict[str, str | int]:
        """Return the inventory's variables that lead to a database."""
        return {
            "source_container": self.name,
            "source_port": self.server.port,
            "source_dbname": dbname,
            "source_user": SUPERUSER,
            "source_password": self.server.password,
        }

    def wait_until_ready(self) -> None:
        """Wait until the server accepts sessions over the socket that is mounted."""

        def answers() -> bool:
            with contextlib.suppress(Exception), self.server.connect():
                return True
            assert self.engine.status(self.name) == "running", self.engine.logs(self.name)
            return False

        wait_until(answers)

    def programs(self) -> list[str]:
        """Return the command lines of all processes inside, but for the server's own."""
        lines = self.engine.run("top", self.name, "-eo", "pid,args").splitlines()[1:]
        commands = [line.split(maxsplit=1)[1] for line in lines]
        return [command for command in commands if not command.startswith("postgres")]

    def assert_unharmed(self) -> None:
        """Make sure that nothing of ours is left inside, and that the server has not recovered from a "crash"."""
        wait_until(lambda: not self.programs())
        assert "reinitializing" not in self.engine.logs(self.name)


class Engine:
    """A Docker engine of the tests' own."""

    def __init__(self, dockerd: str) -> None:
        """Start it; a path to a socket must be short, so that its folder is not pytest's."""
        self.folder = Path(tempfile.mkdtemp(prefix="pgconvoy-engine-"))
        self.host = f"unix://{self.folder}/docker.sock"
        self.program = _installed("docker")
        self._images: set[str] = set()
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    # With the tests killed, it ends too.
                    _installed("setpriv"),
                    "--pdeathsig=TERM",
                    dockerd,
                    "--iptables=false",
                    "--bridge=none",
                    f"--host={self.host}",
                    f"--data-root={self.folder}/data",
                    f"--exec-root={self.folder}/exec",
                    f"--pidfile={self.folder}/pid",
                ],
                env={**os.environ, "PATH": _SYSTEM_PROGRAMS},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def is_up(self) -> bool:
        """Wait for the engine; return whether it has come up."""
        wait_until(lambda: self._process.poll() is not None or self._ask("version").returncode == 0)
        return self._process.poll() is None

    def complaint(self) -> str:
        """Return the end of the engine's log."""
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    def stop(self) -> None:
        """End all containers and the engine, and remove what they left."""
        if self._process.poll() is None:
            if containers := self._ask("ps", "--all", "--quiet").stdout.split():
                self._ask("rm", "--force", "--volumes", *containers)
            self._process.terminate()
            self._process.wait()
        # A network namespace stays mounted.
        mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
        for path in mounted:
            if path.startswith(f"{self.folder}/"):
                subprocess.run([str(_installed("umount")), "--lazy", path], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *arguments: str, **environment: str) -> str:
        """Run docker; an exit status other than 0 fails the test."""
        done = self._ask(*arguments, **environment)
        assert done.returncode == 0, f"docker {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def running(self, *arguments: str) -> t.Iterator[None]:
        """Run docker while the block goes on."""
        with subprocess.Popen(
            [str(self.program), *arguments],
            env={**os.environ, "DOCKER_HOST": self.host},
            stdout=subprocess.DEVNULL,
        ) as process:
            yield
            assert process.wait() == 0

    def status(self, name: str) -> str:
        """Return the engine's word for what a container does."""
        return self._ask("inspect", "--format={{.State.Status}}", name).stdout.strip()

    def logs(self, name: str) -> str:
        """Return what a container has printed."""
        done = self._ask("logs", name)
        return done.stdout + done.stderr

    def image(self, image: Image) -> str:
        """Return an image that has the programs of a plain image of PostgreSQL, and no others."""
        if image not in self._images:
            with mock.patch.dict(os.environ, DOCKER_HOST=self.host):
                build_image(str(self.program), image, RECIPES[image]())
            self._images.add(image)
        return image

    @contextlib.contextmanager
    def container(self, image: str, *command: str, name: str = "", options: t.Sequence[str] = ()) -> t.Iterator[str]:
        """Give a container that runs a command; it goes with the block."""
        name = name or f"container-{next(_NUMBERS)}"
        common = ("--detach", f"--name={name}", "--ulimit=nofile=1024:1024", "--env=POSTGRES_PASSWORD")
        network = () if any(option.startswith("--network") for option in options) else ("--network=none",)
        self.run("run", *common, *network, *options, image, *command, POSTGRES_PASSWORD=_PASSWORD)
        try:
            yield name
        finally:
            self._ask("rm", "--force", "--volumes", name)

    def sleeper(self, name: str) -> contextlib.AbstractContextManager[str]:
        """Give a container without a server."""
        return self.container(self.image("alpine"), "sleep", "1000", name=name, options=["--entrypoint="])

    @contextlib.contextmanager
    def database(
        self,
        image: Image,
        *settings: str,
        port: int = 5432,
        options: t.Sequence[str] = (),
        name: str = "",
    ) -> t.Iterator[DatabaseContainer]:
        """Give a container whose server is ready, with settings as ``listen_addresses=``; it goes with the block."""
        with tempfile.TemporaryDirectory(prefix="pgconvoy-sockets-", dir=self.folder) as sockets:
            Path(sockets).chmod(0o777)
            wanted = (
                "fsync=off",
                f"unix_socket_directories=/var/run/postgresql,{_SOCKETS}",
                f"port={port}",
                *settings,
            )
            arguments = [argument for setting in wanted for argument in ("-c", setting)]
            mount = f"--volume={sockets}:{_SOCKETS}"
            with self.container(
                self.image(image), "postgres", *arguments, name=name, options=[mount, *options]
            ) as container:
                unused = Server(self.folder, wheel_bindir())
                server = InContainer(NEWEST, unused, sockets, port, SUPERUSER, _PASSWORD)
                started = DatabaseContainer(self, container, server)
                started.wait_until_ready()
                yield started

    def _ask(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), *arguments],
            env={**os.environ, "DOCKER_HOST": self.host, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )


def _debian() -> Recipe:
    """Bash and Perl, as in every image of PostgreSQL on Debian."""
    bash, cat, perl = (_installed(name) for name in ("bash", "cat", "perl"))
    modules = [path.parents[2] for path in Path("/usr/lib").glob("*/perl-base/IO/Socket/UNIX.pm")]
    if not modules:
        pytest.skip("the image needs Debian's perl-base")
    return Recipe(wheel_bindir(), (bash, cat, perl), folders=tuple(modules), links=(("/bin/sh", str(bash)),))


def _alpine() -> Recipe:
    """Nothing but busybox, as on Alpine; this one's nc cannot do sockets."""
    busybox = _installed("busybox")
    names = ("bin/sh", *(f"usr/local/bin/{name}" for name in ("cat", "mv", "nc", "sleep")))
    return Recipe(wheel_bindir(), (busybox,), links=tuple((f"/{name}", str(busybox)) for name in names))


RECIPES: t.Final[dict[Image, t.Callable[[], Recipe]]] = {"debian": _debian, "alpine": _alpine}


def _installed(name: str) -> Path:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return Path(path)


@pytest.fixture(scope="session")
def session_engine() -> t.Iterator[Engine]:
    """Give the session's engine; its tests are skipped where none can be started."""
    dockerd = shutil.which("dockerd", path=_SYSTEM_PROGRAMS)
    if dockerd is None or shutil.which("docker") is None:
        pytest.skip("no container engine: dockerd or docker is not installed (Debian: docker.io)")
    if os.geteuid() != 0:
        pytest.skip("no container engine: only root can start one")
    started = Engine(dockerd)
    # A session that breaks off (Ctrl-C in a fixture, an internal error) does not come back here.
    atexit.register(started.stop)
    if not started.is_up():
        complaint = started.complaint()
        started.stop()
        pytest.skip(f"no container engine: dockerd does not start here: {complaint}")
    yield started
    started.stop()


@pytest.fixture
def engine(session_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Give the engine, and let docker find it."""
    monkeypatch.setenv("DOCKER_HOST", session_engine.host)
    return session_engine
