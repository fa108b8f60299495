# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done to bring the lab up or to take it down, judged from what is there."""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Found:
    """What there is of one server."""

    exists: bool
    running: bool
    #: None where it cannot be asked: the server is stopped.
    databases: frozenset[str] | None


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing to do."""

    action: t.Literal["create", "start", "stop", "create_database", "remove"]
    server: str = ""
    database: str = ""

    @property
    def subject(self) -> str:
        """What the step changes, in words."""
        if self.action == "remove":
            return "the lab's folder"
        return f"database {self.database} on the {self.server}" if self.database else f"the {self.server} server"

    @property
    def states(self) -> tuple[str, str]:
        """The subject's state before and after the step."""
        return {
            "create": ("absent", "created"),
            "start": ("stopped", "running"),
            "stop": ("running", "stopped"),
            "create_database": ("absent", "present"),
            "remove": ("present", "absent"),
        }[self.action]


def steps_up(found: t.Mapping[str, Found], wanted: t.Mapping[str, t.Collection[str]]) -> list[Step]:
    """Return what is missing until every server runs and holds its wanted databases."""
    steps = []
    for name, server in found.items():
        if not server.exists:
            steps.append(Step("create", name))
        if not server.running:
            steps.append(Step("start", name))
        present = server.databases if server.exists else frozenset[str]()
        if present is not None:
            steps += [Step("create_database", name, database) for database in wanted[name] if database not in present]
    return steps


def steps_down(found: t.Mapping[str, Found], folder_exists: bool) -> list[Step]:
    """Return what is left to stop and to remove."""
    steps = [Step("stop", name) for name, server in found.items() if server.running]
    return [*steps, Step("remove")] if folder_exists else steps


def before_and_after(steps: t.Iterable[Step]) -> dict[str, str]:
    """Return the steps as Ansible shows a difference."""
    changes = [(step.subject, *step.states) for step in steps]
    return {
        "before": "".join(f"{subject}: {before}\n" for subject, before, after in changes),
        "after": "".join(f"{subject}: {after}\n" for subject, before, after in changes),
    }
