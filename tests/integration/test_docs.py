# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is documented is there, and what is there is documented."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
import typing as t

import pytest
import yaml
from packaging.requirements import Requirement

from tests.playbooks import ROOT, clean_environment

_MODULES: t.Final = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
_LOOKUPS: t.Final = sorted(path.stem for path in (ROOT / "plugins/lookup").glob("*.py"))
_ROLES: t.Final = sorted(path.name for path in (ROOT / "roles").iterdir())
#: It documents the inventory's variables; its defaults are the connections that are made of them.
_CONNECTION: t.Final = "connection"
#: It documents the inventory's variables of each playbook, by an entry point of its name.
_VARIABLES: t.Final = "variables"
_PLAYBOOKS: t.Final = {"migrate", "dump", "restore", "verify", "rehearse", "repair", "rollback"}


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


def test_every_lookup_is_documented() -> None:
    """With examples and what it returns."""
    for shown in _ansible_doc("lookup", *_LOOKUPS).values():
        assert shown["doc"]["description"]
        assert shown["return"]
        assert yaml.safe_load(shown["examples"])


def test_every_role_is_shown() -> None:
    """With a summary, at least."""
    shown = _ansible_doc("role", *_ROLES)
    assert shown.keys() == {f"pgconvoy.migrate.{name}" for name in _ROLES}
    for role in shown.values():
        for entry_point in role["entry_points"].values():
            assert entry_point["short_description"]
            assert entry_point["description"]
    assert shown[f"pgconvoy.migrate.{_VARIABLES}"]["entry_points"].keys() == _PLAYBOOKS


@pytest.mark.parametrize("name", [name for name in _ROLES if name != _VARIABLES])
def test_role_s_arguments_are_its_defaults(name: str) -> None:
    """Each argument has a description and a default, unless it is required, and each default is an argument."""
    specification = yaml.safe_load((ROOT / f"roles/{name}/meta/argument_specs.yml").read_text(encoding="utf-8"))
    options = specification["argument_specs"]["main"]["options"]
    text = (ROOT / f"roles/{name}/defaults/main.yml").read_text(encoding="utf-8")
    defaults = yaml.safe_load(text)
    assert all(option["description"] for option in options.values())
    # A comment explains them, one or a few that belong together, to whoever reads the file itself.
    assert all(paragraph.startswith("#") for paragraph in text.removeprefix("---\n").split("\n\n"))
    if name == _CONNECTION:
        assert options.keys() == set(re.findall(r"\b(?:source|target)_\w+", text))
        return
    assert all(variable.startswith(f"{name}_") for variable in defaults)
    assert options.keys() == defaults.keys() | {key for key, option in options.items() if option.get("required")}
    for variable, option in options.items():
        if "default" in option:
            assert defaults[variable] == option["default"], variable


def test_each_finding_is_in_the_reference() -> None:
    """Whoever searches for a code finds what it means and what to do."""
    reference = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    codes = {
        str(node.args[1].value)
        for path in (ROOT / "plugins/module_utils").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Finding"
        and len(node.args) > 1
        and isinstance(node.args[1], ast.Constant)
    }
    assert len(codes) > 50
    assert not {code for code in codes if f"`{code}`" not in reference}


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
    """Each playbook that the README names is there, and each that `make demo` tells to try next."""
    readme, makefile = (ROOT / name for name in ("README.md", "Makefile"))
    text = readme.read_text(encoding="utf-8") + makefile.read_text(encoding="utf-8")
    told = set(re.findall(r"\b(?:playbooks/)?[a-z]+\.yml\b", text))
    playbooks = {name for name in told if name == "migrate.yml" or name.startswith("playbooks/")}
    assert playbooks
    assert not [name for name in playbooks if not (ROOT / name).is_file()]


