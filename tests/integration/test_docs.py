# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is documented is there, and what is there is documented."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t

import pytest
import yaml

from tests.playbooks import ROOT, clean_environment

_MODULES: t.Final = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
_ROLES: t.Final = sorted(path.name for path in (ROOT / "roles").iterdir())
#: It documents the inventory's variables; its defaults are the connections that are made of them.
_CONNECTION: t.Final = "connection"


def _ansible_doc(kind: str, *names: str) -> dict[str, t.Any]:
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "doc", "--json", "--type", kind, *(f"pgconvoy.migrate.{n}" for n in names)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    shown = json.loads(done.stdout)
    assert isinstance(shown, dict)
    return shown


@pytest.fixture(scope="module")
def modules() -> dict[str, t.Any]:
    """Return what ansible-doc says of all modules at once: a call takes a second."""
    return _ansible_doc("module", *_MODULES)


@pytest.mark.parametrize("name", _MODULES)
def test_module_is_documented(modules: dict[str, t.Any], name: str) -> None:
    """It has a description, examples that use it, what it returns, and says how it does in check mode."""
    shown = modules[f"pgconvoy.migrate.{name}"]
    assert shown["doc"]["description"]
    assert all(option["description"] for option in shown["doc"]["options"].values())
    assert {"check_mode", "diff_mode", "idempotent"} <= shown["doc"]["attributes"].keys()
    assert shown["return"]
    examples = yaml.safe_load(shown["examples"])
    assert examples
    for task in examples:
        # An option that does not exist, or a missing one, would be an example of nothing.
        options = task[f"pgconvoy.migrate.{name}"]
        required = {option for option, spec in shown["doc"]["options"].items() if spec.get("required")}
        assert required <= options.keys() <= shown["doc"]["options"].keys()


def test_every_role_is_shown() -> None:
    """With a summary, at least."""
    shown = _ansible_doc("role", *_ROLES)
    assert shown.keys() == {f"pgconvoy.migrate.{name}" for name in _ROLES}
    for role in shown.values():
        assert role["entry_points"]["main"]["short_description"]
        assert role["entry_points"]["main"]["description"]


@pytest.mark.parametrize("name", _ROLES)
def test_role_s_arguments_are_its_defaults(name: str) -> None:
    """Each argument has a description and a default, unless it is required, and each default is an argument."""
    specification = yaml.safe_load((ROOT / f"roles/{name}/meta/argument_specs.yml").read_text(encoding="utf-8"))
    options = specification["argument_specs"]["main"]["options"]
    text = (ROOT / f"roles/{name}/defaults/main.yml").read_text(encoding="utf-8")
    defaults = yaml.safe_load(text)
    assert all(option["description"] for option in options.values())
    if name == _CONNECTION:
        assert options.keys() == set(re.findall(r"\b(?:source|target)_\w+", text))
        return
    assert all(variable.startswith(f"{name}_") for variable in defaults)
    assert options.keys() == defaults.keys() | {key for key, option in options.items() if option.get("required")}
    for variable, option in options.items():
        if "default" in option:
            assert defaults[variable] == option["default"], variable


def test_readme_s_targets_exist() -> None:
    """Each command of make that the README tells is one of the Makefile's targets."""
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("there is no README yet")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    told = set(re.findall(r"^\s*(?:\$ )?make ([a-z-]+)", readme.read_text(encoding="utf-8"), re.MULTILINE))
    assert told
    assert told <= targets


def test_readme_s_playbooks_exist() -> None:
    """Each playbook that the README names is there."""
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("there is no README yet")
    told = set(re.findall(r"\b(?:playbooks/)?[a-z]+\.yml\b", readme.read_text(encoding="utf-8")))
    playbooks = {name for name in told if name == "migrate.yml" or name.startswith("playbooks/")}
    assert playbooks
    assert not [name for name in playbooks if not (ROOT / name).is_file()]
