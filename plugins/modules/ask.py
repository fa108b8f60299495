#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action of the same name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ask
short_description: Ask a question at the terminal, once for each host
version_added: "0.1.0"
description:
  - Works as C(ansible.builtin.pause) does, but asks for every host, one after the other, and not for the first one
    alone. So each of several hosts that are at work at once has its own answer.
  - Where there is no terminal, it warns and goes on with an empty answer.
author:
  - the pgconvoy contributors (@pgconvoy)
options:
  prompt:
    description: The question.
    type: str
    required: true
attributes:
  action:
    description: It works on the controller alone.
    support: full
  check_mode:
    description: It asks all the same.
    support: full
  diff_mode:
    description: There is nothing that it could change.
    support: none
  idempotent:
    description: Never reports a change.
    support: full
"""

EXAMPLES = r"""
- name: Ask for the phrase
  pgconvoy.migrate.ask:
    prompt: "Type MIGRATE PRODUCTION to go on with {{ inventory_hostname }}"
  register: asked
"""

RETURN = r"""
user_input:
  description: What was typed; empty if nothing was.
  returned: success
  type: str
  sample: MIGRATE PRODUCTION
"""
