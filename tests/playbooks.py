# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks run as users run them, on inventories of a test's own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path
from unittest import mock

import ansible_runner
import pytest

from tests.databases import Database

ROOT: t.Final = Path(__file__).resolve().parents[1]
#: In the environment of every process of a run, by which those that it leaves behind can be found. A name that begins
#: with PG would not reach the client tools.
MARK: t.Final = "TEST_RUN"
#: Playbooks that end without a trace of their own would wait for an answer until then.
_IDLE_SECONDS: t.Final = 180

Report = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Run:
    """How a playbook ended."""

    rc: int
    #: what the terminal showed, without colours
    output: str
    events: list[dict[str, t.Any]] = dataclasses.field(repr=False)
    stats: dict[str, dict[str, int]]
    #: the new run's folder of each host that has one
    folders: dict[str, Path]

    def report(self, host: str) -> Report:
        """Return a host's report.json."""
        report = json.loads((self.folders[host] / "report.json").read_text(encoding="utf-8"))
        assert isinstance(report, dict)
        return report

    @property
    def message(self) -> str:
        """The message of the task that failed the play last."""
        failed = [event["event_data"]["res"] for event in self.events if event["event"] == "runner_on_failed"]
        return str(failed[-1]["msg"])

    def result(self, module: str) -> dict[str, t.Any]:
        """Return what a module of the collection returned, when the run called it for the last time."""
        action = f"pgconvoy.migrate.{module}"
        results = [
            event["event_data"]["res"]
            for event in self.events
            if event["event"] == "runner_on_ok" and event["event_data"]["task_action"] == action
        ]
        assert isinstance(results[-1], dict)
        return results[-1]


