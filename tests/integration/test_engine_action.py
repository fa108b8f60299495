# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module of ours is packed where another Python or machine runs it, and is forked where it is."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import wheel_bindir

from tests.playbooks import ROOT, clean_environment


def _ansible(module: str, arguments: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ansible"), "localhost", "-c", "local"),
            *("-m", f"pgconvoy.migrate.{module}", "-a", arguments, *options),
        ],
        env={**clean_environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("other", [False, True], ids=["the-same-python", "another-python"])
def test_what_python_is_sent(tmp_path: Path, other: bool) -> None:
    """What Ansible sends is read where it would be kept for somebody who looks for a fault."""
    python = sys.executable
    if other:
        # As far as Ansible can know, whatever may lie behind it.
        link = tmp_path / "python"
        link.symlink_to(sys.executable)
        python = str(link)
    done = _ansible(
        "lab",
        f"state=absent folder={tmp_path / 'lab'}",
        f"-eansible_python_interpreter={python}",
        ANSIBLE_PIPELINING="false",
        ANSIBLE_KEEP_REMOTE_FILES="true",
        ANSIBLE_REMOTE_TEMP=str(tmp_path / "sent"),
        # A link leads to a Python that does not know its environment.
        PYTHONPATH=":".join(path for path in sys.path if path.endswith("site-packages")),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed: false" in done.stdout
    sent = list((tmp_path / "sent").rglob("*.py"))
    assert ["zip_data" in file.read_text() for file in sent] == [True] * other


def test_warnings_that_are_errors(tmp_path: Path) -> None:
    """As somebody has Python make them: nothing warns because a module is forked."""
    python = f"-eansible_python_interpreter={sys.executable}"
    done = _ansible("lab", f"state=absent folder={tmp_path / 'lab'}", python, PYTHONWARNINGS="error")
    assert done.returncode == 0, done.stdout + done.stderr


def test_task_that_takes_too_long(tmp_path: Path) -> None:
    """A task's timeout ends the module, too."""
    # A server that takes every connection and never says a word.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        side = {"host": "127.0.0.1", "port": silent.getsockname()[1], "dbname": "a", "user": "a"}
        folder, tools = tmp_path / "stages", str(wheel_bindir())
        folder.mkdir()
        given = {"source": side, "target": side, "run_dir": str(tmp_path), "client_bindir": tools, "settings": {}}
        python = f"-eansible_python_interpreter={sys.executable}"
        done = _ansible("compare", json.dumps(given), "--task-timeout=2", python)
        assert done.returncode != 0
        assert "Timed out after 2 second(s)" in done.stdout + done.stderr
        record = json.loads((folder / "compare.json").read_text())
        assert record["error"] == "compare was interrupted; the live database is as it was."


def test_environment_of_a_task(tmp_path: Path) -> None:
    """What a task's environment says holds for its module: which docker is there, say."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho no engine but a canary >&2\nexit 1\n", encoding="utf-8")
    docker.chmod(0o755)
    (tmp_path / "stages").mkdir()
    source = {"container": "any", "port": 1, "dbname": "a", "user": "a"}
    target = {"host": "127.0.0.1", "port": 1, "dbname": "a", "user": "a"}
    given = {"source": source, "target": target, "run_dir": str(tmp_path), "settings": {}}
    module = {"pgconvoy.migrate.compare": {**given, "client_bindir": str(wheel_bindir())}}
    play = {
        "name": "Compare",
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "tasks": [{"name": "Compare", **module, "environment": {"PATH": str(tmp_path)}}],
    }
    playbook = tmp_path / "compare.yml"
    playbook.write_text(json.dumps([play]), encoding="utf-8")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook)],
        env={**clean_environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "no engine but a canary" in done.stdout
