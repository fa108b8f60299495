# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What whole runs do for an application that enters with a role of its own."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg
import pytest

from tests.databases import Database, role
from tests.playbooks import Controller


@pytest.fixture
def app(source: Database, target: Database) -> t.Iterator[str]:
    """Give the application's role, which both servers have and each grants something else."""
    with role(source.server, "shop_app", "", "secret"), role(target.server, "shop_app", "", "secret"):
        source.execute("GRANT SELECT, INSERT, DELETE ON owner TO shop_app; GRANT SELECT ON wealth TO shop_app")
        target.execute("GRANT SELECT, INSERT, UPDATE ON owner TO shop_app; GRANT SELECT ON forgotten TO shop_app")
        yield "shop_app"
        for database in (source, target, target.previous):
            with contextlib.suppress(psycopg.OperationalError):
                database.execute("DROP OWNED BY shop_app")


def enter(target: Database, user: str, statement: str) -> bool:
    """Return whether a role may run a statement in the live database."""
    try:
        with psycopg.connect(
            host=target.server.host, port=target.server.port, dbname=target.name, user=user, password="secret"
        ) as connection:
            connection.execute(statement.encode())
            connection.rollback()
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


@pytest.mark.parametrize("load_mode", ["swap", "in_place"])
def test_application_goes_on(sandbox: Controller, source: Database, target: Database, app: str, load_mode: str) -> None:
    """By default it can do what it could, and no more; and that is in the report."""
    sandbox.vary(load_mode=load_mode)
    report = sandbox.migrate().report("sandbox-db")
    assert enter(target, app, "INSERT INTO owner VALUES (7, 'new'); UPDATE owner SET name = 'other'; SELECT FROM owner")
    assert not enter(target, app, "DELETE FROM owner WHERE false")
    assert not enter(target, app, "SELECT FROM wealth")
    of_app = {p["privilege"]: p for p in report["privileges"] if (p["role"], p["kind"]) == (app, "table")}
    assert {name: (p["before"], p["after"]) for name, p in of_app.items()} == {
        "INSERT": (1, 1),
        "SELECT": (2, 1),
        "UPDATE": (1, 1),
    }
    codes = {(finding["code"], finding["object"]) for finding in report["findings"]}
    assert ("grant-without-object", "table public.forgotten") in codes


@pytest.mark.parametrize("load_mode", ["swap", "in_place"])
def test_application_is_served(
    sandbox: Controller, source: Database, target: Database, app: str, load_mode: str
) -> None:
    """It asks what the copy was asked, once that is live. A role that cannot is told before; else the way back is."""
    readable = {"name": "owners", "sql": "SELECT count(*) FROM owner", "expect": "same"}
    sandbox.vary(load_mode=load_mode, application_role="nobody_at_all", verify_queries=[readable])
    assert "role nobody_at_all: the target does not have it" in sandbox.refuse()
    sandbox.vary(application_role=app)
    assert sandbox.migrate().report("sandbox-db")["status"] == "migrated"
    assert enter(target, app, "INSERT INTO owner VALUES (7, 'new'); SELECT FROM owner")

    before = target.contents()
    source.execute("INSERT INTO owner VALUES (9, 'one more')")
    sandbox.vary(verify_queries=[readable, {"name": "wealth", "sql": "SELECT count(*) FROM wealth", "expect": "same"}])
    run = sandbox.run()
    report = run.report("sandbox-db")
    assert (report["status"], report["live"]) == ("failed", target.name)
    assert 'The query "wealth" of verify_queries failed' in run.output
    assert "permission denied for view wealth" in run.output
    assert "ansible-playbook playbooks/rollback.yml -l sandbox-db" in run.output
    assert sandbox.run("playbooks/rollback.yml", extra={"load_mode": load_mode}).rc == 0
    assert target.contents() == before


def test_grants_of_the_source(sandbox: Controller, source: Database, target: Database, app: str) -> None:
    """What the source lets the application do, it can do; a grant that is gone is seen."""
    sandbox.vary(grants="source")
    report = sandbox.migrate().report("sandbox-db")
    assert enter(target, app, "DELETE FROM owner WHERE false")
    assert enter(target, app, "SELECT FROM wealth")
    assert not enter(target, app, "UPDATE owner SET name = 'other'")
    changed = {p["privilege"]: (p["lost"], p["gained"]) for p in report["privileges"] if p["role"] == app}
    assert changed["UPDATE"] == (["public.owner"], [])
    assert changed["DELETE"] == ([], ["public.owner"])
    assert sandbox.migrate().report("sandbox-db")["status"] == "unchanged"
    assert sandbox.run("playbooks/verify.yml").rc == 0
    target.execute("REVOKE DELETE ON owner FROM shop_app")
    verified = sandbox.run("playbooks/verify.yml")
    assert verified.report("sandbox-db")["status"] == "different"
    assert "privileges of table public.owner: shop_app lacks DELETE" in verified.output


def test_grants_of_an_archive(sandbox: Controller, source: Database, target: Database, app: str) -> None:
    dumped = sandbox.run("playbooks/dump.yml").report("sandbox-db")["archive"]
    source.execute("REVOKE ALL ON owner FROM shop_app")
    sandbox.vary(grants="source", role_map={"shop_app": "pg_monitor"})
    run = sandbox.run("playbooks/restore.yml", extra={"archive": dumped})
    assert run.rc == 0, run.output
    assert target.query("SELECT has_table_privilege('pg_monitor', 'owner', 'DELETE')") == [(True,)]
    sandbox.vary(role_map={"shop_app": "nobody"})
    refused = sandbox.run("playbooks/restore.yml", "--check", extra={"archive": dumped})
    assert refused.rc == 2
    assert 'CREATE ROLE "nobody" LOGIN; on the target' in refused.output
