# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords that are not what was typed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mistaken
short_description: Passwords that YAML or Ansible takes for something else
version_added: "0.1.0"
description:
  - Returns which of some variables hold something else than the text that was typed for them, since YAML has made a
    number or a truth value of it, or Ansible takes it for a template. No value is told.
  - A variable that refers to another one, as C(target_password) does to one of a vault, is followed there.
options:
  _terms:
    description: Names of variables; those that are not set are passed over.
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Refuse a password that is not what was typed
  ansible.builtin.assert:
    that: mistaken | length == 0
    fail_msg: "{{ mistaken | join('; ') }}"
  vars:
    mistaken: "{{ lookup('pgconvoy.migrate.mistaken', 'target_password', wantlist=True) }}"
"""

RETURN = r"""
_raw:
  description: Each variable that is mistaken, and for what.
  type: list
  elements: str
  sample: ["vault_target_password is taken for a template"]
"""

import datetime
import re
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.template import is_trusted_as_template

_TEMPLATE: t.Final = re.compile(r"\{[{%#]")
#: One expression and nothing beside it: what somebody writes who means a template.
_EXPRESSION: t.Final = re.compile(r"\s*\{\{((?!\{\{|\}\}).)*\}\}\s*", re.DOTALL)
_REFERENCE: t.Final = re.compile(r"\s*\{\{\s*([a-zA-Z_]\w*)\s*\}\}\s*")


class LookupModule(LookupBase):
    """The lookup ``pgconvoy.migrate.mistaken``."""

    def run(self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any) -> list[str]:
        """Return what is to be told of the variables."""
        mistaken = []
        for term in terms:
            name, value = _follow(term, variables or {})
            if _is_typed(value):
                mistaken.append(f"{name} is taken for a number, a date, a truth value or a list")
            elif self._is_template(value, name != term):
                mistaken.append(f"{name} is taken for a template")
        return mistaken

    def _is_template(self, value: object, behind: bool) -> bool:
        """Return whether a text was not meant as the template that Ansible takes it for.

        :param behind: whether another variable refers to it: nobody who keeps a password there means an expression
            that yields none
        """
        if not isinstance(value, str) or not is_trusted_as_template(value) or not _TEMPLATE.search(value):
            return False
        if not _EXPRESSION.fullmatch(value):
            return True
        if not behind:
            return False
        assert self._templar
        try:
            return not isinstance(self._templar.template(value), str)
        except AnsibleError:
            return True


def _follow(name: str, variables: t.Mapping[str, object]) -> tuple[str, object]:
    """Return the variable that holds what another one refers to, and its value."""
    passed: set[str] = set()
    while name not in passed:
        passed.add(name)
        value = variables.get(name)
        reference = _REFERENCE.fullmatch(value) if isinstance(value, str) and is_trusted_as_template(value) else None
        if reference is None or reference[1] not in variables:
            return name, value
        name = reference[1]
    return name, None


def _is_typed(value: object) -> bool:
    return isinstance(value, (bool, int, float, datetime.date, list, dict))
