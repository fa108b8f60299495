# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who could use the live database still can, on real servers; and the source's owners and grants arrive when asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.privileges.wanted import Policy

from tests.case import Case, execute, new_case
from tests.migration import Migration, prepare, run
from tests.servers import PostgresServer, Servers

MAJORS: t.Final = ("15", "18")

#: What arrives.
SOURCE: t.Final = """
    create schema shop; create type shop.mood as enum ('good', 'bad');
    create table shop.item(id serial primary key, name text, price numeric, secret text);
    create table shop.fresh(id int); create view shop.cheap as select * from shop.item where price < 2;
    create materialized view shop.sums as select sum(price) from shop.item;
    create function shop.tax(numeric) returns numeric language sql as 'select $1 * 0.2';
    create procedure shop.close(out int, in int) language sql as 'select 1';
    create aggregate shop.product(numeric) (sfunc = numeric_mul, stype = numeric, initcond = '1');
    create sequence shop.numbers; create domain shop.positive as int check (value > 0);
    create table plain(id int primary key, note text);
    insert into shop.item(name, price) values ('pen', 1), ('ink', 3); insert into plain values (1, 'a');
    select lo_from_bytea(70001, 'large');
"""

#: What clients use meanwhile: the same objects but for one, others besides, and who may do what.
LIVE: t.Final = SOURCE.replace("create table shop.fresh(id int);", "create table shop.gone(id int);") + """
    alter table shop.item add old int;
    grant usage on schema shop to {app}, {reader}; grant select, insert, update on shop.item to {app};
    grant usage on sequence shop.item_id_seq to {app}; grant select (id, name), update (name) on shop.item to {reader};
    grant select (old) on shop.item to {reader}; grant select on shop.gone to {reader};
    grant select on shop.cheap, shop.sums to {reader} with grant option;
    revoke execute on function shop.tax from public; grant execute on function shop.tax to {app};
    revoke execute on procedure shop.close from public; grant execute on procedure shop.close to {app};
    revoke usage on type shop.mood from public; grant usage on type shop.mood to {app};
    grant execute on function shop.product to {reader}; grant usage on domain shop.positive to {reader};
    grant select on large object 70001 to {reader}; grant usage, select on shop.numbers to {app};
    alter default privileges in schema shop grant select on tables to {reader};
    alter default privileges revoke execute on functions from public;
    revoke all on schema public from public; grant usage on schema public to {app}; grant select on plain to {app};
"""


@contextlib.contextmanager
def roles(server: PostgresServer, *names: str, attributes: str = "LOGIN PASSWORD 'secret'") -> t.Iterator[None]:
    """Make roles that are gone afterwards, with all that they own in databases that are left."""
    for name in names:
        execute(server, "postgres", f'create role "{name}" {attributes}')
    try:
        yield
    finally:
        for name in names:
            execute(server, "postgres", f'drop owned by "{name}"; drop role "{name}"')


@dataclasses.dataclass
class Scene:
    """A case, its live database, and the roles there."""

    case: Case
    app: str
    reader: str

    def live(self, script: str) -> None:
        """Run SQL in the target's database, as superuser."""
        execute(self.case.target, self.case.name, script.format(app=self.app, reader=self.reader))

    def make_live(self, script: str, owner: str = "") -> None:
        """Make the live database."""
        self.case.target.create_database(self.case.name, template="template0", **({"owner": owner} if owner else {}))
        self.live(script)

    def tries(self, role: str, statement: str) -> str:
        """Enter the target's database as a role; return the server's refusal, or nothing."""
        try:
            with psycopg.connect(
                host=self.case.target.host,
                port=self.case.target.port,
                dbname=self.case.name,
                user=role,
                password="secret",
            ) as connection:
                connection.execute(statement.encode())
                connection.rollback()
        except psycopg.errors.InsufficientPrivilege as error:
            return str(error)
        return ""


