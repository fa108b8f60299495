# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of a module that uses the engine: it runs from where it is installed, if this is where it would run.

Ansible looks through a module for all that it imports, and packs that; the module's process unpacks and compiles it.
Of an engine of a hundred files that takes half a second, of which a run has nine, and it is meant for other machines.
"""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

from ansible.plugins.action.normal import ActionModule as NormalAction

try:
    from ansible.executor.module_common import _BuiltModule
    from ansible.module_utils._internal._ansiballz._loader import run_module
    from ansible.module_utils.common.json import Direction, get_module_encoder
except ImportError:
    # They are Ansible's own, the same from 2.19 to 2.21; without them it packs, as ever.
    _CAN_SPARE_PACKING = False
else:
    # The script below calls it.
    _CAN_SPARE_PACKING = callable(run_module)

#: The folder ``ansible_collections`` that this one is in.
_COLLECTIONS: t.Final = pathlib.Path(__file__).absolute().parents[4]
#: How a module's arguments are written where it does not say otherwise.
_PROFILE: t.Final = "legacy"
# What a packed module ends in, too (ansible/_internal/_ansiballz/_wrapper.py). The path is told by a package made here,
# since the one that the distribution "ansible" brings along would hide ours.
_SCRIPT: t.Final = """\
import sys
import types

sys.path = [path for path in sys.path if path not in ("", ".")]
from ansible.module_utils._internal._ansiballz import _loader

collections = types.ModuleType("ansible_collections")
collections.__path__ = [{path!r}]
sys.modules[collections.__name__] = collections
_loader.run_module(json_params={params!r}, profile={profile!r}, module_fqn={module!r}, modlib_path="", extensions={{}})
"""


class EngineAction(NormalAction):
    """Runs a module of this collection."""

    def _configure_module(
        self, module_name: str, module_args: dict[str, t.Any], task_vars: dict[str, t.Any]
    ) -> tuple[t.Any, str]:
        """Return what Python is sent to run a module, and the path that names it where it is no file of its own."""
        if module_name != self._task.action or not _CAN_SPARE_PACKING or not self._is_here(task_vars):
            built: tuple[t.Any, str] = super()._configure_module(module_name, module_args, task_vars)
            return built
        collection, _, name = module_name.rpartition(".")
        encoder = get_module_encoder(_PROFILE, Direction.CONTROLLER_TO_MODULE)
        script = _SCRIPT.format(
            path=str(_COLLECTIONS),
            params=json.dumps({"ANSIBLE_MODULE_ARGS": module_args}, cls=encoder).encode(),
            profile=_PROFILE,
            module=f"ansible_collections.{collection}.plugins.modules.{name}",
        )
        return (
            _BuiltModule(
                b_module_data=script.encode(),
                module_style="new",
                shebang=f"#!{sys.executable}",
                serialization_profile=_PROFILE,
            ),
            f"{name}.py",
        )

    def _is_here(self, task_vars: dict[str, t.Any]) -> bool:
        """Whether the module would run on this machine, as this user, in the Python of ansible-playbook."""
        interpreter = self._templar.template(task_vars.get("ansible_python_interpreter"))
        return (
            self._connection.transport == "local"
            and not self._connection.become
            and not self._task.delegate_to
            and interpreter == sys.executable
        )
