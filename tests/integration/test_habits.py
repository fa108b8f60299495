# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people who know Ansible type before anything else; no server is reached."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.playbooks import ROOT, clean_environment, without_colours

_PLAYBOOKS: t.Final = ("dump", "migrate", "rehearse", "repair", "restore", "rollback", "verify")


def _type(*arguments: str, inventory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook in the checkout, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", f"--inventory={inventory}", *arguments],
        cwd=ROOT,
        env={**clean_environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Write an inventory whose servers nobody could reach, with a value that stops each run at its beginning."""
    path = tmp_path / "inventory.json"
    groups: dict[str, t.Any] = {group: {"hosts": {f"{group}-db": {}}} for group in ("sandbox", "production")}
    path.write_text(json.dumps({"all": {"vars": {"fk_strategy": "written"}, "children": groups}}), encoding="utf-8")
    return path


def test_syntax(inventory: Path) -> None:
    """Of all playbooks, without a vault or a server."""
    done = _type("--syntax-check", *(f"playbooks/{name}.yml" for name in _PLAYBOOKS), inventory=inventory)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("playbook: ") == len(_PLAYBOOKS)


def test_list_tasks(inventory: Path) -> None:
    """Each task has a name that says what happens, the gate stands before all that writes, and the report last."""
    done = _type("--list-tasks", "migrate.yml", inventory=inventory)
    assert done.returncode == 0, done.stdout
    tasks = re.findall(r"^      pgconvoy\.migrate\.(\w+) : (.+)\tTAGS: \[(.*)\]$", done.stdout, re.MULTILINE)
    named = [(role, name) for role, name, _tags in tasks if not name.startswith("Validating arguments")]
    roles = [role for role, _name in named]
    assert named[-1] == ("report", "Say what the run came to")
    assert roles.index("confirm") < min(roles.index(role) for role in ("dump", "schema_restore", "replace", "switch"))
    # No task without a name: Ansible would show the name of its module.
    assert [name for _role, name in named if not name[0].isupper() or "." in name] == []
    # A role's arguments are not checked once more when it begins; that takes as long as any other task.
    checked = {role for role, name, _tags in tasks if name.startswith("Validating arguments")}
    assert checked == {"run", "connection", "settings"}


def test_list_tags(inventory: Path) -> None:
    """There are none to choose from, since a part of a run proves nothing."""
    done = _type("--list-tags", "migrate.yml", inventory=inventory)
    assert "TASK TAGS: [always]" in done.stdout


@pytest.mark.parametrize(
    ("limit", "hosts"),
    [("sandbox", ["sandbox-db"]), ("all:!production", ["sandbox-db"]), ("*-db", ["production-db", "sandbox-db"])],
)
def test_host_patterns(inventory: Path, limit: str, hosts: list[str]) -> None:
    """They choose as anywhere else."""
    done = _type("--list-hosts", f"--limit={limit}", "migrate.yml", inventory=inventory)
    assert sorted(re.findall(r"^      ([\w-]+-db)$", done.stdout, re.MULTILINE)) == hosts


def test_limit_that_names_nobody(inventory: Path) -> None:
    """A slip in it is no success."""
    done = _type("--limit=snadbox", "migrate.yml", inventory=inventory)
    assert done.returncode == 1
    assert "no hosts to target" in done.stdout


@pytest.mark.parametrize(
    ("environment", "beginning"),
    [
        ({}, "fatal: [sandbox-db]: FAILED! =>"),
        ({"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal"}, "sandbox-db | FAILED! =>"),
        ({"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}, "fatal: [sandbox-db]: FAILED! =>"),
    ],
    ids=["default", "minimal", "json"],
)
def test_another_callback(inventory: Path, environment: dict[str, str], beginning: str) -> None:
    """Whatever draws the terminal, the reason is there, and the last result has it."""
    done = _type("--limit=sandbox", "-v", "migrate.yml", inventory=inventory, **environment)
    assert done.returncode == 2
    last = without_colours(done.stdout).rpartition(beginning)[2]
    assert "fk_strategy must be one of" in last


def test_extra_variable_wins(inventory: Path) -> None:
    """Over the inventory's, which stops the run as well, but by another word."""
    done = _type("--limit=sandbox", "-e", "fk_strategy=typed", "migrate.yml", inventory=inventory)
    assert done.returncode == 2
    assert "got: typed" in done.stdout
    assert "got: written" not in done.stdout


@pytest.mark.parametrize("place", ["host_vars/sandbox-db", "group_vars/sandbox", "group_vars/all/vault", "-e", "-e @"])
def test_misspelt_variable_is_named_wherever_it_is_set(tmp_path: Path, place: str) -> None:
    """In the inventory's files, in a vault, and on the command line, where Ansible lets a dash pass, too."""
    names = {"load_node": "load_mode", "target_db": "target_dbname", "target_username": "target_user"}
    names |= {"exclude-tables": "exclude_tables"} if place.startswith("-e") else {}
    text = json.dumps(dict.fromkeys(names, "x"))
    (tmp_path / "hosts.yml").write_text("{sandbox: {hosts: {sandbox-db: {target_hosts: mine}}}}", encoding="utf-8")
    (tmp_path / "password").write_text("opens", encoding="utf-8")
    arguments = [f"--vault-id=sandbox@{tmp_path}/password"]
    if place == "-e":
        arguments += [place, text]
    else:
        path = tmp_path / ("extra.yml" if place == "-e @" else f"{place}.yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        vault = VaultLib([("sandbox", VaultSecret(b"opens"))])
        path.write_bytes(vault.encrypt(text, vault_id="sandbox") if "vault" in place else text.encode())
        arguments += ["-e", f"@{path}"] if place == "-e @" else []
    done = _type(*arguments, "migrate.yml", inventory=tmp_path / "hosts.yml")
    assert done.returncode == 2
    told = " ".join(without_colours(done.stdout).split())
    named = re.findall(r"([\w-]+) \(did you mean (\w+)\?\)", told.rpartition("Nothing was changed")[2])
    assert named == sorted(names.items())
    assert "pgconvoy.migrate.preflight" not in told


def test_sample_of_an_environment_is_of_this_version() -> None:
    """The tarball that it takes is the one that is built, and the metadata names files that are there."""
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    sample = yaml.safe_load((ROOT / "execution-environment.yml").read_text(encoding="utf-8"))
    (brought,) = sample["additional_build_files"]
    assert brought["src"] == f"pgconvoy-migrate-{version}.tar.gz"
    (copied,) = sample["additional_build_steps"]["prepend_galaxy"]
    (wanted,) = sample["dependencies"]["galaxy"]["collections"]
    assert copied == f"COPY _build/{brought['dest']}/{brought['src']} {wanted['name']}"
    needed = yaml.safe_load((ROOT / "meta/execution-environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert all((ROOT / path).is_file() for path in needed.values())
