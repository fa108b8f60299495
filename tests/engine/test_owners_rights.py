# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners who have taken rights from themselves: the copy's have no more, and it was judged all the same."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.privileges.wanted import Policy

from tests.case import Case, execute, make_role, new_case
from tests.databases import Database
from tests.migration import prepare, run
from tests.refilling import make_target, refill_target
from tests.servers import Servers
from tests.syncing import sync_target

SCRIPT: t.Final = """
    CREATE SCHEMA s; CREATE SEQUENCE s.n; SELECT nextval('s.n');
    CREATE FUNCTION s.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
    CREATE TYPE s.mood AS ENUM ('ok'); CREATE DOMAIN s.d AS int;
    CREATE TABLE s.t (id serial PRIMARY KEY, mood s.mood, d s.d, f int GENERATED ALWAYS AS (s.f(id)) STORED);
    CREATE TABLE s.r (id int REFERENCES s.t); CREATE TABLE kept (id int); CREATE TABLE s.partly (a int, b int);
    CREATE TABLE s.p (a int) PARTITION BY LIST (a); CREATE TABLE s.p1 PARTITION OF s.p FOR VALUES IN (1);
    CREATE VIEW s.v AS SELECT * FROM s.t; CREATE MATERIALIZED VIEW s.m AS SELECT id FROM s.t;
"""
ROWS: t.Final = """
    INSERT INTO s.t (mood, d) VALUES ('ok', 1), ('ok', 2); INSERT INTO s.r VALUES (1); INSERT INTO s.p VALUES (1);
    INSERT INTO kept VALUES (1); INSERT INTO s.partly VALUES (1, 2);
    SELECT lo_from_bytea(70001, 'large'); REFRESH MATERIALIZED VIEW s.m;
"""
#: All of it, but for what columns are left.
TAKEN: t.Final = """
    REVOKE ALL ON s.t, s.r, s.p, s.p1, s.v, s.m, s.partly FROM {owner};
    REVOKE ALL ON SEQUENCE s.n, s.t_id_seq FROM {owner};
    GRANT SELECT (a), INSERT (b) ON s.partly TO {owner}; GRANT SELECT ON s.r TO PUBLIC;
    REVOKE ALL ON FUNCTION s.f FROM PUBLIC, {owner}; REVOKE ALL ON TYPE s.mood, s.d FROM PUBLIC, {owner};
    REVOKE ALL ON LARGE OBJECT 70001 FROM {owner};
    REVOKE ALL ON SCHEMA s FROM {owner};
"""
#: Who may do what with what, the owner under its name.
HELD: t.Final = """
    SELECT string_agg(said, E'\\n' ORDER BY said COLLATE "C") FROM (
        SELECT relname || ' ' || coalesce(relacl, acldefault('r', relowner))::text FROM pg_class
        WHERE oid >= 16384 AND relkind NOT IN ('i', 't', 'c') AND relname !~ '^pg_'
        UNION ALL SELECT attrelid::regclass || '.' || attname || attacl::text FROM pg_attribute WHERE attacl IS NOT NULL
            AND attrelid >= 16384
        UNION ALL SELECT proname || proacl::text FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT typname || typacl::text FROM pg_type WHERE oid >= 16384
        UNION ALL SELECT nspname || nspacl::text FROM pg_namespace WHERE nspname = 's'
        UNION ALL SELECT oid || lomacl::text FROM pg_largeobject_metadata) held(said)
"""


