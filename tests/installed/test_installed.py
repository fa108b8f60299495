# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection, built and installed: no checkout, no ansible.cfg, a user's own folder and nothing else.

INSTALLED_PYTHON names the Python to try it with, one that has ansible-core and meta/ee-requirements.txt; `make matrix`
tries several. Without it, that is the Python of the tests.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path
from unittest import mock

import ansible_runner
import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.databases import Database, untouched
from tests.playbooks import ROOT, clean_environment, without_colours

_PYTHON: t.Final = os.environ.get("INSTALLED_PYTHON", sys.executable)
_VAULT_PASSWORD: t.Final = "correct horse"
_CONTENTS: t.Final = {
    *("CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md"),
    *("ansible-navigator.yml", "execution-environment.yml"),
    *("changelogs", "docs", "meta", "playbooks", "plugins", "roles"),
}


@dataclasses.dataclass(frozen=True)
class Done:
    """How a command ended."""

    rc: int
    output: str

    def tail(self) -> str:
        """Return what was shown after the last task's heading and before the recapitulation."""
        return self.output.rpartition("\nTASK [")[2].partition("\nPLAY RECAP")[0].partition("\n")[2]


class User:
    """Somebody who has a home directory and an empty folder, and has installed the collection."""

    def __init__(self, base: Path) -> None:
        self.home = base / "home"
        self.folder = base / "work"
        self.home.mkdir()
        self.folder.mkdir()

    def do(self, command: str, *arguments: str, **environment: str) -> Done:
        """Run one of Ansible's commands in the folder."""
        path = f"{Path(_PYTHON).parent}{os.pathsep}{os.defpath}"
        process = subprocess.run(
            [_PYTHON, "-m", "ansible", command, *arguments],
            cwd=self.folder,
            # A program that runs a command in another directory leaves PWD as it is.
            env={**clean_environment(), "PATH": path, "HOME": str(self.home), "PWD": "/", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=180,
        )
        return Done(process.returncode, without_colours(process.stdout))

    def play(self, playbook: str, *arguments: str, **environment: str) -> Done:
        """Run one of the collection's playbooks on the inventory that was begun, for the sandbox."""
        own = ("-i", "my/inventory", "-l", "sandbox", "--vault-id", "sandbox@vault-password")
        return self.do("playbook", f"pgconvoy.migrate.{playbook}", *own, *arguments, **environment)

    def init(self, *arguments: str) -> Done:
        """Begin an inventory."""
        return self.do("playbook", "pgconvoy.migrate.init", "-e", "init_dir=my", *arguments)


_FILES: t.Final = tuple(
    f"--extra-vars=init_{environment}_vault_password_file=vault-password" for environment in ("sandbox", "production")
)


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the collection."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run(
        [_PYTHON, "-m", "ansible", "galaxy", "collection", "build", "--output-path", str(folder)],
        cwd=ROOT,
        env=clean_environment(),
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def user(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> User:
    """Give a user who has installed the collection and begun an inventory."""
    user = User(tmp_path_factory.mktemp("user"))
    installed = user.do("galaxy", "collection", "install", str(tarball))
    assert installed.rc == 0, installed.output
    (user.folder / "vault-password").write_text(f"{_VAULT_PASSWORD}\n", encoding="utf-8")
    begun = user.init(*_FILES)
    assert begun.rc == 0, begun.output
    return user


@pytest.fixture
def ready(user: User, source: Database, target: Database) -> User:
    """Give a user who has said where the databases are, and put the passwords into the vault."""
    variables = {**source.variables("source"), **target.variables("target")}
    vars_folder = user.folder / "my/inventory/group_vars"
    for group, side in (("all", "source"), ("sandbox", "target")):
        path = vars_folder / group / "main.yml"
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        told |= {
            name: value
            for name, value in variables.items()
            if name.startswith(f"{side}_") and not name.endswith("_password")
        }
        path.write_text(yaml.safe_dump(told), encoding="utf-8")
    secrets = {f"vault_{side}_password": variables[f"{side}_password"] for side in ("source", "target")}
    lib = VaultLib([("sandbox", VaultSecret(_VAULT_PASSWORD.encode()))])
    (vars_folder / "sandbox/vault.yml").write_bytes(lib.encrypt(yaml.safe_dump(secrets), vault_id="sandbox"))
    return user


def test_tarball_holds_what_users_need(tarball: Path) -> None:
    """No test, no environment, no tool's leavings, and no link: what else lies in the checkout is nobody's business."""
    with tarfile.open(tarball) as archive:
        members = archive.getmembers()
    assert {member.name.partition("/")[0] for member in members} <= _CONTENTS
    assert {"meta/runtime.yml", "meta/execution-environment.yml", "playbooks/migrate.yml"} <= {m.name for m in members}
    assert not [member.name for member in members if member.issym() or member.islnk()]
    assert not [member.name for member in members if "__pycache__" in member.name or "vault" in Path(member.name).name]


def test_migration(ready: User, source: Database, target: Database) -> None:
    """It works, its last lines say what it came to, and the second time there is nothing to do."""
    assert "config file = None" in ready.do("playbook", "--version").output
    first = ready.play("migrate")
    assert first.rc == 0, first.output
    assert target.contents() == source.contents()
    told = first.tail().splitlines()
    assert told[0].startswith("Table ")
    assert [line for line in told if "| DIFFERENT" in line] == []
    assert re.fullmatch(r"sandbox-db: migrated: .*, all equal", told[-3])
    report = Path(told[-2].removeprefix("Report: "))
    assert report.is_file()
    assert told[-1] == "ok: [sandbox-db]"
    # Where the inventory says, and nowhere else.
    assert report.resolve().is_relative_to(ready.folder / "my/runs")
    assert {path.name for path in ready.folder.iterdir()} == {"my", "vault-password"}

    again = ready.play("migrate")
    assert again.rc == 0, again.output
    assert "changed=0" in again.output
    assert "sandbox-db: unchanged: there was nothing to do" in again.tail()

    verified = ready.play("verify", ANSIBLE_STDOUT_CALLBACK="ansible.builtin.minimal")
    assert verified.rc == 0, verified.output
    assert verified.output.count("| Source | Target | Status") == 1
    assert len(re.findall("^sandbox-db: equal: .*, all equal$", verified.output, re.MULTILINE)) == 1


def test_folders_where_the_command_is_typed(ready: User) -> None:
    """Without a word about them, dumps and reports lie where the user is, not among the installed collections."""
    path = ready.folder / "my/inventory/group_vars/all/main.yml"
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    without = {name: value for name, value in told.items() if name not in ("archive_root", "runs_root")}
    path.write_text(yaml.safe_dump(without), encoding="utf-8")
    dumped = ready.play("dump")
    assert dumped.rc == 0, dumped.output
    assert (ready.folder / "runs/sandbox-db/latest/report.html").is_file()
    (archive,) = (ready.folder / "archives/sandbox-db").iterdir()
    # By a path of the user's, too.
    restored = ready.play("restore", "-e", f"archive={archive.relative_to(ready.folder)}", "-e", "runs_root=other")
    assert restored.rc == 0, restored.output
    assert (ready.folder / "other/sandbox-db/latest/report.html").is_file()


def test_misspelt_variable(ready: User, source: Database, target: Database) -> None:
    """It is refused before anything is done, and the nearest one is named; what is the user's own is not."""
    with untouched(source, target):
        refused = ready.play("migrate", "-e", "taget_host=elsewhere", "-e", "target_hosts=mine", "-e", "load_mod=swap")
    assert refused.rc == 2
    assert "taget_host (did you mean target_host?)" in refused.tail()
    assert "load_mod (did you mean load_mode?)" in refused.tail()
    assert "target_hosts" not in refused.output
    assert "pgconvoy.migrate.preflight" not in refused.output


def test_variable_that_is_no_number(ready: User, source: Database, target: Database) -> None:
    """Values are checked at the start of a play, too, whatever role would use them."""
    with untouched(source, target):
        refused = ready.play("migrate", "-e", "keep_previous=many")
    assert refused.rc == 2
    assert "keep_previous" in refused.tail()
    assert "pgconvoy.migrate.preflight" not in refused.output


def test_python_without_the_driver(ready: User) -> None:
    """Whoever has not installed what the modules need is told its name."""
    bare = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    if subprocess.run([bare, "-c", "import psycopg"], capture_output=True, check=False).returncode == 0:
        pytest.skip(f"{bare} has the driver")
    refused = ready.play("migrate", "-e", f"ansible_python_interpreter={bare}")
    assert refused.rc == 2
    assert "Failed to import the required Python library (psycopg and msgspec)" in refused.output


def test_init_again(user: User) -> None:
    """What the user has written since is left alone, and nothing is asked."""
    hosts = user.folder / "my/inventory/hosts.yml"
    hosts.write_text(hosts.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in (user.folder / "my/inventory").rglob("*") if path.is_file()}
    again = user.init()
    assert again.rc == 0, again.output
    assert "changed=0" in again.output
    assert {path: path.read_bytes() for path in before} == before


def test_init_makes_vaults_of_their_own(user: User) -> None:
    """Each opens by its password, holds the names that are to be filled in, and is for its owner alone."""
    vault = user.folder / "my/inventory/group_vars/production/vault.yml"
    assert vault.read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;production\n")
    assert vault.stat().st_mode & 0o777 == 0o600
    lib = VaultLib([("production", VaultSecret(_VAULT_PASSWORD.encode()))])
    assert yaml.safe_load(lib.decrypt(vault.read_bytes())) == {"vault_source_password": "", "vault_target_password": ""}


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({"my/inventory/hosts": "[sandbox]\n"}, _FILES, "which pgconvoy has not begun"),
        ({}, (), "There is no vault password for sandbox, and so no vault was written"),
        ({"vault-password": "\n"}, _FILES, "There is no vault password for sandbox, and so no vault was written"),
    ],
)
def test_init_refuses(
    user: User, tmp_path: Path, files: dict[str, str], arguments: tuple[str, ...], message: str
) -> None:
    """What somebody else has written is not mixed with ours, and no vault is ever written in plain text."""
    other = User(tmp_path)
    (other.home / ".ansible").symlink_to(user.home / ".ansible")
    for name, text in ({"vault-password": f"{_VAULT_PASSWORD}\n"} | files).items():
        path = other.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    refused = other.init(*arguments)
    assert refused.rc == 2, refused.output
    assert message in refused.output
    assert not list(other.folder.rglob("vault.yml"))
    assert "my/inventory/hosts" not in files or [*other.folder.rglob("*.yml")] == []


