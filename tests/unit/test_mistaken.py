# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords that YAML or Ansible takes for something else than was typed, and those that they do not."""

from __future__ import annotations

import re
import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.pgconvoy.migrate.plugins.lookup.mistaken import LookupModule

from tests.playbooks import ROOT

_INVENTORY: t.Final = trust_as_template("{{ vault_password }}")
_TEMPLATE: t.Final = ["vault_password is taken for a template"]
_TYPED: t.Final = ["vault_password is taken for a number, a date, a truth value or a list"]


def _told(**variables: object) -> list[str]:
    lookup = LookupModule(loader=DataLoader(), templar=Templar(DataLoader(), variables))
    told: list[str] = lookup.run(["password", "other_password"], variables=variables)
    return told


def _in_vault(written: str) -> list[str]:
    """Return what is told of a vault's value as YAML has it."""
    vault = DataLoader().load(trust_as_template(f"vault_password: {written}"))
    return _told(password=_INVENTORY, password_of_all="secret", **vault)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("'before{{ x }}after'", _TEMPLATE),
        ("'{{ typed }}'", _TEMPLATE),
        ("'{{ 7 * 7 }}'", _TEMPLATE),
        ("'{{ a b }}'", _TEMPLATE),
        ("'a{# said to nobody #}b'", _TEMPLATE),
        ("'{% raw %}x'", _TEMPLATE),
        ("'{{ begun'", _TEMPLATE),
        ("yes", _TYPED),
        ("!unsafe 'yes'", _TYPED),
        ("0123", _TYPED),
        ("1_000", _TYPED),
        ("1.5", _TYPED),
        ("2026-11-27", _TYPED),
        ("[a, b]", _TYPED),
        ("{a: b}", _TYPED),
    ],
)
def test_mistaken(written: str, told: list[str]) -> None:
    assert _in_vault(written) == told


@pytest.mark.parametrize(
    "written",
    [
        "plain",
        "'yes'",
        "'0123'",
        "!unsafe '{{ x }}'",
        "!unsafe 'a{%b'",
        "'a } b { c'",
        "~",
        "''",
        "'{{ password_of_all }}'",
    ],
)
def test_as_typed(written: str) -> None:
    """What is nothing at all, the server tells."""
    assert _in_vault(written) == []


def test_template_that_is_meant() -> None:
    """One that the inventory has in the variable itself, whatever comes of it; Ansible tells what is undefined."""
    assert _told(password=trust_as_template("{{ lookup('ansible.builtin.env', 'SECRET') }}")) == []
    assert _told(password=trust_as_template("{{ nowhere }}")) == []
    assert _told(password=trust_as_template("{{ a }}-{{ b }}"), a="x", b="y") == ["password is taken for a template"]


def test_circle() -> None:
    """Ansible tells of it."""
    assert _told(password=trust_as_template("{{ again }}"), again=trust_as_template("{{ password }}")) == []


def test_example_of_the_runbook() -> None:
    """It is what it says, to the letter."""
    page = (ROOT / "docs/runbooks/passwords.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(vault_source.*?)^```", page, re.MULTILINE | re.DOTALL)
    vault = DataLoader().load(trust_as_template(example))
    assert vault == {"vault_source_password": 'it\'s # 100% \\ "mine"', "vault_target_password": ":jT{%D{y"}
    for name, value in vault.items():
        assert _told(password=trust_as_template(f"{{{{ {name} }}}}"), **{name: value}) == []
