# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a database is, how it is reached, and what never shows."""

from __future__ import annotations

import os

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint, tool_environment


def endpoint(host: str, sslmode: str = "", **other: str) -> Endpoint:
    return Endpoint("target", host, 5432, "app", "me", "s3cret", sslmode, **other)


LOCAL = ["", "/var/run/postgresql", "localhost", "127.0.0.1", "127.1.2.3", "::1"]
REMOTE = ["db.example.org", "10.0.0.1", "localhost.example.org", "2001:db8::1", "127.0.0.1.example.org"]


@pytest.mark.parametrize("host", LOCAL)
def test_local(host: str) -> None:
    assert endpoint(host).is_local
    assert endpoint(host).tls == "prefer"
    assert endpoint(host, "disable").tls == "disable"


@pytest.mark.parametrize("host", REMOTE)
def test_remote_needs_tls(host: str) -> None:
    assert not endpoint(host).is_local
    assert endpoint(host).tls == "require"
    for sslmode in ("require", "verify-ca", "verify-full"):
        assert endpoint(host, sslmode).tls == sslmode
    for sslmode in ("disable", "allow", "prefer", "nonsense"):
        with pytest.raises(MigrationError, match="must be encrypted"):
            _ = endpoint(host, sslmode).tls


def test_password_does_not_show() -> None:
    assert "s3cret" not in f"{endpoint('h')} {endpoint('h')!r} {endpoint('h').at('other')!r}"


def test_environment_of_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the caller's may lead the tools elsewhere."""
    for variable in ("PGHOSTADDR", "PGSERVICE", "PGOPTIONS", "PGCLIENTENCODING", "PGPASSFILE"):
        monkeypatch.setenv(variable, "wrong")
    monkeypatch.setenv("LC_ALL", "kept")
    environment = tool_environment(endpoint("db.example.org", sslrootcert="/ca.pem"))
    assert "wrong" not in environment.values()
    assert environment["LC_ALL"] == "kept"
    assert environment["PATH"] == os.environ["PATH"]
    assert {name: value for name, value in environment.items() if name.startswith("PG")} == {
        "PGHOST": "db.example.org",
        "PGPORT": "5432",
        "PGDATABASE": "app",
        "PGUSER": "me",
        "PGPASSWORD": "s3cret",
        "PGSSLMODE": "require",
        "PGSSLROOTCERT": "/ca.pem",
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "pgconvoy",
    }