@pytest.fixture(params=MAJORS)
def scene(request: pytest.FixtureRequest, servers: Servers) -> t.Iterator[Scene]:
    """Give a source of what arrives, and roles on the target's server."""
    with new_case(servers.source(request.param), servers.target(request.param), SOURCE) as case:
        scene = Scene(case, f"{case.name}_app", f"{case.name}_reader")
        with roles(case.target, scene.app, scene.reader):
            try:
                yield scene
            finally:
                case.clean()


def acls(server: PostgresServer, dbname: str) -> dict[str, t.Any]:
    """Return who is granted what on each object, by the catalogs, the owner's name as "owner"."""
    query = r"""
        with o(name, owner, acl) as (
            select 'c ' || relname, relowner, relacl from pg_class where relnamespace::regnamespace::text
                in ('shop', 'public') and relkind <> 'i'
            union all select 'a ' || attrelid::regclass || attname, relowner, attacl from pg_attribute
                join pg_class c on c.oid = attrelid where attacl is not null and c.oid >= 16384
            union all select 'f ' || proname, proowner, proacl from pg_proc where pronamespace::regnamespace::text = 'shop'
            union all select 't ' || typname, typowner, typacl from pg_type where typnamespace::regnamespace::text = 'shop'
                and typtype in ('e', 'd')
            union all select 'n ' || nspname, nspowner, nspacl from pg_namespace where nspname in ('shop', 'public')
            union all select 'l ' || oid, lomowner, lomacl from pg_largeobject_metadata
            union all select 'd ' || defaclrole::regrole || defaclobjtype::text || defaclnamespace::regnamespace,
                defaclrole, defaclacl from pg_default_acl)
        select name, array(select replace(coalesce(nullif(a.grantee, 0)::regrole::text, 'PUBLIC'),
                owner::regrole::text, 'owner') || ' ' || privilege_type || is_grantable from aclexplode(acl) a
            where a.grantee <> owner order by 1) from o
    """
    with server.connect(dbname) as connection:
        return {name: granted for name, granted in connection.execute(query.encode()).fetchall()}


def begin(case: Case, folder: Path, mode: str = "auto") -> Migration:
    migration = prepare(
        case.source,
        case.name,
        case.target,
        case.name,
        folder / "archive",
        source_user=case.source_user,
        target_user=case.target_user,
        policy=case.policy,
    )
    return dataclasses.replace(migration, load_mode=mode)


@pytest.mark.parametrize("mode", ["swap", "in_place"])
def test_the_application_s_role_still_can(scene: Scene, tmp_path: Path, mode: str) -> None:
    """It enters after the switch, reads and writes, and nobody can what nobody could before."""
    case = scene.case
    scene.make_live(LIVE)
    before = acls(case.target, case.name)
    outcome = run(begin(case, tmp_path, mode))
    assert outcome.status == "migrated", outcome
    case.stays()
    after = acls(case.target, case.name)
    gone = {"c gone", "a shop.itemold"}
    assert {name: granted for name, granted in after.items() if name != "c fresh"} == {
        name: granted for name, granted in before.items() if name not in gone
    }
    assert after["c fresh"] == [f"{scene.reader} SELECTfalse"]
    assert not scene.tries(scene.app, "insert into shop.item(name, price) values ('new', 5)")
    assert not scene.tries(scene.app, "select secret from shop.item; call shop.close(null, 1); select shop.tax(1)")
    assert not scene.tries(scene.reader, "select id, name from shop.item; select * from shop.cheap, shop.fresh")
    assert scene.tries(scene.reader, "select secret from shop.item")
    assert scene.tries(scene.reader, "select shop.tax(1)")
    assert scene.tries(scene.app, "delete from shop.item")
    told = {(f.code, f.object) for f in outcome.findings if f.severity == "warning"}
    assert ("grant-without-object", "table shop.gone") in told
    assert ("grant-without-object", "column old of table shop.item") in told
    assert outcome.verdict
    assert not [c for c in outcome.verdict.privileges if c.lost or c.gained]
    inserting = [c for c in outcome.verdict.privileges if (c.role, c.privilege) == (scene.app, "INSERT")]
    assert {(c.kind, c.before, c.after) for c in inserting} == {("table", 1, 1), ("column", 5, 4)}


