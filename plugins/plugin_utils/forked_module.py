# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module in a process of its own that is forked, so that it finds what it imports already there."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import traceback
import types
import typing as t

try:
    from ansible.module_utils import _internal
    from ansible.module_utils._internal._ansiballz._loader import run_module
except ImportError:
    # They are Ansible's own, the same from 2.19 to 2.21; without them it packs its modules, as ever.
    CAN_FORK = False
else:
    # Elsewhere, a system's libraries may end a process that was forked and goes on with them (macOS: Kerberos).
    CAN_FORK = sys.platform == "linux" and callable(run_module) and hasattr(_internal, "is_controller")

_SIGNALS: t.Final = frozenset({signal.SIGINT, signal.SIGTERM})


class ForkedModule:
    """A module at work."""

    def __init__(
        self, module: types.ModuleType, arguments: bytes, profile: str, folder: str, environment: t.Mapping[str, str]
    ):
        """Begin it.

        :param arguments: as Ansible writes them for a module, in JSON
        :param profile: how they are written, and the result
        :param folder: where it works
        :param environment: what it has beyond this process's
        """
        # Files without a name: whatever the module says, nobody has to read it meanwhile.
        self._outputs = [os.memfd_create(name) for name in ("stdout", "stderr")]
        # Otherwise nobody could tell how it ended, where whoever has started ansible-playbook ignores this signal.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Until the new process has handlers of its own.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._redirect()
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                os.chdir(folder)
                os.environ.update(environment)
                # It may have been looked for by now, and have another place there.
                tempfile.tempdir = None
                status = _run(module, arguments, profile)
            except BaseException:  # noqa: BLE001 - never back into the code of Ansible's worker
                traceback.print_exc()
                status = 1
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _redirect(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler)
        for place, output in enumerate(self._outputs, start=1):
            os.dup2(output, place)
        sys.stdout, sys.stderr = os.fdopen(1, "w", encoding="utf-8"), os.fdopen(2, "w", encoding="utf-8")

    def wait(self) -> tuple[int, str, str]:
        """Wait until it has ended; return its status, the negative of a signal that killed it, and what it has said."""
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        except BaseException:
            # A task's timeout: the module undoes what it has begun.
            os.kill(self._pid, signal.SIGTERM)
            os.waitpid(self._pid, 0)
            raise
        stdout, stderr = (_read(output) for output in self._outputs)
        return status, stdout, stderr


def _run(module: types.ModuleType, arguments: bytes, profile: str) -> int:
    # Otherwise a module's warnings would be shown, not returned, and its result be written as between Ansible's parts.
    _internal.is_controller = False
    # It is run, not imported; of one that is there already, Python warns (runpy).
    sys.modules.pop(module.__name__, None)
    try:
        # What a packed module ends in, too (ansible/_internal/_ansiballz/_wrapper.py).
        run_module(json_params=arguments, profile=profile, module_fqn=module.__name__, modlib_path="", extensions={})
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _read(output: int) -> str:
    with open(output, "rb") as stream:
        stream.seek(0)
        return stream.read().decode(errors="replace")
