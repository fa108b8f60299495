# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the stages' modules, as Ansible wants them; what they mean stands in the fragments of that name."""

from __future__ import annotations

import typing as t

_CONNECTION: t.Final = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 5432},
    "dbname": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "no_log": True},
    "sslmode": {"type": "str", "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]},
    "sslrootcert": {"type": "path"},
}
SOURCE: t.Final = {
    "source": {
        "type": "dict",
        "options": {**_CONNECTION, "host": {"type": "str"}, "container": {"type": "str"}},
        "required_one_of": [("host", "container")],
        "mutually_exclusive": [("host", "container")],
    }
}
TARGET: t.Final = {"target": {"type": "dict", "options": _CONNECTION}}
RUN: t.Final = {"run_dir": {"type": "path", "required": True}}
TOOLS: t.Final = {"client_bindir": {"type": "path", "required": True}}
GATE: t.Final = {
    "production": {"type": "bool", "required": True},
    "confirm_phrase": {"type": "str", "default": ""},
    "confirm_answer": {"type": "str", "default": ""},
}
#: What holds for all stages of a run.
SETTINGS: t.Final = {
    "settings": {
        "type": "dict",
        "apply_defaults": True,
        "options": {
            "jobs": {"type": "int", "default": 4},
            "allowed_differences": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"object": {"type": "str", "required": True}, "reason": {"type": "str", "required": True}},
            },
            "verify_queries": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "sql": {"type": "str", "required": True},
                    "expect": {"type": "raw", "required": True},
                },
            },
            "include_tables": {"type": "list", "elements": "str", "default": []},
            "exclude_tables": {"type": "list", "elements": "str", "default": []},
            "fk_strategy": {
                "type": "str",
                "choices": ["auto", "post_data", "dependency_order", "disable_triggers"],
                "default": "auto",
            },
            "grants": {"type": "str", "choices": ["live", "source", "none"], "default": "live"},
            "owners": {"type": "str", "choices": ["target_user", "live", "source"], "default": "target_user"},
            "role_map": {"type": "dict", "default": {}},
            "show_rows": {"type": "int", "default": 0},
            "application_role": {"type": "str", "default": ""},
            "switch_disconnects_clients": {"type": "bool", "default": False},
            "report_sums": {"type": "bool", "default": False},
            "archive_compression": {"type": "str", "choices": ["none", "zstd"], "default": "none"},
        },
    }
}