def test_init_refuses_a_vault_in_plain_text(user: User) -> None:
    """Whoever has written passwords where a vault should be is told so."""
    vault = user.folder / "my/inventory/group_vars/production/vault.yml"
    encrypted = vault.read_bytes()
    vault.write_text("vault_target_password: secret\n", encoding="utf-8")
    try:
        refused = user.init()
    finally:
        vault.write_bytes(encrypted)
    assert refused.rc == 2
    assert "is not encrypted" in refused.output
    assert "secret\n" not in refused.output


def test_check_of_init_writes_nothing(user: User, tmp_path: Path) -> None:
    """And asks nothing."""
    done = user.do("playbook", "pgconvoy.migrate.init", "-e", f"init_dir={tmp_path}/new", "--check")
    assert done.rc == 0, done.output
    assert "changed=" in done.output
    assert not (tmp_path / "new").exists()


_with_runner = pytest.mark.skipif(sys.executable != _PYTHON, reason="ansible-runner belongs to the tests' own Python")


@_with_runner
def test_init_asks_at_a_terminal(user: User, tmp_path: Path) -> None:
    """Each vault opens by what was typed for it, which nobody else sees."""
    typed = {"sandbox": "wrong horse", "production": "right battery"}
    (tmp_path / "runner").mkdir()
    with mock.patch.dict(os.environ, {**clean_environment(), "HOME": str(user.home)}, clear=True):
        runner = ansible_runner.run(
            private_data_dir=str(tmp_path / "runner"),
            playbook="pgconvoy.migrate.init",
            inventory="localhost,",
            extravars={"init_dir": str(tmp_path / "new")},
            passwords={f"Choose the vault password of {name}": password for name, password in typed.items()},
            cmdline="-vv",
            quiet=True,
            suppress_env_files=True,
            settings={"idle_timeout": 120},
        )
    assert isinstance(runner, ansible_runner.Runner)
    output = runner.stdout.read()
    assert runner.rc == 0, output
    for name, password in typed.items():
        vault = (tmp_path / f"new/inventory/group_vars/{name}/vault.yml").read_bytes()
        assert VaultLib([(name, VaultSecret(password.encode()))]).decrypt(vault)
        assert password not in output


