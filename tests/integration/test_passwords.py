# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords that look like something else, in a vault as docs/runbooks/passwords.md says."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.databases import Database, role
from tests.playbooks import Controller

_ODD: t.Final = (
    r"""it's a "quoted" back\slash\n\\""",
    "before{{ x }}after",
    "{% raw %}{# not said #}",
    "!vault",
    "@home: %first",
    "  blanks around  ",
    "pässwörd-密码-🔑",
    "yes",
    "0123_4",
    "half # of it",
)
#: Of all hosts at once, and without a report: a run of its own for each would take long.
_EXAMINE: t.Final = """
- hosts: sandbox
  gather_facts: false
  roles: [pgconvoy.migrate.preflight]
  vars: {preflight_goal: dump}
"""


def _as_documented(password: str) -> str:
    """Write a password into a vault as the runbook has it, whatever it is."""
    quoted = "'" + password.replace("'", "''") + "'"
    return f"!unsafe {quoted}" if "{" in password else quoted


def _write_vault(controller: Controller, variables: dict[str, str]) -> str:
    """Write an encrypted file of variables for all hosts; return the option that opens it."""
    text = "".join(f"{name}: {value}\n" for name, value in variables.items())
    path = controller.folder / "group_vars/sandbox/vault.yml"
    path.parent.mkdir(parents=True)
    path.write_bytes(VaultLib([("sandbox", VaultSecret(b"open"))]).encrypt(text, vault_id="sandbox"))
    secret = controller.folder / "vault-password"
    secret.write_text("open\n", encoding="ascii")
    return f"--vault-id=sandbox@{secret}"


def _add_host(controller: Controller, source: Database, number: int, **variables: object) -> None:
    password = f"{{{{ vault_password_{number} }}}}"
    controller.add_host(
        "sandbox", source.variables("source"), name=f"host{number}", **{"source_password": password} | variables
    )


@pytest.fixture
def readers(source: Database) -> t.Iterator[None]:
    """Give a role for each odd password, which may read everything: reader0, reader1, ..."""
    with contextlib.ExitStack() as stack:
        for number, password in enumerate(_ODD):
            stack.enter_context(role(source.server, f"reader{number}", "SUPERUSER", password))
        yield


@pytest.mark.usefixtures("readers")
def test_odd_passwords(controller: Controller, source: Database) -> None:
    """As the runbook has them written, they open the server, psql too, and show up nowhere."""
    written = {f"vault_password_{number}": _as_documented(password) for number, password in enumerate(_ODD)}
    opener = _write_vault(controller, written)
    for number in range(len(_ODD)):
        _add_host(controller, source, number, source_user=f"reader{number}")
    playbook = controller.folder / "examine.yml"
    playbook.write_text(_EXAMINE, encoding="ascii")
    run = controller.run(str(playbook), opener)
    assert run.rc == 0, run.output
    assert len(run.folders) == len(_ODD)
    # Those that are words are no secret that could be kept.
    shown = [run.output, repr(run.events), *_texts(controller.folder)]
    assert not [text for text in shown for password in _ODD[:-3] if password.strip() in text]


def test_eaten_password(controller: Controller, source: Database) -> None:
    """What is not the text that was typed is told as such, by name and not by value, before anything is reached."""
    opener = _write_vault(controller, {"vault_password_0": "'before{{ x }}after'"})
    _add_host(controller, source, 0, source_port=1)
    message = controller.refuse("playbooks/dump.yml", opener)
    assert "Nothing was changed: vault_password_0 is taken for a template, and is not the password" in message
    assert "between single quotes" in message
    assert "after" not in message


def test_password_that_is_nothing(controller: Controller, source: Database) -> None:
    """The server asks for one, and the message says that there is none."""
    opener = _write_vault(controller, {"vault_password_0": "#all of it"})
    _add_host(controller, source, 0)
    message = controller.refuse("playbooks/dump.yml", opener)
    assert "source_password is empty, or not set" in message


def _texts(folder: Path) -> list[str]:
    inventory = folder / "inventory.json"
    return [path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file() and path != inventory]
