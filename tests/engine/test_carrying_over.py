# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the switch would fail on in the last minute is found by preflight, and can be allowed to be left out."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.database import DatabaseProperties, read_database
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.carrying import check_carrying_over
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.exchange import ask_exchange
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.settings import check_settings
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint, connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.inquiry import answer
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.databases import (
    create_staging,
    maintenance_session,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.names import Generations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.properties import ask_carried
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.switch import switch
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.findings import Finding

from tests.case import execute, make_role
from tests.databases import Database
from tests.migration import endpoint

USER: t.Final = "carrier"
LOGGED: t.Final = "database setting log_min_duration_statement"
OF_ROLE: t.Final = "role carried database setting work_mem"


@pytest.fixture
def owned(target: Database) -> t.Iterator[Endpoint]:
    """Give a live database that belongs to a plain role, to which an administrator has given more than it may."""
    make_role(target.server, USER, "LOGIN CREATEDB")
    make_role(target.server, "carried", "")
    execute(target.server, "postgres", f"ALTER DATABASE {target.name} OWNER TO {USER}")
    yield endpoint("target", target.server, target.name, (USER, "secret"))
    names = Generations(target.name)
    for name in (names.live, names.staging, names.previous):
        target.server.drop_database(name)
    execute(target.server, "postgres", f"DROP ROLE {USER}; DROP ROLE carried")


def read(target: Endpoint) -> DatabaseProperties:
    with connect(target) as session:
        return read_database(session)


def found(target: Endpoint, source: DatabaseProperties, allowed: dict[str, str]) -> list[Finding]:
    with maintenance_session(target) as session:
        before = session.execute("SELECT * FROM pg_database JOIN pg_db_role_setting ON setdatabase = oid").fetchall()
        live = target.dbname
        findings = check_carrying_over(session, live, source, answer(session, ask_carried(live, live, source)), allowed)
        assert session.execute("SELECT * FROM pg_database JOIN pg_db_role_setting ON setdatabase = oid").fetchall() == (
            before
        )
    return [finding for finding in findings if finding.code in ("carry-over", "not-carried")]


def switch_over(target: Endpoint, source: DatabaseProperties, allowed: t.Container[str] = ()) -> None:
    with maintenance_session(target) as session:
        create_staging(session, Generations(target.dbname), source.locale, "run")
    switch(target, source, "run", disconnect_clients=False, allowed=allowed)


def test_properties_of_an_administrator(owned: Endpoint, target: Database) -> None:
    """What preflight finds is what the switch fails on; with it granted, or allowed, both are silent."""
    source = read(owned)
    execute(
        target.server,
        "postgres",
        f"ALTER DATABASE {target.name} SET log_min_duration_statement = '4711ms';"
        f"ALTER DATABASE {target.name} CONNECTION LIMIT 33; GRANT CONNECT ON DATABASE {target.name} TO carried;"
        f"COMMENT ON DATABASE {target.name} IS 'theirs';"
        f"ALTER ROLE carried IN DATABASE {target.name} SET work_mem = '4711kB'",
    )
    findings = sorted(found(owned, source, {}), key=lambda finding: finding.object)
    assert [(f.severity, f.code, f.object) for f in findings] == [
        ("error", "carry-over", name) for name in sorted((LOGGED, OF_ROLE))
    ]
    assert f'GRANT SET ON PARAMETER log_min_duration_statement TO "{USER}"' in str(findings[0])
    assert "4711" not in str(findings)
    with pytest.raises(MigrationError, match="permission denied"):
        switch_over(owned, source)

    allowed = {LOGGED: "the server's", OF_ROLE: "gone"}
    assert {(f.severity, f.code) for f in found(owned, source, allowed)} == {("notice", "not-carried")}
    execute(target.server, "postgres", f"GRANT SET ON PARAMETER log_min_duration_statement TO {USER}")
    try:
        left = {OF_ROLE: "gone"}
        assert [f.object for f in found(owned, source, left)] == [OF_ROLE]
        switch_over(owned, source, left)
        query = (
            "SELECT setconfig FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = '{}'"
        )
        settings = target.query(query.format(target.name))
        assert settings == [(["log_min_duration_statement=4711ms"],)]
        assert target.query("SELECT datconnlimit FROM pg_database WHERE datname = current_database()") == [(33,)]
    finally:
        execute(target.server, "postgres", f"REVOKE SET ON PARAMETER log_min_duration_statement FROM {USER}")


def test_owner_that_the_user_belongs_to_but_may_not_make_one(owned: Endpoint, target: Database) -> None:
    """A member that may not SET ROLE owns what its role owns, and may not give anything to it."""
    source = read(owned)
    execute(
        target.server,
        "postgres",
        f"GRANT carried TO {USER} WITH SET FALSE; ALTER DATABASE {target.name} OWNER TO carried",
    )
    assert [f.object for f in found(owned, source, {})] == ["database owner"]
    with pytest.raises(MigrationError, match="must be able to SET ROLE"):
        switch_over(owned, source)
    assert found(owned, source, {"database owner": "mine"})[0].code == "not-carried"


def test_settings_of_the_source(owned: Endpoint, target: Database) -> None:
    """No value is told, and the user may allow what the server does not."""
    source = read(owned)
    refused = (
        ("log_min_duration_statement", "4711"),
        ("work_mem", "canary4711"),
        ("lo_compat_privileges", "on"),
        ("shop.letters", "a, b"),
    )
    source = dataclasses.replace(source, settings=refused)
    with connect(owned) as session:
        findings = check_settings(session, source, {})
        assert [(f.code, f.object) for f in findings] == [
            ("setting", f"database setting {name}") for name, _ in refused
        ]
        assert "4711" not in str(findings)
        assert "GRANT SET ON PARAMETER log_min_duration_statement" in str(findings[0])
        # What a word has in common with a value is no value.
        for (name, _), finding in zip(refused[2:], findings[2:], strict=True):
            assert f'permission denied to set parameter "{name}"' in finding.message
        findings = check_settings(session, source, {f"database setting {name}": "no" for name, _ in refused})
        assert {(f.severity, f.code) for f in findings} == {("notice", "not-carried")}


def test_library_that_the_server_does_not_load(owned: Endpoint, target: Database) -> None:
    """Its refusal quotes the value, which is not told."""
    parameter = "session_preload_libraries"
    source = dataclasses.replace(read(owned), settings=((parameter, "canary4711"),))
    execute(target.server, "postgres", f"GRANT SET ON PARAMETER {parameter} TO {USER}")
    try:
        with connect(owned) as session:
            (finding,) = check_settings(session, source, {})
    finally:
        execute(target.server, "postgres", f"REVOKE SET ON PARAMETER {parameter} FROM {USER}")
    assert finding.object == f"database setting {parameter}"
    assert "4711" not in str(finding)


def test_clients_of_kept_databases(owned: Endpoint, target: Database) -> None:
    """They are renamed, too."""
    source = read(owned)
    switch_over(owned, source)
    name = Generations(target.name).previous
    with target.server.connect(name), maintenance_session(owned) as session:
        findings = answer(session, ask_exchange(owned, session.info.user))
    assert [(f.severity, f.code, f.object) for f in findings] == [("warning", "target-clients", f'database "{name}"')]
