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

import contextlib
import gc
import json
import sys
import types
import typing as t

from ansible.plugins.action.normal import ActionModule as NormalAction

from .forked_module import CAN_FORK, ForkedModule

try:
    from ansible.executor.module_common import _BuiltModule
    from ansible.module_utils.common.json import Direction, get_module_encoder
except ImportError:
    # They are Ansible's own, the same from 2.19 to 2.21; without them it packs, as ever.
    _CAN_SPARE_PACKING = False
else:
    _CAN_SPARE_PACKING = CAN_FORK

# What ansible-playbook has by now, its forks need not look through for garbage: that would copy it (docs: gc.freeze).
gc.freeze()

#: How a module's arguments are written where it does not say otherwise.
_PROFILE: t.Final = "legacy"

_KILLED: t.Final = (
    "The process of {} was killed by signal {} and could not say what it had done. See whether the machine ran out of "
    "memory, and run again: the next run clears up what this one has left."
)


class EngineAction(NormalAction):
    """Runs a module of this collection."""

    #: the one of the action's name
    module: types.ModuleType

    #: what it is given, from when it is known to be forked until it is
    _arguments: bytes | None = None

    def meanwhile(self) -> contextlib.AbstractContextManager[object]:
        """Do something while the module runs."""
        return contextlib.nullcontext()

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module."""
        self._forks = _CAN_SPARE_PACKING and not self._task.async_val and self._is_here(task_vars or {})
        with contextlib.ExitStack() as self._running:
            if not self._forks:
                self._running.enter_context(self.meanwhile())
            result: dict[str, t.Any] = super().run(tmp, task_vars)  # type: ignore[no-untyped-call]  # of Ansible's class
        return result

    def _is_here(self, task_vars: dict[str, t.Any]) -> bool:
        """Whether the module would run on this machine, as this user, in the Python of ansible-playbook."""
        interpreter = self._templar.template(task_vars.get("ansible_python_interpreter"))
        return (
            self._connection.transport == "local"
            and not self._connection.become
            and not self._task.delegate_to
            and interpreter == sys.executable
        )

    def _configure_module(
        self, module_name: str, module_args: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> tuple[t.Any, str]:
        """Return what a Python is sent to run the module: nothing, if it is forked."""
        if not self._forks:
            built: tuple[t.Any, str] = super()._configure_module(module_name, module_args, task_vars)
            return built
        encoder = get_module_encoder(_PROFILE, Direction.CONTROLLER_TO_MODULE)
        self._arguments = json.dumps({"ANSIBLE_MODULE_ARGS": module_args}, cls=encoder).encode()
        nothing = _BuiltModule(
            b_module_data=b"", module_style="new", shebang=f"#!{sys.executable}", serialization_profile=_PROFILE
        )
        return nothing, str(self.module.__file__)

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        # Otherwise a file would be made of the nothing.
        return self._arguments is not None or bool(super()._is_pipelining_enabled(module_style, wrap_async))

    def _low_level_execute_command(self, *args: t.Any, **named: t.Any) -> dict[str, t.Any]:
        """Fork the module in place of the command that would read it from its standard input."""
        if self._arguments is None:
            execute: t.Callable[..., dict[str, t.Any]] = super()._low_level_execute_command
            return execute(*args, **named)
        environment: dict[str, t.Any] = {}
        self._compute_environment_string(environment)  # type: ignore[no-untyped-call]  # likewise
        forked = ForkedModule(
            self.module,
            self._arguments,
            _PROFILE,
            folder=self._loader.get_basedir(),
            environment={str(name): str(value) for name, value in environment.items()},
        )
        self._arguments = None
        # It has threads, and a fork would have the locks of theirs.
        self._running.enter_context(self.meanwhile())
        status, stdout, stderr = forked.wait()
        if status < 0:
            stdout = json.dumps({"failed": True, "msg": _KILLED.format(self._task.action, -status)})
        lines = {"stdout_lines": stdout.splitlines(), "stderr_lines": stderr.splitlines()}
        return {"rc": status, "stdout": stdout, "stderr": stderr, **lines}
