# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that are almost those of the collection."""

from __future__ import annotations

DOCUMENTATION = r"""
name: misspelt
short_description: Variables that are almost those of the collection
version_added: "0.1.0"
description:
  - Returns the names of variables that somebody has set and that no role of this collection knows, but that look like
    one of the inventory's variables that they do know. Values are not looked at, so that no vault needs to be opened.
  - So does another word for the same, C(target_username) for C(target_user), unless that is set, too; it may be made of
    the other then.
  - Names of one's own are left alone, those too that go on where one of the collection's ends (C(target_hosts)).
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Refuse a misspelt variable
  ansible.builtin.assert:
    that: misspelt | length == 0
    fail_msg: "{{ misspelt | join(', ') }}"
  vars:
    misspelt: "{{ lookup('pgconvoy.migrate.misspelt', wantlist=True) }}"
"""

RETURN = r"""
_raw:
  description: Each such name, with the nearest one that exists.
  type: list
  elements: str
  sample: ["taget_host (did you mean target_host?)"]
"""

import typing as t
from pathlib import Path

from ansible.module_utils.common.yaml import yaml_load
from ansible.plugins.lookup import LookupBase

_ROLES: t.Final = Path(__file__).parents[2] / "roles"
#: The roles whose options are variables of the inventory; those of other roles bear the role's name.
_OF_INVENTORY: t.Final = ("connection", "variables")


class LookupModule(LookupBase):
    """The lookup ``pgconvoy.migrate.misspelt``."""

    def run(self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **kwargs: t.Any) -> list[str]:
        """Return the misspelt ones of all variables that the task has."""
        options = {path.parents[1].name: _documented(path) for path in _ROLES.glob("*/meta/argument_specs.yml")}
        known = set().union(*options.values())
        meant = sorted(set().union(*(options[role] for role in _OF_INVENTORY)))
        strangers = sorted(name for name in variables or {} if name not in known and not name.startswith("ansible_"))
        lacking = frozenset(meant).difference(variables or {})
        found = ((name, nearest(name, meant, lacking)) for name in strangers)
        return [f"{name} (did you mean {near}?)" for name, near in found if near]


def _documented(path: Path) -> set[str]:
    specification = yaml_load(path.read_text(encoding="utf-8"))
    return {name for entry in specification["argument_specs"].values() for name in entry["options"]}


def nearest(name: str, meant: t.Sequence[str], lacking: t.Collection[str]) -> str | None:
    """Return which of some names a person may have meant who wrote another one, if any.

    :param lacking: those that are not set: another word for one that is must be a variable of the person's own
    """
    slips = {
        candidate: 0 if candidate in lacking and _is_another_word(name, candidate) else _slips(name, candidate)
        for candidate in meant
    }
    possible = [(count, candidate) for candidate, count in slips.items() if count is not None]
    return min(possible)[1] if possible else None


#: Other words for a word of ours, which other tools use in its place.
_OTHERWISE: t.Final = {
    "dbname": ("db", "database", "database_name"),
    "host": ("hostname", "host_name"),
    "password": ("pass", "pwd"),
    "queries": ("query",),
    "user": ("username", "user_name"),
}


def _is_another_word(name: str, meant: str) -> bool:
    start, _, last = meant.rpartition("_")
    return any(_joined(name) == _joined(f"{start}_{word}") for word in _OTHERWISE.get(last, ()))


def _slips(name: str, meant: str) -> int | None:
    """Return how many letters went wrong, or None where too many did for a mistake.

    Words are compared one by one: in ``target_cert`` the long first word must not speak for ``target_port``.
    """
    # Ansible passes a name with a dash on, though nobody could use it.
    name = name.replace("-", "_")
    if _joined(name) == _joined(meant):
        return 0
    if name.startswith(meant) or ("_" not in meant and name == meant.removesuffix("s")):
        return None  # a word of its own: target_hosts, target_host2; job, for jobs
    words = list(zip(name.split("_"), meant.split("_"), strict=False))
    if name.count("_") != meant.count("_") or not all(_resemble(*pair) for pair in words):
        return None
    count = sum(_distance(*pair) for pair in words)
    return count if count <= 2 else None


def _joined(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


#: A letter from one of ours, and words of their own all the same: a root is no room.
_OTHERS_WORDS: t.Final = frozenset({"root"})


def _resemble(word: str, meant: str) -> bool:
    """Whether one word may be a slip of the other."""
    if word == meant:
        return True
    if not word or word in _OTHERS_WORDS:
        return False
    if sorted(word) == sorted(meant):
        return _distance(word, meant) == 1
    if len(meant) < 4:
        return False
    # Hardly anybody begins a word with a wrong letter, unless its key lies beside: "cost" is not "host".
    if word[0] != meant[0] and len(word) == len(meant) and not _beside(word[0], meant[0]):
        return False
    return _distance(word, meant) <= (2 if len(meant) >= 8 else 1)


def _beside(one: str, other: str) -> bool:
    """Whether two keys are neighbours in a row of a keyboard."""
    return any(one + other in row or other + one in row for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm"))


def _distance(one: str, other: str) -> int:
    """Return the least number of letters added, left out, replaced or exchanged with a neighbour."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, counterpart in enumerate(other, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != counterpart)))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == counterpart:
                row[j] = min(row[j], before[j - 2] + 1)
        before, last = last, row
    return last[-1]
