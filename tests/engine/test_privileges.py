# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who could use the live database still can; and the source's owners and grants arrive when they are asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.folder import read_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.manifest import decode, encode
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import examine
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.settings import Settings
from ansible_collections.pgconvoy.migrate.plugins.module_utils.privileges.proof import read_before
from ansible_collections.pgconvoy.migrate.plugins.module_utils.privileges.wanted import (
    AS_BEFORE,
    GrantsOf,
    OwnersOf,
    Policy,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.carriage import ask_live
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.privileges import judge_privileges

from tests import corpus, oracle
from tests.case import Case, execute, make_role, new_case
from tests.engine.test_corpus import create_roles
from tests.migration import Migration, prepare, run
from tests.refilling import refill_target
from tests.servers import PostgresServer, Servers

MAJORS: t.Final = ("15", "18")

#: What arrives.
SOURCE: t.Final = """
    create schema shop; create type shop.mood as enum ('good', 'bad');
    create table shop.item(id serial primary key, name text, price numeric, secret text);
    create table shop.fresh(id int); create view shop.cheap as select * from shop.item where price < 2;
    create function shop.tax(numeric) returns numeric language sql as 'select $1 * 0.2';
    create procedure shop.close(out int, in int) language sql as 'select 1';
    create aggregate shop.product(numeric) (sfunc = numeric_mul, stype = numeric, initcond = '1');
    create sequence shop.numbers; create domain shop.positive as int check (value > 0);
    create table plain(id int primary key, note text);
    insert into shop.item(name, price) values ('pen', 1), ('ink', 3); insert into plain values (1, 'a');
    create materialized view shop.sums as select sum(price) from shop.item;
    select lo_from_bytea(70001, 'large'), lo_from_bytea(7, 'with a number of the user''s choice');
"""

#: What clients use meanwhile: the same objects but for one, others besides, and who may do what.
LIVE: t.Final = (
    SOURCE.replace("create table shop.fresh(id int);", "create table shop.gone(id int);")
    + """
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
)


@contextlib.contextmanager
def roles(server: PostgresServer, *names: str, attributes: str = "LOGIN PASSWORD 'secret'") -> t.Iterator[None]:
    """Make roles that are gone afterwards, with all that they own in databases that are left."""
    for name in names:
        execute(server, "postgres", f'create role "{name}" {attributes}')
    try:
        yield
    finally:
        for name in names:
            with server.connect() as session:
                used = session.execute(
                    "select distinct datname from pg_shdepend d join pg_database b on b.oid = d.dbid"
                    " join pg_roles r on r.oid = d.refobjid where rolname = %s",
                    (name,),
                ).fetchall()
            for (dbname,) in used:
                execute(server, dbname, f'drop owned by "{name}"')
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
                case.target.drop_database(f"{case.name}__pgconvoy_staging")
                case.clean()


#: For what does not depend on the version.
newest: t.Final = pytest.mark.parametrize("scene", ["18"], indirect=True)


def acls(server: PostgresServer, dbname: str) -> dict[str, t.Any]:
    """Return who is granted what on each object, by the catalogs, the owner's name as "owner"."""
    query = r"""
        with o(name, owner, acl) as (
            select 'c ' || relname, relowner, relacl from pg_class where relnamespace::regnamespace::text
                in ('shop', 'public') and relkind <> 'i'
            union all select 'a ' || attrelid::regclass || attname, relowner, attacl from pg_attribute
                join pg_class c on c.oid = attrelid where attacl is not null and c.oid >= 16384
            union all select 'f ' || proname, proowner, proacl from pg_proc
                where pronamespace::regnamespace::text = 'shop'
            union all select 't ' || typname, typowner, typacl from pg_type
                where typnamespace::regnamespace::text = 'shop'
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
        return dict(connection.execute(query.encode()).fetchall())


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


#: What pg_dump says of owners and grants.
_PRIVILEGES: t.Final = re.compile(
    rb"(GRANT|REVOKE|ALTER DEFAULT PRIVILEGES|SET SESSION AUTHORIZATION) .*|ALTER (?!SUBSCRIPTION).* OWNER TO .*"
)


def told_by_pg_dump(server: PostgresServer, dbname: str, roles: t.Mapping[bytes, bytes]) -> list[bytes]:
    """Return owners and grants in the words of pg_dump, under other names for some roles."""
    script = oracle.whole(server, dbname, "--schema-only")
    lines = [line for line in script.splitlines() if _PRIVILEGES.fullmatch(line)]
    for name, other in roles.items():
        lines = [line.replace(name, other) for line in lines]
    return sorted(lines)


@pytest.mark.parametrize("name", ["torture"])
def test_corpus_with_its_owners_and_grants(servers: Servers, tmp_path: Path, name: str) -> None:
    """The oracle shares no code with the engine: pg_dump, roles mapped."""
    source, target = servers.source("15"), servers.target("15")
    dbname = corpus.shared(source, name)
    create_roles(source, target)
    with roles(target, "other_reader", attributes=""):
        policy = Policy("source", "source", {"tort_reader": "other_reader"})
        migration = prepare(source, dbname, target, dbname, tmp_path / "archive", policy=policy)
        try:
            outcome = run(migration)
            assert outcome.status == "migrated", outcome
            wanted = told_by_pg_dump(source, dbname, {b"tort_reader": b"other_reader"})
            assert told_by_pg_dump(target, dbname, {}) == wanted
            assert run(dataclasses.replace(migration, archive=tmp_path / "again")).status == "unchanged"
            # Drift is seen, and mended.
            execute(
                target,
                dbname,
                "revoke all on sec.acl from tort_writer cascade; alter table sec.rls owner to postgres",
            )
            told = {d.object for d in migration.compare(stop_early=True).differences if "privileges" in d.object}
            assert told == {"privileges of table sec.acl", "privileges of table sec.rls"}
        finally:
            target.drop_database(dbname)
            target.drop_database(f"{dbname}__pgconvoy_previous")


def test_what_only_one_major_knows(servers: Servers) -> None:
    """15 knows no MAINTAIN: it cannot tell that somebody shall not have it, and takes no word of it."""
    everything = "create table item(id int); grant all on item, pg_class to {a}; grant select on item to {b}"
    for source, target in (("15", "18"), ("18", "15")):
        with new_case(servers.source(source), servers.target(target)) as case:
            a, b = f"{case.name}_a", f"{case.name}_b"
            with roles(case.source, a, b), roles(case.target, a, b):
                case.run(everything.format(a=a, b=b))
                case.policy = Policy("source", "source")
                outcome = case.migrate()
                assert outcome.status == "migrated", outcome
                case.stays()
                if target == "18":
                    execute(case.target, case.name, f"grant maintain on item to {b}")
                    case.stays()
                    assert case.ask(f"select has_table_privilege('{a}', 'item', 'MAINTAIN')")
                    execute(case.target, case.name, f"revoke maintain on item from {a}")
                    assert case.migrate().status == "migrated"
                case.clean()


#: Each makes owners or grants of the copy other than they must be.
MUTATIONS: t.Final = (
    "revoke select on shop.item from {app}",
    "revoke insert on shop.item from {app}",
    "grant delete on shop.item to {app}",
    "grant select on shop.item to {app} with grant option",
    "revoke grant option for select on shop.cheap from {reader}",
    "revoke select (id) on shop.item from {reader}",
    "grant select (secret) on shop.item to {reader}",
    "revoke update (name) on shop.item from {reader}",
    "revoke usage on schema shop from {reader}",
    "grant create on schema shop to {app}",
    "grant usage on schema public to public",
    "revoke usage on sequence shop.item_id_seq from {app}",
    "grant update on sequence shop.numbers to {app}",
    "grant execute on function shop.tax to public",
    "revoke execute on procedure shop.close from {app}",
    "revoke execute on function shop.product from {reader}",
    "revoke execute on function shop.product from public",
    "grant usage on type shop.mood to public",
    "revoke usage on type shop.mood from {app}",
    "revoke usage on domain shop.positive from {reader}",
    "revoke select on large object 70001 from {reader}",
    "grant update on large object 70001 to public",
    "alter default privileges in schema shop revoke select on tables from {reader}",
    "alter default privileges grant execute on functions to public",
    "alter default privileges grant select on tables to {app}",
    "alter table shop.item owner to {app}",
    "alter function shop.tax owner to {app}",
    "alter schema shop owner to {app}",
    "alter type shop.mood owner to {app}",
    "alter large object 70001 owner to {app}",
    "alter large object 7 owner to {app}",
    "revoke usage on language plpgsql from public",
    "grant execute on function pg_catalog.pg_read_file(text) to {app}",
    "revoke select on pg_catalog.pg_class from public",
    "grant select on shop.fresh to {app}",
    "revoke select on shop.fresh from {reader}",
)


def test_every_mutation_is_caught(scene: Scene, tmp_path: Path) -> None:
    """Of owners, grants and default privileges on the copy; and the copy as it is, is right."""
    scene.make_live(LIVE)
    migration = begin(scene.case, tmp_path)
    migration.preflight()
    migration.dump()
    migration.restore_schema()
    migration.restore_data()
    before = ask_live(migration.target, read_before)
    with connect(migration.staging) as session:
        assert judge_privileges(session, AS_BEFORE, before, None, made=True).equal
        missed = []
        for mutation in MUTATIONS:
            with session.transaction(force_rollback=True):
                session.execute(mutation.format(app=scene.app, reader=scene.reader).encode())
                if judge_privileges(session, AS_BEFORE, before, None, made=True).equal:
                    missed.append(mutation)
        assert not missed
    execute(scene.case.target, migration.generations.staging, f"revoke select on shop.item from {scene.app}")
    with pytest.raises(
        MigrationError, match=f"{scene.app} lacks SELECT; {scene.app} could SELECT in the live database"
    ):
        migration.verify()


#: The live database is another role's, of which the plain target user is a member; the application is a third one.
OWNED: t.Final = """
    set role {app}; create schema shop; create table shop.item(id serial primary key, price numeric);
    create function shop.tax(numeric) returns numeric language sql as 'select $1';
    grant usage on schema shop to {reader}; grant select on shop.item to {reader} with grant option;
    alter default privileges in schema shop grant select on tables to {reader};
"""


@pytest.mark.parametrize("owners", ["target_user", "live"])
@pytest.mark.parametrize("mode", ["swap", "in_place"])
def test_plain_role(scene: Scene, tmp_path: Path, owners: OwnersOf, mode: str) -> None:
    """The target user is no superuser, but a member of what owned the live database, which still can all it could."""
    case = scene.case
    make_role(case.target, f"{case.name}_role", "LOGIN CREATEDB")
    case.target_user, case.policy = (f"{case.name}_role", "secret"), Policy("live", owners)
    execute(case.target, "postgres", f"grant {scene.app} to {case.name}_role")
    scene.make_live(OWNED, owner=scene.app)
    outcome = run(begin(case, tmp_path, mode))
    assert outcome.status == "migrated", outcome
    assert outcome.verdict
    assert not [change for change in outcome.verdict.privileges if change.lost]
    case.stays()
    for statement in (
        "insert into shop.item(price) values (5)",
        "truncate shop.item",
        "select shop.tax(1)",
        "grant select on shop.item to pg_monitor",
        "create table shop.mine()",
    ):
        assert not scene.tries(scene.app, statement), statement
    assert not scene.tries(scene.reader, "select * from shop.item, shop.fresh")
    assert not scene.tries(scene.reader, "grant select on shop.item to pg_monitor")
    assert bool(scene.tries(scene.app, "alter table shop.item add more int")) == (owners == "target_user")


@newest
def test_what_a_plain_role_may_not_give(scene: Scene) -> None:
    """It is told beforehand, who may, and can be allowed to stay as it is."""
    case = scene.case
    case.make_roles()
    scene.make_live(
        "alter default privileges for role {app} grant select on tables to {reader};"
        "create table plain(id int primary key, note text); alter table plain owner to {app};"
        "revoke execute on function pg_catalog.pg_sleep(double precision) from public",
        owner=f"{case.name}_role",
    )
    case.policy = Policy("live", "live")
    refused = {(finding.code, finding.object) for finding in case.examine() if finding.severity == "error"}
    assert {
        ("owner-forbidden", f"role {scene.app}"),
        ("grant-forbidden", f"default privileges of role {scene.app} on each table"),
        ("grant-forbidden", "privileges of function pg_catalog.pg_sleep(double precision)"),
    } <= refused
    said = next(f for f in case.examine() if f.code == "owner-forbidden")
    assert said.remedy.startswith(f'GRANT "{scene.app}" TO "{case.name}_role";')


@newest
def test_role_map(scene: Scene) -> None:
    """Unknown roles, two for one, roles that the target lacks, with the statement that makes them."""
    case, (ours, other, third) = scene.case, (f"{scene.case.name}_{suffix}" for suffix in ("ours", "other", "third"))
    with roles(case.source, ours), roles(case.source, other, third, attributes=""):
        case.run(
            f"grant select on plain to {ours}; grant insert on plain to {other}; alter table plain owner to {third}"
        )
        case.policy = Policy("source", "source", {"nobody": scene.app})
        assert case.finds("role-map") == [("error", "role nobody")]
        missing = {finding.object: finding.remedy for finding in case.examine() if finding.code == "role-missing"}
        assert missing.keys() == {f"role {ours}", f"role {other}", f"role {third}"}
        assert missing[f"role {ours}"].startswith(f'CREATE ROLE "{ours}" LOGIN; on the target')
        assert missing[f"role {other}"].startswith(f'CREATE ROLE "{other}"; on the target')
        case.policy = Policy("source", "source", {ours: scene.app, other: scene.app, third: scene.reader})
        assert case.finds("role-map") == [("error", f"role {scene.app}")]
        case.policy = Policy("source", "source", {ours: scene.app, other: "postgres", third: scene.reader})
        case.arrives()
        assert case.ask("select pg_get_userbyid(relowner) from pg_class where relname = 'plain'") == scene.reader
        assert not scene.tries(scene.app, "select * from plain")
        case.stays()
        scene.live("revoke select on plain from {app}")
        assert case.migrate().status == "migrated"
        assert not scene.tries(scene.app, "select * from plain")


@newest
def test_chains_roles_that_are_gone_and_public(scene: Scene) -> None:
    """Whoever has granted what: it stays theirs for a superuser; what is gone is told; what PUBLIC may not stays so."""
    case = scene.case
    with roles(case.target, f"{case.name}_gone", attributes=""):
        scene.make_live(
            LIVE + "set role {reader}; grant select on shop.cheap to {app}; reset role;"
            f"grant select on plain to {case.name}_gone;"
        )
        # As a server that was repaired by hand has it: the role goes, the grant stays.
        execute(
            case.target,
            "postgres",
            f"delete from pg_shdepend d using pg_roles r where r.oid = d.refobjid and r.rolname = '{case.name}_gone'",
        )
        execute(case.target, "postgres", f"drop role {case.name}_gone; create role {case.name}_gone")
        assert ("notice", "table public.plain") in case.finds("grant-without-role")
        outcome = case.migrate()
        assert outcome.status == "migrated", outcome
    assert case.ask("select relacl::text from pg_class where relname = 'cheap'").count(f"/{scene.reader}") == 1
    assert case.ask("select has_function_privilege('public', 'shop.tax(numeric)', 'EXECUTE')") is False


@newest
def test_archive_of_an_older_version(scene: Scene, tmp_path: Path) -> None:
    """It is read as ever; its source's grants cannot be had, and that is said."""
    migration = begin(scene.case, tmp_path)
    migration.preflight()
    manifest = dataclasses.replace(migration.dump(), privileges=None)
    text = encode(manifest)
    assert decode(text, "manifest").privileges is None
    assert decode(encode(read_archive(migration.archive).manifest), "manifest").privileges is not None
    with pytest.raises(MigrationError, match="does not hold the source's owners and grants"):
        decode(text, "manifest").require_privileges(needed=True)
    target = migration.target
    found = examine(Request(None, target, "restore", settings=Settings(policy=Policy("source"))), manifest)
    assert "grants-unknown" in {finding.code for finding in found.findings}
    found = examine(Request(None, target, "restore"), manifest)
    assert not [finding for finding in found.findings if finding.severity == "error"]


@newest
def test_event_triggers_do_not_fire_for_grants(scene: Scene) -> None:
    case = scene.case
    case.run(
        "create function no() returns event_trigger language plpgsql as 'begin raise exception ''no''; end';"
        "create event trigger no on ddl_command_end execute function no()"
    )
    scene.make_live(LIVE)
    assert case.migrate().status == "migrated"


@newest
def test_members_of_extensions(scene: Scene) -> None:
    """Only what differs from what the extension grants is carried."""
    case = scene.case
    case.run("create extension pg_trgm")
    scene.make_live(
        LIVE + "create extension pg_trgm; revoke execute on function similarity from public;"
        "grant execute on function similarity to {app}"
    )
    assert case.migrate().status == "migrated"
    assert scene.tries(scene.reader, "select public.similarity('a', 'b')")
    assert not scene.tries(scene.app, "select public.similarity('a', 'b')")
    case.stays()


@newest
@pytest.mark.parametrize("grants", ["live", "source"])
def test_a_member_of_an_extension_with_an_owner_of_its_own(scene: Scene, grants: GrantsOf) -> None:
    """Its owner is the extension's again, and who owned it still can what it could."""
    case, extension = scene.case, "create extension pg_trgm;"
    owned = f"{extension} revoke execute on function similarity from public; alter function similarity owner to {{app}}"
    with roles(case.source, scene.app):
        case.policy = Policy(grants)
        case.run(owned.format(app=scene.app) if grants == "source" else extension)
        scene.make_live(LIVE + (owned if grants == "live" else extension))
        assert case.migrate().status == "migrated"
        assert not scene.tries(scene.app, "select public.similarity('a', 'b')")
        assert scene.tries(scene.reader, "select public.similarity('a', 'b')")
        case.stays()
        # A role cannot be dropped as long as members of an extension are its own.
        case.run("drop extension pg_trgm")


@pytest.mark.parametrize("grants", ["live", "source"])
def test_grants_of_the_information_schema(scene: Scene, grants: GrantsOf) -> None:
    """It is the server's own, too, though initdb does not note down what it was granted."""
    case = scene.case
    script = """
        revoke usage on schema information_schema from public; grant usage on schema information_schema to {app};
        revoke select on information_schema.tables from public; grant select on information_schema.transforms to {app};
    """
    with roles(case.source, scene.app):
        case.policy = Policy(grants)
        case.run(script.format(app=scene.app) if grants == "source" else "")
        scene.make_live(LIVE + (script if grants == "live" else ""))
        assert case.migrate().status == "migrated"
        assert scene.tries(scene.reader, "select * from information_schema.columns")
        assert not scene.tries(scene.app, "select * from information_schema.columns, information_schema.transforms")
        assert scene.tries(scene.app, "select * from information_schema.tables")
        case.stays()


@pytest.mark.parametrize("grants", ["live", "source"])
def test_grants_on_what_comes_with_tables(scene: Scene, grants: GrantsOf) -> None:
    """Each table has columns of the system's, and a type of its rows; and what is stored beside, a schema."""
    case, reader = scene.case, scene.reader
    script = """
        grant select (ctid, xmin) on plain to {reader}; grant usage on schema pg_toast to {reader};
        revoke usage on type plain, shop.cheap from public; grant usage on type plain to {reader};
    """
    with roles(case.source, reader):
        case.policy = Policy(grants)
        case.run(script.format(reader=reader) if grants == "source" else "")
        scene.make_live(LIVE + (script if grants == "live" else ""))
        assert case.migrate().status == "migrated"
        granted = f"""
            select has_schema_privilege('{reader}', 'pg_toast', 'usage')
               and has_column_privilege('{reader}', 'plain', 'ctid', 'select')
               and has_column_privilege('{reader}', 'plain', 'xmin', 'select')
               and not has_column_privilege('{reader}', 'plain', 'cmin', 'select')
               and has_type_privilege('{reader}', 'plain', 'usage')
               and not has_type_privilege('{scene.app}', 'plain', 'usage')
               and not has_type_privilege('{reader}', 'shop.cheap', 'usage')
               and has_type_privilege('{reader}', 'shop.item', 'usage')
        """
        assert case.ask(granted)
        case.stays()
        if grants == "source":
            scene.live("revoke select (ctid) on plain from {reader}; grant select (cmin) on plain to {reader}")
            assert case.migrate().status == "migrated"
            assert case.ask(granted)
            for drift in ("grant usage on type plain to public", "revoke usage on type shop.item from public"):
                scene.live(drift)
                assert case.migrate().status == "migrated"
                assert case.ask(granted)


@newest
def test_a_member_of_an_extension_whose_owner_has_another_name(scene: Scene) -> None:
    """The superuser who has made it on the source need not be known on the target."""
    case = scene.case
    boss = f"{case.name}_boss"
    with roles(case.source, boss, attributes="superuser"):
        case.policy = Policy("source")
        case.run(
            f"set role {boss}; create extension pg_trgm; revoke execute on function similarity from public; reset role"
        )
        outcome = case.migrate()
        assert outcome.status == "migrated", outcome
        assert scene.tries(scene.reader, "select public.similarity('a', 'b')")
        case.run("drop extension pg_trgm")


@newest
def test_a_database_that_not_everybody_may_enter(scene: Scene) -> None:
    """Where there is no live database whose grants its successor has, everybody may."""
    case = scene.case
    case.run(f'revoke connect on database "{case.name}" from public')
    (told,) = [finding.message for finding in case.examine() if finding.code == "owners-and-grants"]
    assert told == "1 of its objects carry grants (database), which are not carried."
    scene.make_live("")
    assert case.finds("owners-and-grants") == []


@newest
@pytest.mark.parametrize("owners", ["source", "live", "target_user"])
def test_an_extension_has_whom_it_was_made_by(scene: Scene, owners: OwnersOf) -> None:
    """No command gives one away: who has owned it, and will not, is told."""
    case, reader = scene.case, scene.reader
    case.policy = Policy(owners=owners)
    made = f'grant create on database "{case.name}" to {reader}; set role {reader}; create extension hstore'
    with roles(case.source, reader):
        if owners == "source":
            case.run(made)
        else:
            case.run("create extension hstore")
            scene.make_live(made)
        outcome = case.migrate()
        assert outcome.status == "migrated", outcome
        told = [str(finding) for finding in outcome.findings if finding.code == "owner-changed"]
        assert [f"role {reader}: it owns extension hstore, " in one for one in told] == [True]
        assert case.ask("select extowner::regrole::text from pg_extension where extname = 'hstore'") == "postgres"
        case.run("drop extension hstore")


@newest
def test_a_plain_role_grants_nothing_on_a_member_of_an_extension(scene: Scene) -> None:
    """An extension's member is the superuser's once more, who alone may grant on it: preflight says so."""
    case = scene.case
    case.make_roles()
    case.run("create extension pg_trgm")
    scene.make_live("create extension pg_trgm", owner=f"{case.name}_role")
    scene.live(f"alter function similarity owner to {case.name}_role")
    case.source_user = None
    assert case.finds("grant-forbidden") == [
        ("error", "privileges of function public.similarity(pg_catalog.text,pg_catalog.text)")
    ]


@newest
def test_a_schema_that_is_kept_keeps_its_grants(scene: Scene) -> None:
    case = scene.case
    scene.make_live(
        LIVE.replace("shop.gone", "shop.fresh")
        .replace("alter table shop.item add old int;", "")
        .replace("grant select (old) on shop.item to {reader};", "")
        + "delete from plain"
    )
    before = acls(case.target, case.name)
    assert refill_target(case).verdict.equal
    assert acls(case.target, case.name) == before


def test_database_parameters_and_odd_functions(scene: Scene) -> None:
    """With the source's grants: those on the database, on parameters, on procedures and aggregates of every kind."""
    case, app = scene.case, scene.app
    with roles(case.source, app):
        case.run(
            f"""
            create function "odd "" % name"("a b" shop.mood, variadic int[]) returns int language sql as 'select 1';
            create procedure twice(out int, in int, in int) language sql as 'select 1';
            create procedure twice(in int, in int, in int) language sql as 'select 1';
            create aggregate every_thing(*) (sfunc = int8inc, stype = int8, initcond = '0');
            create aggregate middle(order by anyelement)
                (sfunc = ordered_set_transition, stype = internal, finalfunc = mode_final, finalfunc_extra);
            create aggregate middle(float8 order by anyelement)
                (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra);
            create table "t %s ""x"(" %I " int, b int); grant select (" %I ") on "t %s ""x" to {app};
            revoke execute on all routines in schema public from public;
            grant execute on all routines in schema public to {app};
            revoke connect on database {case.name} from public; grant connect on database {case.name} to {app};
            grant set on parameter log_statement to {app};
            """
        )
        case.policy = Policy("source")
        try:
            outcome = case.migrate()
            assert outcome.status == "migrated", outcome
            assert not scene.tries(app, 'set log_statement = "all"; select " %I " from "t %s ""x"')
            assert scene.tries(app, 'select b from "t %s ""x"')
            assert case.ask(f"select has_database_privilege('{scene.reader}', '{case.name}', 'CONNECT')") is False
            case.stays()
            assert not [f for f in case.examine() if f.code in ("owners-and-grants", "grantor-changed")]
        finally:
            for server in (case.source, case.target):
                execute(server, "postgres", f"revoke set on parameter log_statement from {app}")