@_with_runner
def test_unattended(ready: User, source: Database, target: Database) -> None:
    """The script of docs/unattended.md tells the result by its output and exit status, and records no password."""
    script = re.search(r"^```python\n(.*?)^```$", (ROOT / "docs/unattended.md").read_text(), re.MULTILINE | re.DOTALL)
    assert script
    (ready.folder / "nightly.py").write_text(script[1], encoding="utf-8")

    def run() -> Done:
        done = subprocess.run(
            [sys.executable, "nightly.py"],
            cwd=ready.folder,
            env={**clean_environment(), "HOME": str(ready.home), "SECRET": "canary"},
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        return Done(done.returncode, done.stdout + done.stderr)

    different = run()
    assert different.rc == 2, different.output
    assert different.output.startswith("sandbox-db: different: ")

    moved = ready.play("migrate")
    assert moved.rc == 0, moved.output
    equal = run()
    assert equal.rc == 0, equal.output
    assert re.fullmatch(rf"sandbox-db: equal: .*, all equal \({ready.folder}/.*\)\n", equal.output)

    records = [path.read_text(errors="replace") for path in (ready.folder / "runner").rglob("*") if path.is_file()]
    assert any("all equal" in text for text in records)
    for secret in (source.server.password, target.server.password, _VAULT_PASSWORD, "canary"):
        assert not any(secret in text for text in records)
    assert (ready.folder / "runner").stat().st_mode & 0o777 == 0o700