@pytest.mark.parametrize("name", sorted(_PLAYBOOKS))
def test_playbook_s_variables_are_checked_first(name: str) -> None:
    """By the entry of its own name, before any other role."""
    (play,) = yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text(encoding="utf-8"))
    assert (play["vars"]["run_goal"], play["roles"]) == (name, ["pgconvoy.migrate.run"])
    _guard, frame = yaml.safe_load((ROOT / "roles/run/tasks/main.yml").read_text(encoding="utf-8"))
    first = frame["block"][0]
    assert first["ansible.builtin.import_role"]["name"] == "pgconvoy.migrate.variables"
    assert first["vars"] == {"variables_goal": "{{ run_goal }}"}


def test_what_the_page_on_controllers_names_exists() -> None:
    """Variables of the survey with their choices, those of the volume, what an artifact holds, and the vault ids."""
    page = (ROOT / "docs/automation-platform.md").read_text(encoding="utf-8")
    specification = yaml.safe_load((ROOT / "roles/variables/meta/argument_specs.yml").read_text(encoding="utf-8"))
    options = specification["argument_specs"]["migrate"]["options"]
    survey = re.findall(r"^\| [A-Z][^|]* \| `(\w+)` \| ([^|]*) \|", page, re.MULTILINE)
    assert len(survey) == 4
    for variable, kind in survey:
        allowed = options[variable].get("choices", ["false", "true"] if options[variable]["type"] == "bool" else [])
        assert set(re.findall(r"`(\w+)`", kind)) <= set(allowed), variable
    (volume,) = re.findall(r"name folders on it:\n\n```yaml\n(.*?)```", page, re.DOTALL)
    assert yaml.safe_load(volume).keys() <= options.keys()
    (artifact,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (result,) = json.loads(artifact)["pgconvoy"].values()
    set_by_role = yaml.safe_load((ROOT / "roles/report/vars/main.yml").read_text(encoding="utf-8"))["__report_result"]
    assert result.keys() == set_by_role.keys()
    (vaults,) = (
        task["loop"]
        for task in yaml.safe_load((ROOT / "roles/init/tasks/main.yml").read_text(encoding="utf-8"))
        if "loop" in task
    )
    (identifiers,) = re.findall(r"identifier `(\w+)`, one\s+with `(\w+)`", page)
    assert list(identifiers) == vaults


def test_packages_of_the_modules_are_those_of_the_tests() -> None:
    """What an execution environment gets is what the tests run with, and Ansible is none of it."""
    pinned = {}
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            pinned[str(requirement.name), frozenset(requirement.extras)] = pin.version
    wanted = [
        Requirement(line)
        for line in (ROOT / "meta/ee-requirements.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert {r.name for r in wanted} == {name for name, _ in pinned} - {"ansible-core"}
    assert all(pinned[r.name, frozenset(r.extras)] in r.specifier for r in wanted)


def test_every_finding_of_sanity_has_its_reason() -> None:
    """Nothing is expected of ansible-test without a word why."""
    lines = (ROOT / "tests/sanity.txt").read_text(encoding="utf-8").splitlines()
    for before, line in itertools.pairwise(lines):
        assert not line or line.startswith("#") or before.startswith("#"), line


def test_relative_links_of_the_documentation_lead_somewhere() -> None:
    """To a file that is there and, within it, to a heading."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = link.partition("#")
            if ":" in path:
                continue
            leads_to = (page.parent / path).resolve() if path else page
            assert leads_to.exists(), f"{page.name}: {link}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", leads_to.read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor in {_anchor(heading) for heading in headings}, f"{page.name}: {link}"


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_rooms_and_files_of_the_explanations_are_there() -> None:
    """Each room has its line in the picture; a file that a page names is one of the engine's or of the tests'."""
    engine = ROOT / "plugins/module_utils"
    rooms = {room.parent.name for room in engine.glob("*/__init__.py")}
    overview = ROOT / "docs/architecture.md"
    assert rooms <= set(re.findall(r"(?m)^\| `(\w+)/` \|", overview.read_text(encoding="utf-8")))
    for page in [overview, ROOT / "docs/where.md", *(ROOT / "docs/architecture").glob("*.md")]:
        for path in re.findall(rf"`((?:{'|'.join(rooms)})/[\w/]*(?:\.py)?)`", page.read_text(encoding="utf-8")):
            assert any((base / path).exists() for base in (engine, ROOT / "tests")), f"{page.name}: {path}"
