# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of ansible-playbook, for those who must not outlive it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: playbook_pid
short_description: The process of ansible-playbook
version_added: "0.1.0"
description:
  - Returns the process id of the C(ansible-playbook) that evaluates it.
  - The modules of a run watch that process, and break off when it has ended, however that came.
author:
  - the pgconvoy contributors (@pgconvoy)
"""

EXAMPLES = r"""
- name: Examine both sides
  pgconvoy.migrate.preflight:
    playbook_pid: "{{ lookup('pgconvoy.migrate.playbook_pid') }}"
    source: {host: localhost, dbname: app, user: app, password: "{{ source_password }}"}
    host: "{{ inventory_hostname }}"
    goal: dump
    runs_root: runs
"""

RETURN = r"""
_raw:
  description: The process id.
  type: list
  elements: int
  sample: [4711]
"""

import multiprocessing
import os
import typing as t

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """The lookup ``pgconvoy.migrate.playbook_pid``."""

    def run(self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **kwargs: t.Any) -> list[int]:
        """Return the process id: this process is a worker of it or, outside of tasks, it itself."""
        parent = multiprocessing.parent_process()
        return [parent.pid if parent and parent.pid else os.getpid()]
