# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab, brought up and taken down as its users do it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import typing as t
from pathlib import Path
from unittest import mock

import ansible_runner
import psycopg
import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import wheel_bindir
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import Server

from tests.playbooks import ROOT, clean_environment, command_lines, wait_until

_POSTGRES_15: t.Final = "/usr/lib/postgresql/15/bin"
_SECRETS: t.Final = ("source/password", "target/password", "vault-password")


class Lab:
    """A lab of a test's own."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "lab"
        self.records = base / "records"
        self.records.mkdir()
        self.output = base / "output"
        self.commands: set[str] = set()

    def play(self, *, check: bool = False, **variables: str) -> ansible_runner.Runner:
        """Run playbooks/lab.yml to its end, whatever that is."""
        with mock.patch.dict(os.environ, clean_environment(), clear=True):
            runner = ansible_runner.run(
                private_data_dir=str(self.records),
                project_dir=str(ROOT),
                playbook="playbooks/lab.yml",
                inventory="localhost,",
                extravars={"lab_dir": str(self.folder), **variables},
                cmdline="--check" if check else None,
                quiet=True,
                suppress_env_files=True,
                settings={"idle_timeout": 60},
            )
        assert isinstance(runner, ansible_runner.Runner)
        return runner

    def succeed(self, *, check: bool = False, **variables: str) -> bool:
        """Run playbooks/lab.yml successfully; return whether it changed anything."""
        runner = self.play(check=check, **variables)
        assert runner.status == "successful", runner.stdout.read()
        assert runner.stats["processed"] == {"localhost": 1}
        return bool(runner.stats["changed"])

    def bring_up_watched(self) -> None:
        """Bring the lab up with everything told, and collect the command lines of all processes meanwhile."""
        program = [sys.executable, "-m", "ansible", "playbook", "-vvvv", "--diff", "--inventory=localhost,"]
        with (
            self.output.open("w") as output,
            subprocess.Popen(
                [*program, f"--extra-vars=lab_dir={self.folder}", "playbooks/lab.yml"],
                cwd=ROOT,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as playbook,
        ):
            while playbook.poll() is None:
                self.commands.update(command_lines().values())
        assert playbook.returncode == 0, self.output.read_text()

    def variables(self, environment: str) -> dict[str, t.Any]:
        """Return what the inventory says of an environment's host."""
        inventory = yaml.safe_load((self.folder / "inventory.yml").read_text())
        variables: dict[str, t.Any] = inventory["all"]["children"][environment]["hosts"][f"{environment}-db"]
        return variables

    def query(self, environment: str, side: t.Literal["source", "target"], query: str) -> list[tuple[t.Any, ...]]:
        """Ask the source or the target of an environment, connecting as the inventory says."""
        variables = self.variables(environment)
        parameters = {
            name: variables[f"{side}_{name}"] for name in ("host", "port", "dbname", "user", "password", "sslmode")
        }
        with psycopg.connect(**parameters) as connection:
            return connection.execute(query).fetchall()

    def secrets(self) -> list[str]:
        """Return all passwords of the lab."""
        return [(self.folder / name).read_text().strip() for name in _SECRETS]

    def servers(self) -> list[int]:
        """Return the process ids of the running servers."""
        return [
            pid for pid, command in command_lines().items() if f"{self.folder}/" in command and "/postgres " in command
        ]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Lab]:
    """Give a lab that is up, brought up before many eyes; each test may rely on that, and leaves it so."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    try:
        lab.bring_up_watched()
        yield lab
    finally:
        lab.succeed(lab_state="absent")


@pytest.fixture
def fresh_lab(tmp_path: Path) -> t.Iterator[Lab]:
    """Give a lab that is not there yet."""
    lab = Lab(tmp_path)
    yield lab
    if lab.folder.exists():
        lab.succeed(lab_state="absent")


def test_source_holds_the_sample(lab: Lab) -> None:
    counts = """SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM positions),
        (SELECT count(*) FROM position_market_betas), (SELECT count(*) FROM position_factor_exposures)"""
    assert lab.query("sandbox", "source", counts) == [(3, 76, 114, 29262)]


def test_sandbox_is_an_empty_database_of_a_superuser(lab: Lab) -> None:
    facts = """SELECT current_database(), current_user::text, current_setting('is_superuser'),
        (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
        current_setting('server_encoding'), (SELECT datcollate FROM pg_database WHERE datname = current_database())"""
    assert lab.query("sandbox", "target", facts) == [("sandbox", "postgres", "on", 0, "UTF8", "C.UTF-8")]


def test_production_keeps_its_password_in_a_vault(lab: Lab) -> None:
    assert lab.variables("production")["target_password"] == "{{ vault_target_password }}"
    assert lab.variables("production")["confirm_phrase"] == "MIGRATE PRODUCTION"
    vault = (lab.folder / "group_vars/production/vault.yml").read_bytes()
    assert vault.startswith(b"$ANSIBLE_VAULT;1.2;AES256;production\n")
    key = VaultSecret((lab.folder / "vault-password").read_bytes().strip())
    opened = yaml.safe_load(VaultLib([("production", key)]).decrypt(vault))
    assert opened == {"vault_target_password": (lab.folder / "target/password").read_text()}


def test_secrets_are_readable_for_their_owner_only(lab: Lab) -> None:
    secret = [*_SECRETS, "inventory.yml", "group_vars/production/vault.yml"]
    assert {name: oct((lab.folder / name).stat().st_mode & 0o777) for name in secret} == dict.fromkeys(secret, "0o600")
    assert lab.folder.stat().st_mode & 0o777 == 0o700


def test_no_password_is_shown(lab: Lab) -> None:
    output = lab.output.read_text()
    assert "Write the inventory" in output
    assert any("initdb" in command for command in lab.commands)
    for secret in lab.secrets():
        assert len(secret) == 32
        assert secret not in output
        assert not [command for command in lab.commands if secret in command]


def test_servers_want_a_password_and_listen_on_loopback_only(lab: Lab) -> None:
    for side in ("source", "target"):
        settings = "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories')"
        assert lab.query("sandbox", side, settings) == [("127.0.0.1", "")]
        rules = "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
        assert lab.query("sandbox", side, rules) == [("scram-sha-256",)]


def test_second_run_changes_nothing(lab: Lab) -> None:
    before = lab.servers()
    assert not lab.succeed()
    assert not lab.succeed(check=True)
    assert lab.servers() == before


def test_check_of_taking_down_takes_nothing_down(lab: Lab) -> None:
    before = lab.servers()
    assert lab.succeed(check=True, lab_state="absent")
    assert lab.servers() == before


def test_killed_server_starts_again_with_its_data(lab: Lab) -> None:
    children = lab.query("sandbox", "source", "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    postmaster = int((lab.folder / "source/data/postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    gone = {postmaster, *(pid for (pid,) in children)}
    wait_until(lambda: not gone & command_lines().keys())
    assert lab.succeed()
    assert lab.query("sandbox", "source", "SELECT count(*) FROM positions") == [(76,)]
    assert not lab.succeed()


def test_lost_database_comes_back_empty(lab: Lab) -> None:
    variables = lab.variables("sandbox")
    with psycopg.connect(
        host=variables["target_host"],
        port=variables["target_port"],
        dbname="postgres",
        user=variables["target_user"],
        password=variables["target_password"],
        autocommit=True,
    ) as connection:
        connection.execute("DROP DATABASE sandbox")
    assert lab.succeed()
    assert lab.query("sandbox", "target", "SELECT current_database()") == [("sandbox",)]


def test_down_leaves_nothing(fresh_lab: Lab) -> None:
    assert not fresh_lab.succeed(lab_state="absent")
    assert fresh_lab.succeed(check=True)
    assert not fresh_lab.folder.exists()
    fresh_lab.succeed()
    assert len(fresh_lab.servers()) == 2
    assert fresh_lab.succeed(lab_state="absent")
    assert not fresh_lab.folder.exists()
    wait_until(lambda: not fresh_lab.servers())
    assert not fresh_lab.succeed(lab_state="absent")


def test_programs_and_data_may_lie_in_a_private_folder(tmp_path: Path) -> None:
    """As in a clone, with its .venv, below /root: for root's servers run as another user."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    package = wheel_bindir().parents[1]
    # The package and the libraries that belong to it.
    for part in package.parent.glob(f"{package.name}*"):
        shutil.copytree(part, private / part.name)
    server = Server(private / "server", private / package.name / "pginstall/bin")
    server.create()
    server.start()
    try:
        assert server.is_running()
    finally:
        server.stop()
        shutil.rmtree(private)


@pytest.mark.skipif(not Path(_POSTGRES_15).exists(), reason=f"PostgreSQL 15 is not installed ({_POSTGRES_15})")
def test_servers_of_other_majors(fresh_lab: Lab) -> None:
    assert fresh_lab.succeed(lab_source_bindir=_POSTGRES_15)
    version = "SELECT current_setting('server_version_num')::int / 10000"
    assert fresh_lab.query("sandbox", "source", version) == [(15,)]
    assert fresh_lab.query("sandbox", "target", version) == [(18,)]
    assert not fresh_lab.succeed(lab_source_bindir=_POSTGRES_15)

    other = fresh_lab.play()
    assert other.status == "failed"
    assert "was made by PostgreSQL 15" in other.stdout.read()
    assert fresh_lab.query("sandbox", "source", version) == [(15,)]


def test_foreign_folder_is_left_alone(fresh_lab: Lab) -> None:
    fresh_lab.folder.mkdir()
    treasure = fresh_lab.folder / "treasure"
    treasure.write_text("mine")
    for state in ("present", "absent"):
        refused = fresh_lab.play(lab_state=state)
        assert refused.status == "failed"
        assert "is not a lab" in refused.stdout.read()
    assert treasure.read_text() == "mine"
    shutil.rmtree(fresh_lab.folder)
