# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that only a provider's own network knows."""

from __future__ import annotations

import socket
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import examine
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint


def _examine(monkeypatch: pytest.MonkeyPatch, host: str) -> str:
    """Return what preflight says of a target whose name nobody knows."""

    def resolve(*arguments: object, **options: object) -> t.NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    (finding,) = examine(Request(None, Endpoint("target", host, 5432, "railway", "postgres", "x"))).findings
    assert (finding.severity, finding.code) == ("error", "no-connection")
    return finding.message


def test_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message tells that it is one, and which to take."""
    said = _examine(monkeypatch, "postgres.railway.internal")
    assert "failed to resolve host 'postgres.railway.internal'" in said
    assert "postgres.railway.internal is a private address, known within the provider's network alone." in said
    assert "target_host and target_port (at Railway those of DATABASE_PUBLIC_URL), or open a tunnel" in said


def test_any_other_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be misspelt."""
    said = _examine(monkeypatch, "nosuch.invalid")
    assert "private" not in said
    assert "Check target_host" in said
