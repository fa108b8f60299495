# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the time of a whole migrate.yml goes: Ansible, the start of each module, the stages, and what is between."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from bench.ours import OwnRun
from bench.processes import Process

_COLLECTION: t.Final = "pgconvoy.migrate."

#: The parts that the time of a run is made of.
START: t.Final = "ansible-playbook starts and loads the playbook"
TASKS: t.Final = "tasks that are no stage, skipped ones too"
PREPARE: t.Final = "Ansible imports the engine, once, and forks a worker for each stage"
BEGIN: t.Final = "the module's process starts"
STAGE: t.Final = "the stage itself"
LEAVE: t.Final = "the module's process ends, Ansible reads its result"
END: t.Final = "ansible-playbook ends"
PARTS: t.Final = (START, TASKS, PREPARE, BEGIN, STAGE, LEAVE, END)


@dataclasses.dataclass(frozen=True)
class Span:
    """What went on for a while."""

    part: str
    #: the stage, where it belongs to one
    stage: str
    began: float
    ended: float
    #: seconds of processors that the run used meanwhile; the servers' are not known
    cpu: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


def spans(run: OwnRun) -> list[Span]:
    """Return what the time of a run went to, in its order; together they are the whole."""
    now = min(process.began for process in run.watch.processes)
    found, ends = [], now + run.seconds
    for part, name, until in [*_marks(run), (END, "", ends)]:
        found.append(Span(part, name, now, until, run.watch.cpu_between(now, until)))
        now = until
    return found


def _marks(run: OwnRun) -> t.Iterator[tuple[str, str, float]]:
    """Give each part with the stage that it belongs to, and when it ended."""
    began, running = 0.0, ""
    for event in run.events:
        if event["event"] == "loaded":
            yield START, "", event["at"]
        elif event["event"] == "end" and running.startswith(_COLLECTION):
            yield from _module(running.removeprefix(_COLLECTION), run, began, event["at"])
        else:
            yield TASKS, "", event["at"]
        began, running = event["at"], event["action"]


def _module(name: str, run: OwnRun, began: float, ended: float) -> t.Iterator[tuple[str, str, float]]:
    """Give the parts of a task that is a stage; the report, which leaves no record of itself, is taken as one."""
    process = _process(run.watch.processes, began, ended)
    if process is None:
        # An action alone.
        yield TASKS, "", ended
        return
    yield PREPARE, name, process.began
    if name in run.records:
        begun = datetime.datetime.fromisoformat(run.records[name]["began_at"]).timestamp()
        yield BEGIN, name, begun
        yield STAGE, name, begun + run.records[name]["seconds"]
    else:
        yield BEGIN, name, process.seen
    yield LEAVE, name, ended


def _process(processes: t.Sequence[Process], began: float, ended: float) -> Process | None:
    """Return the module's process, if there is one: what a worker of ansible-playbook's has started."""
    main = min(processes, key=lambda process: process.began)
    workers = {process.pid for process in processes if process.parent == main.pid}
    found = [process for process in processes if began <= process.began <= ended and process.parent in workers]
    return min(found, key=lambda process: process.began, default=None)


def sums(found: t.Iterable[Span]) -> dict[str, tuple[float, float]]:
    """Return the seconds, and those of processors, of every part, and of every stage as ``stage NAME``."""
    totals = dict.fromkeys(PARTS, (0.0, 0.0))
    for span in found:
        for what in (span.part, f"stage {span.stage}") if span.part == STAGE else (span.part,):
            seconds, cpu = totals.get(what, (0.0, 0.0))
            totals[what] = (seconds + span.seconds, cpu + span.cpu)
    return totals
