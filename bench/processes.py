# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All processes of one run, wherever they go: what memory they take together, and when each began."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import subprocess
import threading
import time
import typing as t
from pathlib import Path

#: In the environment of every process of a run. A name that begins with PG would not reach the client tools.
_MARK: t.Final = "BENCH_RUN"
_SAMPLE_SECONDS: t.Final = 0.02
_PAGE: t.Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: t.Final = os.sysconf("SC_CLK_TCK")


def used_by(pid: int) -> float:
    """Return the seconds of processors that a process and its children, those that have ended too, have used by now.

    Unlike a wall's, they hardly depend on what else the machine does.
    """
    used = 0
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdecimal():
                # The time that it used, and that its ended children did (man 5 proc, /proc/pid/stat).
                stat = (Path("/proc") / entry / "stat").read_text().rpartition(")")[2].split()
                own, ended = sum(map(int, stat[11:13])), sum(map(int, stat[13:15]))
                used += own + ended if int(entry) == pid else own if int(stat[1]) == pid else 0
    return used / _TICKS


@dataclasses.dataclass
class Process:
    """One process, as it was last seen."""

    pid: int
    parent: int
    #: its command line at last: a process may become another program
    command: list[str]
    #: as time.time(), exact to a hundredth of a second
    began: float
    seen: float
    #: seconds of a processor
    cpu: float = 0.0


@dataclasses.dataclass
class Watch:
    """A program that runs, and all that it starts."""

    #: the largest sum of resident sizes seen, in bytes; what processes share is counted for each of them
    peak: int = 0
    processes: list[Process] = dataclasses.field(default_factory=list)
    #: how many seconds of processors all of them together had used, and when
    cpu: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    _own: dict[str, Process] = dataclasses.field(default_factory=dict)
    _others: set[str] = dataclasses.field(default_factory=set)

    def run(self, command: t.Sequence[str], environment: t.Mapping[str, str], output: Path, folder: Path) -> float:
        """Run a program to its end, its output in a file, and return the seconds it took.

        :raises RuntimeError: when it fails, with its last lines
        """
        mark = secrets.token_hex(8)
        began = time.monotonic()
        with output.open("wb") as stream:
            running = subprocess.Popen(
                command,
                env={**environment, _MARK: mark},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        done = threading.Event()
        looking = threading.Thread(target=self._look, args=(f"{_MARK}={mark}".encode(), done), daemon=True)
        looking.start()
        status = running.wait()
        seconds = time.monotonic() - began
        done.set()
        looking.join()
        if status:
            end = output.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise RuntimeError(f"{command[0]}: exit status {status}\n{end}")
        return seconds

    def _look(self, mark: bytes, done: threading.Event) -> None:
        while not done.wait(_SAMPLE_SECONDS):
            present = {entry for entry in os.listdir("/proc") if entry.isdecimal()}
            self._others &= present
            self.peak = max(self.peak, sum(self._resident(entry, mark) for entry in present - self._others))
            self.cpu.append((time.time(), sum(process.cpu for process in self.processes)))

    def cpu_between(self, began: float, ended: float) -> float:
        """Return the seconds of processors that the run used between two instants."""
        used = [total for at, total in self.cpu if began <= at <= ended]
        return used[-1] - used[0] if used else 0.0

    def _resident(self, entry: str, mark: bytes) -> int:
        """Return the resident bytes of a process; 0 where it is none of the run's."""
        folder, new = Path("/proc") / entry, False
        try:
            # Parent, time used and beginning, from the fourth field on (man 5 proc, /proc/pid/stat).
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            if entry not in self._own:
                if mark not in (folder / "environ").read_bytes():
                    # A child of this process has no mark yet when it has just been forked.
                    if int(stat[1]) != os.getpid():
                        self._others.add(entry)
                    return 0
                booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
                began = booted + int(stat[19]) / _TICKS
                self._own[entry] = Process(int(entry), int(stat[1]), [], began, began)
                self.processes.append(self._own[entry])
                # One that is about to become another program has its parent's memory until then, and nothing beside it
                # (vfork, as subprocess calls it): it counts from the second look on.
                new = True
            own = self._own[entry]
            own.command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1] or own.command
            own.seen = time.time()
            own.cpu = (int(stat[11]) + int(stat[12])) / _TICKS
            return 0 if new else int((folder / "statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            # It has ended, or is somebody else's.
            self._own.pop(entry, None)
            return 0
