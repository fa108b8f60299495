# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine, always through its own program: DOCKER_HOST, contexts and logins are as the user has them."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import shutil
import subprocess
import typing as t

from ..errors import MigrationError

_PROGRAMS: t.Final = ("docker", "podman")
#: An engine that does not answer by then will not.
_PATIENCE_SECONDS: t.Final = 30

#: What to do about a container that is not running, by the engine's word for its state.
_REMEDIES: t.Final = {
    "paused": "Continue it: {program} unpause {name}",
    "restarting": "Something in it ends again and again: {program} logs {name}",
}
_START: t.Final = "Start it: {program} start {name}"


class ContainerError(MigrationError):
    """A container's server cannot be reached; ``code``, ``message`` and ``remedy`` make a finding of preflight."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.code = code
        self.message = message
        self.remedy = remedy


@dataclasses.dataclass(frozen=True)
class State:
    """What a container was doing when it was looked at."""

    #: the engine's word: running, paused, exited, ...
    status: str
    started_at: str
    exit_code: int


@dataclasses.dataclass(frozen=True)
class Container:
    """A container of an engine, known by its identifier: its name may pass to another one."""

    program: str
    identifier: str
    name: str

    @property
    def engine(self) -> str:
        """The engine's name, for messages."""
        return os.path.basename(self.program)

    def command(self, argv: t.Sequence[str], pass_on: t.Sequence[str] = ()) -> list[str]:
        """Return the command line that runs a program inside, its stdin and stdout connected.

        :param pass_on: names of environment variables; their values are on no command line
        """
        variables = [f"--env={name}" for name in pass_on]
        return [self.program, "exec", "--interactive", *variables, self.identifier, *argv]

    def run(self, argv: t.Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end, whatever its outcome."""
        _, *arguments = self.command(argv)
        return ask(self.program, *arguments)

    def inspect(self) -> dict[str, t.Any]:
        """Return all that the engine knows of it; nothing when it is gone."""
        answer = ask(self.program, "container", "inspect", self.identifier)
        found = json.loads(answer.stdout) if answer.returncode == 0 else []
        return dict(found[0]) if found else {}

    def state(self) -> State:
        """Return what it is doing; a container that is gone is "removed"."""
        state = self.inspect().get("State", {"Status": "removed"})
        return State(state["Status"], str(state.get("StartedAt", "")), int(state.get("ExitCode", 0)))

    def engine_is_local(self) -> bool:
        """Whether the engine runs on this machine, so that no network lies between it and us."""
        if self.engine == "podman":
            answer = ask(self.program, "info", "--format", "{{.Host.ServiceIsRemote}}")
            return answer.stdout.strip() == "false"
        # For the default context this is DOCKER_HOST where that is set.
        answer = ask(self.program, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        return answer.stdout.startswith(("unix://", "npipe://"))


def ask(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the engine's program to its end, whatever its outcome."""
    try:
        return subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        said = f"{os.path.basename(program)} has not answered for {_PATIENCE_SECONDS} seconds"
        return subprocess.CompletedProcess([program, *arguments], 1, "", said)


def find_container(wanted: str) -> Container:
    """Return the running container of that name, or whose identifier begins so.

    :raises ContainerError: when there is no engine, no such container, or when it is not running
    """
    programs = [path for path in map(shutil.which, _PROGRAMS) if path]
    if not programs:
        raise ContainerError(
            "engine-missing",
            "source_container is set, but neither docker nor podman is installed on this machine.",
            "Install the command line program of the engine that runs the container, or reach the server by "
            "source_host and source_port alone.",
        )
    silent, names = [], []
    for program in programs:
        # Both programs understand these formats; each prints one line a container.
        answer = ask(program, "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}}")
        if answer.returncode:
            silent.append(f"{os.path.basename(program)} says: {answer.stderr.strip() or 'nothing at all'}")
            continue
        for line in answer.stdout.splitlines():
            identifier, _, name = line.partition(" ")
            if wanted in (name, identifier) or (len(wanted) >= 12 and identifier.startswith(wanted)):
                return _running(Container(program, identifier, name))
            names.append(name)
    if len(silent) == len(programs):
        raise ContainerError(
            "engine-down",
            "No container engine answers. " + "; ".join(silent),
            "Start the engine (systemctl start docker, or Docker Desktop with WSL integration), join its group, or set "
            "DOCKER_HOST or the docker context to where it is.",
        )
    raise ContainerError("no-container", "There is no such container.", _suggest(wanted, names))


def _running(container: Container) -> Container:
    state = container.state()
    if state.status == "running":
        return container
    raise ContainerError(
        f"container-{state.status}",
        f"The container is {state.status}" + (f" with status {state.exit_code}." if state.exit_code else "."),
        _REMEDIES.get(state.status, _START).format(program=container.engine, name=container.name),
    )


def _suggest(wanted: str, names: t.Sequence[str]) -> str:
    """Return what to do about a name that no container has."""
    similar = [name for name in names if wanted in name or name in wanted]
    similar += [name for name in difflib.get_close_matches(wanted, names) if name not in similar]
    if len(similar) == 1:
        return f"Is it {similar[0]}? Set source_container to the whole name."
    if similar:
        return f"Several are called like that: {', '.join(sorted(similar))}. Set source_container to one of them."
    known = f"Those that there are: {', '.join(sorted(names))}." if names else "The engine has none at all."
    return f"{known} Correct source_container, or the engine's context."
