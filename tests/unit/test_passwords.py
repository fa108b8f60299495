# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords that Ansible's scrubbing would spread over the output."""

from __future__ import annotations

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.passwords import check_passwords
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint


def told(password: str, names: tuple[str, ...] = (), paths: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    target = Endpoint("target", "db.example.org", 5432, "shop_floor", "clerk", password)
    other = Endpoint("source", "localhost", 5433, "shop", "me", "an entirely other one")
    return [(finding.severity, finding.object) for finding in check_passwords([other, target], names, paths)]


@pytest.mark.parametrize("password", ["a", "abc", "postgres", "public", "table", "5432", "shop", "clerk", "5433"])
def test_words_of_every_output(password: str) -> None:
    assert told(password) == [("warning", "target_password")]


def test_names_of_tables() -> None:
    assert told("ledger", names=("positions", "ledger_2024")) == [("warning", "target_password")]
    assert told("ledger", names=("positions",)) == []


def test_paths() -> None:
    """The stages would look for the run's folder under another name."""
    assert told("20261122T10", paths=("runs/sandbox-db/20261122T101500Z-1f2e3d",)) == [("error", "target_password")]
    assert told("", paths=("runs/sandbox-db/20261122T101500Z-1f2e3d",)) == []


@pytest.mark.parametrize("password", ["", "correct horse battery staple", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"])
def test_good_ones(password: str) -> None:
    assert told(password, names=("positions",), paths=("runs/sandbox-db/1",)) == []


def test_password_is_not_told() -> None:
    target = Endpoint("target", "db.example.org", 5432, "app", "me", "postgres")
    assert "postgres" not in str(check_passwords([target], (), ()))