class Controller:
    """A machine that playbooks run on: an inventory, and folders for what the runs leave."""

    def __init__(self, folder: Path) -> None:
        """Make everything in a folder of its own."""
        self.folder = folder
        self.runs_root = folder / "runs"
        self.archive_root = folder / "archives"
        self.artifacts = folder / "runner"
        self.artifacts.mkdir()
        self._groups: dict[str, dict[str, dict[str, object]]] = {"sandbox": {}, "production": {}}

    def add_host(self, group: str, *sides: dict[str, str | int], name: str = "", **variables: object) -> None:
        """Put a host into the inventory, with the contract's flat variables; a variable that is None is left out."""
        merged: dict[str, object] = {"runs_root": str(self.runs_root), "archive_root": str(self.archive_root)}
        for side in sides:
            merged |= side
        if group == "production":
            merged["confirm_phrase"] = "MIGRATE PRODUCTION"
        merged |= variables
        self._groups.setdefault(group, {})[name or f"{group}-db"] = {
            key: value for key, value in merged.items() if value is not None
        }

    def vary(self, **variables: object) -> None:
        """Change variables of all hosts; None takes one away."""
        for hosts in self._groups.values():
            for host, present in hosts.items():
                merged = present | variables
                hosts[host] = {key: value for key, value in merged.items() if value is not None}

    def run(
        self,
        playbook: str = "migrate.yml",
        *options: str,
        limit: str = "sandbox",
        answers: dict[str, str] | None = None,
        environment: dict[str, str] | None = None,
        extra: t.Mapping[str, object] | None = None,
    ) -> Run:
        """Run a playbook to its end, on a terminal.

        :param answers: what is typed at which prompt
        :param extra: variables from the command line
        A run that reaches no host fails the test, and so does one that ends well without all that the limit names.
        """
        known = self.run_folders()
        with mock.patch.dict(os.environ, {**clean_environment(), **(environment or {})}, clear=True):
            runner = ansible_runner.run(
                private_data_dir=str(self.artifacts),
                project_dir=str(ROOT),
                playbook=playbook,
                inventory=str(self.write_inventory()),
                limit=limit or None,
                extravars=dict(extra or {}),
                passwords=answers,
                cmdline=" ".join(options) or None,
                quiet=True,
                suppress_env_files=True,
                settings={"idle_timeout": _IDLE_SECONDS},
            )
        assert isinstance(runner, ansible_runner.Runner)
        events = list(runner.events)
        # Not ansible-runner's file of it, in which one of two warnings after each other is lost now and then.
        output = "".join(f"{without_colours(event['stdout'])}\n" for event in events)
        assert runner.status != "timeout", output
        assert runner.stats is not None, output
        wanted = {host for group, hosts in self._groups.items() if limit in (group, "") for host in hosts}
        # The play stops at the first host that fails.
        reached = runner.stats["processed"].keys()
        assert reached, output
        assert reached == wanted or (runner.rc != 0 and reached <= wanted), output
        assert isinstance(runner.rc, int)
        return Run(runner.rc, output, events, runner.stats, self._new_folders(known))

    def migrate(self, extra: t.Mapping[str, object] | None = None) -> Run:
        """Migrate the sandbox; it must succeed."""
        run = self.run(extra=extra)
        assert run.rc == 0, run.output
        return run

    def refuse(
        self,
        playbook: str = "migrate.yml",
        *options: str,
        limit: str = "sandbox",
        extra: t.Mapping[str, object] | None = None,
    ) -> str:
        """Run a playbook that must refuse to do anything, and leave no archive; return its last message."""
        run = self.run(playbook, *options, limit=limit, extra=extra)
        assert run.rc != 0, run.output
        assert {run.report(host)["status"] for host in run.folders} <= {"refused"}, run.output
        assert self.archives() == [], run.output
        return run.message

    def start(
        self,
        playbook: str = "migrate.yml",
        *options: str,
        environment: t.Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        terminal: bool = False,
    ) -> Background:
        """Start a playbook, without a terminal or in one of its own.

        :param cwd: the directory in which the command is typed
        :param terminal: whether the process is a terminal that runs it; where that ends, the terminal is gone
        """
        mark = secrets.token_hex(16)
        command = [sys.executable, "-m", "ansible", "playbook", f"--inventory={self.write_inventory()}"]
        if terminal:
            command = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", *command]
        # A process group of its own, as a shell makes one, for a Ctrl-C that reaches all of it and nobody else.
        process = subprocess.Popen(
            [*command, *options, str(ROOT / playbook)],
            cwd=cwd,
            env={**clean_environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **(environment or {}), MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return Background(process, mark)

    def archives(self) -> list[Path]:
        """Return the folders of archives, hidden ones too, where none is finished yet."""
        return sorted(self.archive_root.glob("*/*"))

    def write_inventory(self) -> Path:
        """Write the inventory, and return its path."""
        local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        children = {group: {"hosts": hosts} for group, hosts in self._groups.items()}
        path = self.folder / "inventory.json"
        path.write_text(json.dumps({"all": {"vars": local, "children": children}}), encoding="utf-8")
        return path

    def run_folders(self) -> set[Path]:
        """Return the folder of each run."""
        return {path for path in self.runs_root.glob("*/*") if not path.is_symlink()}

    def _new_folders(self, known: set[Path]) -> dict[str, Path]:
        new = sorted(self.run_folders() - known)
        folders = {path.parent.name: path for path in new}
        assert len(folders) == len(new), "one run's folder a host"
        return folders


@dataclasses.dataclass(frozen=True)
class Background:
    """A playbook that runs while the test goes on."""

    process: subprocess.Popen[str]
    mark: str

    def finish(self) -> tuple[int, str]:
        """Wait for its end; return its exit status and what it showed."""
        output, _ = self.process.communicate(timeout=_IDLE_SECONDS)
        return self.process.returncode, without_colours(output)

    def processes(self) -> dict[int, str]:
        """Return all its processes that are alive, wherever they have gone: process ids and command lines."""
        return {pid: line for pid, line in command_lines().items() if f"{MARK}={self.mark}" in _environment(pid)}

    def kill(self, which: t.Callable[[int, str], bool] = lambda pid, line: True) -> int:
        """Do to its processes, or to some of them, what a kernel without memory does; return how many there were."""
        victims = {pid for pid, line in self.processes().items() if which(pid, line)}
        for pid in victims:
            # The run itself may end the others when one is gone.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not victims & self.processes().keys())
        return len(victims)


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    """Give a machine that playbooks run on; its inventory is empty yet."""
    return Controller(tmp_path)


@pytest.fixture
def sandbox(controller: Controller, source: Database, target: Database) -> Controller:
    """Give a machine whose sandbox is the small source and the live target."""
    controller.add_host("sandbox", source.variables("source"), target.variables("target"))
    return controller


def clean_environment() -> dict[str, str]:
    """Return an environment that says nothing of its own to Ansible or PostgreSQL."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    engine = {name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}
    return {"PATH": path, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", **engine}


def command_lines() -> dict[int, str]:
    """Return every process of this machine with its command line."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        # It may have ended by now.
        with contextlib.suppress(OSError):
            found[int(entry.name)] = (entry / "cmdline").read_text(errors="replace").replace("\0", " ")
    return found


def parent_of(pid: int) -> int:
    """Return the process that a process is a child of; 0 where there is none."""
    # It may have ended by now.
    with contextlib.suppress(OSError):
        # From the third field on, since the second, a name, may hold anything (man 5 proc, /proc/pid/stat).
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0


def _environment(pid: int) -> str:
    # It may have ended by now, or be none of ours.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    return ""


def without_colours(text: str) -> str:
    """Return what a terminal showed as plain text."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def wait_until(condition: t.Callable[[], object]) -> None:
    """Wait until something is so; fail if it is not so after a long time."""
    deadline = time.monotonic() + _IDLE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
