# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that is forked finds what one finds that Ansible has sent, and can do nothing to who has forked it."""

from __future__ import annotations

import importlib
import json
import os
import signal
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils import _internal, basic
from ansible_collections.pgconvoy.migrate.plugins.plugin_utils.forked_module import CAN_FORK, ForkedModule

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="modules are forked on Linux alone")

Fork = t.Callable[..., tuple[int, str, str]]


@pytest.fixture
def fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fork:
    """Give what runs the code of a module, and returns what became of it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"module_of_{tmp_path.parent.name}_{tmp_path.name}".replace("-", "_")

    def run(code: str, arguments: t.Mapping[str, t.Any] | None = None, **environment: str) -> tuple[int, str, str]:
        # An action has imported its module, but has not run it.
        guarded = "".join(f"    {line}\n" for line in code.splitlines())
        (tmp_path / f"{name}.py").write_text(f"if __name__ == '__main__':\n{guarded}", encoding="utf-8")
        module = importlib.import_module(name)
        sent = json.dumps({"ANSIBLE_MODULE_ARGS": dict(arguments or {})}).encode()
        return ForkedModule(module, sent, "legacy", str(tmp_path), environment).wait()

    return run


def test_arguments_and_result(fork: Fork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are as for any module: read, judged, returned with the warnings, secrets left out."""
    monkeypatch.setattr(_internal, "is_controller", True)
    assert tempfile.gettempdir() != str(tmp_path)
    status, stdout, stderr = fork(
        """\
import os, tempfile
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"word": {"type": "str"}, "secret": {"type": "str", "no_log": True}})
module.warn("beware")
module.exit_json(changed=True, folder=os.getcwd(), word=module.params["word"], said=module.params["secret"],
                 there=os.environ["CANARY"], temporary=tempfile.gettempdir())""",
        {"word": "a", "secret": "hidden-canary"},
        CANARY="sings",
        TMPDIR=str(tmp_path),
    )
    assert (status, stderr) == (0, "")
    result = json.loads(stdout)
    assert (result["changed"], result["folder"], result["word"], result["there"]) == (True, str(tmp_path), "a", "sings")
    assert result["temporary"] == str(tmp_path)
    assert "beware" in str(result["warnings"])
    assert "hidden-canary" not in stdout
    assert "CANARY" not in os.environ
    assert _internal.is_controller, "who forks remains Ansible's controller"
    assert basic._ANSIBLE_ARGS is None


@pytest.mark.parametrize(
    ("code", "rc", "said"),
    [
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('words')", 1, ""),
        ("raise ValueError('what it was')", 1, "what it was"),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt"),
        ("pass", 1, "did not handle its own exit"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("import os; os.close(1); os.close(2)", 1, ""),
        ("import os; os.write(1, bytes([255])); raise SystemExit", 0, "\ufffd"),
    ],
    ids=["status", "words", "error", "interrupted", "no-end", "killed", "closed", "no-utf-8"],
)
def test_end(fork: Fork, code: str, rc: int, said: str) -> None:
    """However it ends, who has forked it goes on, and is told."""
    status, stdout, stderr = fork(code)
    assert status == rc
    assert said in stdout + stderr


def test_end_where_the_ends_of_processes_are_ignored(fork: Fork) -> None:
    """As by whoever has started ansible-playbook, for all that come after it."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert fork("raise SystemExit(3)")[0] == 3
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_it_is_interrupted(fork: Fork, monkeypatch: pytest.MonkeyPatch) -> None:
    """By SIGTERM as by Ctrl-C, whatever Ansible's worker does of these; its caller's handlers are its caller's."""
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
    try:
        status, _, stderr = fork(
            "import os, signal\nsignal.alarm(30)\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()"
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert status == 1
    assert "KeyboardInterrupt" in stderr
    assert caught == []


def test_more_than_a_pipe_holds(fork: Fork) -> None:
    """Nobody reads what it says until it has ended."""
    _, stdout, stderr = fork(
        "import sys\nprint('x' * 3_000_000)\nprint('y' * 3_000_000, file=sys.stderr)\nraise SystemExit"
    )
    assert (len(stdout), len(stderr)) == (3_000_001, 3_000_001)