@contextlib.contextmanager
def scene(servers: Servers, major: str, owner: t.Literal["user", "other"]) -> t.Iterator[tuple[Case, str]]:
    """Give a case whose source belongs to a role, which is the target's user or one that this is a member of."""
    with new_case(servers.source(major), servers.target(major)) as case:
        case.make_roles()
        case.source_user, name, made = None, f"{case.name}_role", []
        try:
            if owner == "other":
                name = f"{case.name}_owner"
                for server in (case.source, case.target):
                    make_role(server, name, "NOLOGIN")
                    made.append(server)
                execute(case.target, "postgres", f"GRANT {name} TO {case.name}_role")
            execute(case.source, "postgres", f"ALTER DATABASE {case.name} OWNER TO {name}")
            case.policy = Policy("source", "source")
            case.run(f"SET ROLE {name}; {SCRIPT}{ROWS}")
            yield case, name
        finally:
            case.source.drop_database(case.name)
            for generation in Database(case.target, case.name).generations():
                case.target.drop_database(generation)
            for server in made:
                execute(server, "postgres", f"DROP ROLE {name}")


@pytest.mark.parametrize("major", ["15", "18"])
@pytest.mark.parametrize("owner", ["user", "other"])
@pytest.mark.parametrize("mode", ["swap", "in_place"])
def test_what_owners_have_taken_from_themselves(
    servers: Servers, tmp_path: Path, major: str, owner: t.Literal["user", "other"], mode: str
) -> None:
    with scene(servers, major, owner) as (case, name):
        case.run(f"SET ROLE {name}; {TAKEN.format(owner=name)}")
        if mode == "in_place":
            case.target.create_database(case.name, template="template0", owner=f"{case.name}_role")
        migration = prepare(
            case.source,
            case.name,
            case.target,
            case.name,
            tmp_path / "archive",
            target_user=case.target_user,
            policy=case.policy,
        )
        outcome = run(dataclasses.replace(migration, load_mode=mode))
        assert outcome.status == "migrated", outcome
        case.equal_answers(HELD)
        case.target_user = None
        case.stays()


def test_superuser(servers: Servers) -> None:
    with scene(servers, "18", "other") as (case, name):
        case.run(f"SET ROLE {name}; {TAKEN.format(owner=name)}")
        case.target_user = None
        assert case.migrate().status == "migrated"
        case.equal_answers(HELD)
        case.stays()


def test_what_cannot_be_locked_or_read(servers: Servers) -> None:
    """It is told beforehand, of a large object as of tables."""
    with scene(servers, "15", "user") as (case, name):
        make_target(case, f"SET ROLE {name}; {SCRIPT}{ROWS}", owner=name)
        migration = prepare(
            case.source, case.name, case.target, case.name, Path("unused"), target_user=case.target_user
        )
        execute(case.target, case.name, f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON s.r FROM {name}")
        for mode in ("in_place", "sync"):
            found = dataclasses.replace(migration, load_mode=mode).preflight()
            assert [(f.code, f.object) for f in found.findings if f.severity == "error"] == [
                ("not-lockable", "table s.r")
            ]
        execute(case.target, case.name, f"GRANT UPDATE ON s.r TO {name}; REVOKE ALL ON LARGE OBJECT 70001 FROM {name}")
        found = dataclasses.replace(migration, load_mode="in_place").preflight()
        assert ("target-not-readable", "large object 70001") in {(f.code, f.object) for f in found.findings}


@pytest.mark.parametrize("bring", [sync_target, refill_target])
def test_rows_brought_where_owners_may_not_write(servers: Servers, bring: t.Callable[[Case], object]) -> None:
    """They own the tables, and may let themselves."""
    with scene(servers, "18", "user") as (case, name):
        make_target(case, f"SET ROLE {name}; {SCRIPT}{ROWS}", owner=name)
        taken = f"REVOKE INSERT, DELETE, TRUNCATE, REFERENCES, TRIGGER ON s.t, s.r FROM {name}"
        execute(case.target, case.name, f"{taken}; REVOKE ALL ON FUNCTION s.f FROM PUBLIC, {name}")
        held = case.ask(HELD)
        case.run("DELETE FROM s.r; UPDATE s.t SET id = 5 WHERE id = 1; REFRESH MATERIALIZED VIEW s.m")
        case.policy = Policy()
        bring(case)
        assert case.ask("SELECT max(id) FROM s.t") == 5
        assert case.ask(HELD) == held
