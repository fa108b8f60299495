# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of all stages: the module runs as any other, and meanwhile a person sees how far it is.

An action, not a callback: callbacks of a collection need a setting, and this shall be seen without one.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import signal
import types
import typing as t

from ansible import constants

from ..module_utils.run.folder import RunFolder
from ..module_utils.run.presentation import visible
from ..module_utils.run.progress_file import ProgressReader
from . import progress
from .engine_action import EngineAction


def _duplicate(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:
        return None


#: Where ansible-playbook writes what is no result: a bar shall not lie in a file of results. Ansible runs actions in
#: workers, which it cuts off from the terminal, but loads this file before it forks them (strategy/linear.py).
_STDERR: t.Final = _duplicate(2)

#: The callback that says what a terminal shows to a person. Others speak to programs: ansible-runner's to itself.
_FOR_PEOPLE: t.Final = ("default", "ansible.builtin.default")


class StageAction(EngineAction):
    """Runs a stage's module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module, and say what it has undone if it was interrupted."""
        self._host = visible(str((task_vars or {}).get("inventory_hostname", "")))
        self._stage = self._task.action.rpartition(".")[2]
        self._undoing = _Undoing(f"{self._host}: {self._stage}")
        result = super().run(tmp, task_vars)
        self._undoing.end(str(result.get("msg", "")))
        return result

    @contextlib.contextmanager
    def meanwhile(self) -> t.Iterator[None]:
        """Show how far the module is."""
        follower = progress.Follower(ProgressReader(self._file_finder(), self._stage), self._view())
        with self._undoing, follower.following():
            yield

    def tell(self, lines: t.Iterable[str]) -> None:
        """Show lines to people, who would not see them in a task's result."""
        if not _callback().rpartition(".")[2].startswith("json"):
            for line in lines:
                self._display.display(line)

    def _view(self) -> progress.View:
        if _STDERR is not None and progress.CAN_DRAW and not self._display.verbosity and _is_terminal(_STDERR):
            return progress.Bar(_write, lambda: os.get_terminal_size(_STDERR).columns, self._host)
        # Standard error is written line by line, standard output is not where it is no terminal.
        return progress.Lines(lambda line: self._display.display(line, stderr=True), f"{self._host}: {self._stage}")

    def _file_finder(self) -> t.Callable[[], pathlib.Path | None]:
        """Return what finds the file: in the run's folder, which the first stage has yet to make."""
        given, began = self._task.args, datetime.datetime.now(datetime.UTC)

        def find() -> pathlib.Path | None:
            if given.get("run_dir"):
                return RunFolder(pathlib.Path(given["run_dir"])).progress
            if not given.get("runs_root"):
                return None
            runs_root = pathlib.Path(given["runs_root"])
            folder = RunFolder.find(runs_root, given.get("host", self._host), os.getppid(), began)
            return folder.progress if folder else None

        return find


def _is_terminal(descriptor: int) -> bool:
    return os.isatty(descriptor) and os.environ.get("TERM") != "dumb" and _is_for_people()


def _is_for_people() -> bool:
    return _callback() in _FOR_PEOPLE


def _callback() -> str:
    return str(constants.DEFAULT_STDOUT_CALLBACK)  # type: ignore[attr-defined]  # made of Ansible's configuration


def _write(text: str) -> None:
    if _STDERR is not None:
        with contextlib.suppress(OSError):
            os.write(_STDERR, text.encode(errors="replace"))


class _Undoing:
    """Lets a module that is interrupted undo what it has begun before ansible-playbook ends, and says so.

    Ansible's worker would end at once, and what the module tells would reach nobody. ansible-playbook waits for its
    workers when it ends by Ctrl-C; a second one ends it at once, and the module goes on undoing by itself.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._interrupted = False
        self._before: dict[int, t.Any] = {}

    def __enter__(self) -> _Undoing:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._interrupted:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def end(self, told: str) -> None:
        """End the worker if it was interrupted; Ansible takes no result from it any more.

        :param told: what the module has said
        """
        if self._interrupted:
            self._say(told)
            os._exit(1)

    def _interrupt(self, number: int, _frame: types.FrameType | None) -> None:
        self._interrupted = True
        for one in self._before:
            signal.signal(one, signal.SIG_IGN)
        # The worker leads a process group of its own, which the module belongs to.
        with contextlib.suppress(OSError):
            os.killpg(os.getpid(), number)
        self._say("interrupted. What it has begun is being undone; a moment, please.")

    def _say(self, text: str) -> None:
        # Not by Ansible's display, which has ended by now. What is between its events, ansible-runner does not expect.
        if _is_for_people():
            _write(f"{self._title}: {visible(text, keep=chr(10))}\n")
