# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever searches for what a finding says finds it, and what to do."""

from __future__ import annotations

import ast

from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.passwords import check_passwords
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.target import check_name
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.names import Generations

from tests.messages import PAGE, Told, compose, read_findings, read_module


def test_page_is_what_the_code_says() -> None:
    """Else: make messages."""
    assert PAGE.read_text(encoding="utf-8") == compose()


def test_findings_are_found() -> None:
    """As they are told by a run, with whatever is open in them cut away."""
    endpoint = Endpoint("target", "db.example.org", 5432, "app", "me", "postgres")
    known = read_findings()
    for finding in [*check_name(Generations("template1")), *check_passwords([endpoint], (), ())]:
        assert Told(finding.code, finding.message, finding.remedy) in known
    assert len({told.code for told in known}) > 90


def test_how_it_is_read() -> None:
    """What is open in a text, what a name was given last, and what depends on a condition."""
    module = ast.parse(
        """
def check(name):
    message = f"it is of {name}, "
    first = Finding("error", "a", name, message + ("in use" if name else "free") + ".", "Drop it.")
    message = "it is something else."
    return first, Finding("notice", "b", name, message), Finding("error", "c", name, str(name))
"""
    )
    assert list(read_module(module)) == [
        Told("a", "it is of ..., in use.", "Drop it."),
        Told("a", "it is of ..., free.", "Drop it."),
        Told("b", "it is something else.", ""),
    ]
