# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a stage ends, whatever happens in it: one message, one record, and nothing said that is not so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

ROOT: t.Final = Path(__file__).resolve().parents[2]

#: A module whose work is given; it is one as Ansible runs it, with its arguments on standard input.
MODULE: t.Final = """
import os, signal, sys
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError, Outcome
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.stage import Stage

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

arguments = {{"run_dir": {{"type": "path"}}, "password": {{"type": "str", "no_log": True}}}}
module = AnsibleModule(arguments, supports_check_mode=True)
stage = Stage("switch", module)

def work():
{work}

stage.run(work)
"""


def run(
    tmp_path: Path, work: str, *, check: bool = False, starter: t.Sequence[str] = (sys.executable,)
) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """Run a stage; return what Ansible gets, and the record."""
    folder = tmp_path / "run"
    (folder / "stages").mkdir(parents=True, exist_ok=True)
    arguments = {"run_dir": str(folder), "password": "canaryPassword", "_ansible_check_mode": check}
    arguments |= {"_ansible_remote_tmp": str(tmp_path), "_ansible_keep_remote_files": False}
    script = tmp_path / "module.py"
    body = "\n".join(f"    {line}" for line in work.strip().splitlines())
    script.write_text(
        "import json, ansible.module_utils.basic as basic\n"
        f"basic._ANSIBLE_ARGS = {json.dumps({'ANSIBLE_MODULE_ARGS': arguments}).encode()!r}\n"
        "basic._ANSIBLE_PROFILE = 'legacy'\n" + MODULE.format(work=body),
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    done = subprocess.run(
        [*starter, str(script)], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout, done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    record = folder / "stages" / "switch.json"
    return json.loads(done.stdout), json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}


def test_interrupted_before_the_commit(tmp_path: Path) -> None:
    result, record = run(tmp_path, "interrupt(); return Outcome(changed=True)")
    assert result["failed"]
    assert result["msg"] == record["error"] == "switch was interrupted; the live database is as it was."


@pytest.mark.parametrize("when", ["stage.committed(); interrupt()", "stage.committed(); interrupt(); interrupt()"])
def test_interrupted_after_the_commit(tmp_path: Path, when: str) -> None:
    """The record says what was done, and so does the module."""
    result, record = run(tmp_path, f"{when}\nos.kill(os.getpid(), signal.SIGTERM)\nreturn Outcome(changed=True)")
    assert (result.get("failed", False), result["changed"]) == (False, True)
    assert (record["error"], record["changed"]) == (None, True)


def test_failed_after_the_commit(tmp_path: Path) -> None:
    """Nobody says that the live database is what it was."""
    result, record = run(tmp_path, "stage.committed()\nraise ValueError('canary')")
    assert result["failed"]
    assert record["uncertain"] is True


@pytest.mark.parametrize("inherited", ["SIGCHLD, signal.SIG_IGN", "SIGINT, signal.SIG_IGN"])
def test_signals_that_are_ignored(tmp_path: Path, inherited: str) -> None:
    """By whoever has started ansible-playbook: a program that fails is still seen to, and what is sent arrives."""
    program = f"import signal, os, sys; signal.signal(signal.{inherited}); os.execv(sys.executable, sys.argv[1:])"
    starter = [sys.executable, "-c", program, sys.executable]
    work = "import subprocess\nif subprocess.call(['false']) != 1: return Outcome()\ninterrupt()\nreturn Outcome()"
    result, _ = run(tmp_path, work, starter=starter)
    assert result.get("msg") == "switch was interrupted; the live database is as it was."


def test_signals_that_are_blocked(tmp_path: Path) -> None:
    """Likewise."""
    program = "import signal, os, sys; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); "
    starter = [sys.executable, "-c", f"{program}os.execv(sys.executable, sys.argv[1:])", sys.executable]
    result, _ = run(tmp_path, "interrupt()\nreturn Outcome()", starter=starter)
    assert result.get("msg") == "switch was interrupted; the live database is as it was."


UNEXPECTED: t.Final = (
    "raise MemoryError",
    "raise ValueError('no number: %r' % 'canary')",
    "'canary'.encode('utf-16').decode('utf-8')",
    "work()",
    "int('canary')",
    "raise OSError(5, 'Input/output error')",
    "raise KeyError('canary')",
)


@pytest.mark.parametrize("work", UNEXPECTED, ids=[str(number) for number in range(len(UNEXPECTED))])
def test_no_traceback(tmp_path: Path, work: str) -> None:
    """One message that leads to a file in the run's folder, with no value in either; without a file in check mode."""
    if "OSError" not in work:
        result, record = run(tmp_path, work)
        assert result["failed"]
        assert record["error"] == result["msg"]
        assert "canary" not in str(result.get("msg"))
        path = tmp_path / "run" / "unexpected-switch.txt"
        assert str(path) in result["msg"]
        assert "canary" not in path.read_text(encoding="utf-8").replace("canaryPassword", "")
        path.unlink()
        (tmp_path / "run" / "stages" / "switch.json").unlink()
        result, record = run(tmp_path, work, check=True)
        assert "check mode" in result["msg"]
        assert not path.exists()
        assert not record
    else:
        assert run(tmp_path, work)[0]["msg"] == "switch: [Errno 5] Input/output error"


def test_record_that_cannot_be_written(tmp_path: Path) -> None:
    """The live database was replaced, and the message says so; of the report, nothing is known of the stage."""
    work = "stage.committed()\nstage.folder.path = stage.folder.path / 'gone'\nreturn Outcome(changed=True)"
    result, record = run(tmp_path, work)
    assert not record
    assert result["msg"].startswith("It has done what it was to do, but its record cannot be written: ")


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A folder's name may hold any byte."""
    result, record = run(tmp_path, "return Outcome(record={'name': b'caf\\xe9'.decode(errors='surrogateescape')})")
    assert not result.get("failed")
    assert record["name"] == "caf\udce9"


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [("dump", "verdict.judge"), ("schema_restore", "verdict.judge"), ("data_restore", "verdict.judge"), ("report", "")],
)
def test_what_a_module_does_not_load(module: str, unneeded: str) -> None:
    """Each is a process of its own: what it does without takes neither its time nor memory. report asks no server."""
    plugins = "ansible_collections.pgconvoy.migrate.plugins"
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import {plugins}.modules.{module}; print(*sys.modules)"
    command = [sys.executable, "-c", code, str(ROOT / "collections")]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert f"{plugins}.modules.{module}" in loaded
    assert (f"{plugins}.module_utils.{unneeded}" if unneeded else "psycopg") not in loaded
