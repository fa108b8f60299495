#!/usr/bin/python
# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action of the same name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: conclude
short_description: Say what a run came to, and fail unless it came to its goal
version_added: "0.1.0"
description:
  - Shows how source and target compare, table by table, then what the run came to in one line, and where its report
    lies. Every table that differs is shown, and the first 40 that do not.
  - Is shown by any callback for the terminal, and needs no setting. As the last task of a play it makes these the last
    lines.
author:
  - the pgconvoy contributors (@pgconvoy)
options:
  host:
    description: The host whose databases the run was about.
    type: str
    required: true
  goal:
    description: What the run was to do, as M(pgconvoy.migrate.report) has it.
    type: str
    required: true
  report:
    description: What M(pgconvoy.migrate.report) returned. Empty if the run has no report.
    type: dict
    default: {}
  failure:
    description: What to fail with where there is no report. Empty if nothing failed.
    type: str
    default: ""
  failed_action:
    description: The action of the task that failed, if one did. With it, such a run counts as refused.
    type: str
    default: ""
  notify:
    description:
      - A command that is run then, as a list of words, with the path of the report's C(report.json) after them. It
        finds nothing to read, may take a minute, and what becomes of it changes nothing of what the run came to.
      - A run that failed without a report is told by one that is made for the command, and gone when it has ended;
        none in check mode.
    type: list
    elements: str
    default: []
attributes:
  action:
    description: It works on the controller alone.
    support: full
  check_mode:
    description: Changes nothing anyway.
    support: full
  diff_mode:
    description: There is nothing that it could change.
    support: none
  idempotent:
    description: Never reports a change.
    support: full
"""

EXAMPLES = r"""
- name: Say what the run came to
  pgconvoy.migrate.conclude:
    host: "{{ inventory_hostname }}"
    goal: migrate
    report: "{{ report_result }}"
"""

RETURN = r"""
msg:
  description: Why the run did not come to its goal. Has several lines.
  returned: failure
  type: str
  sample: |-
    The run failed.
    preflight: the target server has no extension "postgis"
    Report: /home/me/runs/sandbox-db/20261122T101500Z-3f2a1b/report.html
"""
