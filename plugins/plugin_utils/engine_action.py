# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of a module that uses the engine: a fork of Ansible's worker runs it, if this is where it would run.

Ansible looks through a module for all that it imports, and packs that; a new Python unpacks, compiles and imports it.
Of an engine of a hundred files that takes half a second of a processor, for each of a run's stages. The file of an
action imports its module, and ansible-playbook itself loads it before it forks its workers (strategy/linear.py): so all
of it is imported once, by one process, and the others have it.
"""

from __future__ import annotations

import json
import sys
import types
import typing as t

from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.vars.clean import remove_internal_keys

from .forked_module import CAN_FORK, PROFILE, ForkedModule

_KILLED: t.Final = (
    "The process of {} was killed by signal {} and could not say what it had done. See whether the machine ran out of "
    "memory, and run again: the next run clears up what this one has left."
)


class EngineAction(NormalAction):
    """Runs a module of this collection."""

    #: the one of the action's name
    module: types.ModuleType

    def follow(self, wait: t.Callable[[], dict[str, t.Any]], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Wait until the module has ended, and return its result."""
        return wait()

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module: in Ansible's own way, if it would not run here or shall outlive its task."""
        task_vars = task_vars or {}
        run: t.Callable[..., dict[str, t.Any]] = super().run
        if not CAN_FORK or self._task.async_val or not self._is_here(task_vars):
            return self.follow(lambda: run(tmp, task_vars), task_vars)
        given, environment = dict(self._task.args), dict[str, t.Any]()
        self._update_module_args(self._task.action, given, task_vars)
        self._compute_environment_string(environment)  # type: ignore[no-untyped-call]
        encoder = get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE)
        forked = ForkedModule(
            self.module,
            json.dumps({"ANSIBLE_MODULE_ARGS": given}, cls=encoder).encode(),
            folder=self._loader.get_basedir(),
            environment={str(name): str(value) for name, value in environment.items()},
        )

        def wait() -> dict[str, t.Any]:
            ended = forked.wait()
            if ended["rc"] < 0:
                return {"failed": True, "msg": _KILLED.format(self._task.action, -ended["rc"])}
            result: dict[str, t.Any] = self._parse_returned_data(ended, PROFILE)
            remove_internal_keys(result)
            return result

        # Who follows has threads, and a fork would have the locks of theirs.
        return self.follow(wait, task_vars)

    def _is_here(self, task_vars: dict[str, t.Any]) -> bool:
        """Whether the module would run on this machine, as this user, in the Python of ansible-playbook."""
        interpreter = self._templar.template(task_vars.get("ansible_python_interpreter"))
        return (
            self._connection.transport == "local"
            and not self._connection.become
            and not self._task.delegate_to
            and interpreter == sys.executable
        )
