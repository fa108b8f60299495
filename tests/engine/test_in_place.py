# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database filled in place: as faithful as a copy beside it, and undone by anything that goes wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.folder import read_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.manifest import FILE_NAME, Manifest, encode
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.backup import back_up, rehearse
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.scratch import NoScratchError

from tests import corpus, oracle
from tests.case import Case, execute, make_role, new_case
from tests.databases import APPLICATION, BEFORE, Database, untouched
from tests.engine.test_corpus import create_roles
from tests.engine.test_pairs import MEDIUM
from tests.migration import Credentials, Migration, Outcome, prepare, run
from tests.servers import PostgresServer, Servers

#: What is hard to clear: all of it goes before the copy can come.
HARD = """
    create schema "we ""ird"; create schema ext; create extension pg_trgm schema ext; create extension citext;
    create table "we ""ird"."t\nwo"("a b" serial primary key, c ext.gtrgm[], d citext);
    create table doc(id int generated always as identity, body text);
    create index on doc using gist (body ext.gist_trgm_ops (siglen = 32));
    create table parent(k int) partition by list (k); create table child partition of parent for values in (1);
    create view v1 as select * from doc; create materialized view mv as select * from v1;
    create function one(v1) returns int language sql begin atomic select 1; end;
    create domain d1 as int check (value > 0); create type comp as (x d1); create table uses(c comp);
    create aggregate every_thing(*) (sfunc = int8inc, stype = int8, initcond = '0');
    create function plus_(doc, doc) returns doc language sql as 'select $1';
    create operator ~~~ (leftarg = doc, rightarg = doc, function = plus_);
    create publication pub for table doc; create text search configuration conf (copy = english);
    create statistics st on id, body from doc; create collation coll from "C";
    create rule r as on insert to uses do instead nothing;
    create function tell() returns event_trigger language plpgsql as 'begin raise exception ''not allowed''; end';
    create procedure p() language sql as 'select 1'; create cast (comp as int) with inout as assignment;
    create procedure twice(out int, in int, in int) language sql as 'select 1';
    create procedure twice(in int, in int, in int) language sql as 'select 1';
    create transform for int language sql (from sql with function prsd_lextype(internal));
    select lo_from_bytea(70001, 'old'); select lo_from_bytea(70002, 'older');
    insert into doc(body) select 'x' from generate_series(1, 100);
    create event trigger blocks on sql_drop execute function tell();
"""


@contextlib.contextmanager
def filled(server: PostgresServer, name: str, script: str = BEFORE, owner: str = "") -> t.Iterator[Database]:
    """Give a live database to replace, with properties of its own."""
    server.create_database(name, template="template0", **({"owner": owner} if owner else {}))
    try:
        execute(server, name, f"set role {owner}; {script}" if owner else script)
        execute(server, name, f'alter database "{name}" connection limit 50; alter database "{name}" set geqo = off')
        execute(server, name, f'grant create on database "{name}" to pg_monitor')
        yield Database(server, name)
    finally:
        server.drop_database(name)


def in_place(case: Case, folder: Path, user: Credentials = None, mode: str = "in_place") -> Migration:
    migration = prepare(case.source, case.name, case.target, case.name, folder / "archive", target_user=user)
    return dataclasses.replace(migration, load_mode=mode)


def oid(live: Database) -> object:
    with live.server.connect() as session:
        return session.execute("select oid from pg_database where datname = %s", (live.name,)).fetchone()


@pytest.mark.parametrize("name", ["torture", "grafast", "pgcopydb_blobs", "danbooru"])
def test_corpus(servers: Servers, tmp_path: Path, name: str) -> None:
    source, target = servers.source("15"), servers.target("15")
    source_db = corpus.shared(source, name)
    create_roles(source, target)
    with filled(target, f"place_{name}", HARD) as live:
        before, properties = oid(live), oracle.databases(target)
        migration = prepare(source, source_db, target, live.name, tmp_path / "archive")
        migration = dataclasses.replace(migration, load_mode="in_place")
        outcome = run(migration)
        assert outcome.status == "migrated", outcome
        oracle.assert_equal(source, source_db, target, live.name)
        # The database is the same one, with all of its own but what the source sets besides.
        assert oid(live) == before
        *own, comment, settings = properties.pop(live.name)
        after = oracle.databases(target)
        *still_own, _, new_settings = after.pop(live.name)
        assert still_own == own
        assert comment is None
        assert set(settings) <= set(new_settings)
        assert after == properties
        assert run(dataclasses.replace(migration, archive=tmp_path / "second")).status == "unchanged"


def test_plain_role_without_createdb(servers: Servers, tmp_path: Path) -> None:
    """LOGIN is enough, on a database of one's own; what the run did not find there, it leaves."""
    with (
        new_case(servers.source(), servers.target(), MEDIUM) as case,
        plain_role(case) as user,
        filled(case.target, case.name, f"{BEFORE}; select lo_from_bytea(7, 'x')", owner=user[0]),
    ):
        migration = in_place(case, tmp_path, user, mode="auto")
        outcome = run(migration)
        assert outcome.status == "migrated", outcome
        told = [finding for finding in outcome.findings if finding.code == "load-mode"]
        assert [str(finding).partition(". ")[2] for finding in told] == [
            f"role {user[0]}: it may not create databases on the target, so no copy can be built beside the live "
            "database."
        ]
        oracle.assert_equal(case.source, case.name, case.target, case.name)
        # Its CHECK over an IN list is worded otherwise by now, and no scratch database can tell that it is
        # the same.
        with pytest.raises(NoScratchError, match=f'ALTER ROLE "{user[0]}" CREATEDB'):
            migration.compare()
        again = run(dataclasses.replace(migration, archive=tmp_path / "again"))
        assert again.status == "migrated", again
        # Where words agree, nothing needs to be asked.
        case.run("drop schema app cascade; create table t(id int primary key); insert into t values (1)")
        assert run(dataclasses.replace(migration, archive=tmp_path / "third")).status == "migrated"
        assert run(dataclasses.replace(migration, archive=tmp_path / "fourth")).status == "unchanged"


def test_plain_role_without_another_database(servers: Servers, tmp_path: Path) -> None:
    """It may enter its own database alone."""
    with new_case(servers.source(), servers.target(), APPLICATION) as case, plain_role(case) as user:
        execute(case.target, "postgres", "revoke connect on database postgres from public")
        try:
            with filled(case.target, case.name, owner=user[0]):
                outcome = run(in_place(case, tmp_path, user, mode="auto"))
                assert outcome.status == "migrated", outcome
                oracle.assert_equal(case.source, case.name, case.target, case.name)
        finally:
            execute(case.target, "postgres", "grant connect on database postgres to public")


@contextlib.contextmanager
def plain_role(case: Case) -> t.Iterator[tuple[str, str]]:
    """Give a role that may log in on the target, and nothing else; databases of its own must be gone at the end."""
    user = f"{case.name}_plain", "secret"
    make_role(case.target, user[0], "LOGIN")
    try:
        yield user
    finally:
        execute(case.target, "postgres", f"drop role {user[0]}")


def test_extension_of_somebody_else(servers: Servers, tmp_path: Path) -> None:
    """Only a superuser can create it, and it is there: it stays, with the schema that holds it."""
    install = "create schema ext; create extension pageinspect schema ext; create extension citext;"
    make = f"{install} create table t(id int, c citext); insert into t values (1, 'x')"
    with (
        new_case(servers.source("15"), servers.target("15"), make) as case,
        plain_role(case) as user,
        filled(case.target, case.name, owner=user[0]) as live,
    ):
        live.execute(install)
        extension = "select oid from pg_extension where extname = 'pageinspect'"
        before = live.query(extension)
        outcome = run(in_place(case, tmp_path, user, mode="auto"))
        assert outcome.status == "migrated", outcome
        oracle.assert_equal(case.source, case.name, case.target, case.name)
        assert live.query(extension) == before


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("drop schema public", ""),
        ("", "drop schema public; create schema other"),
        ("comment on schema public is 'x'", ""),
    ],
)
def test_schema_public(servers: Servers, tmp_path: Path, theirs: str, ours: str) -> None:
    """Where it must be made, it is as initdb makes it."""
    with (
        new_case(
            servers.source(), servers.target(), f"{ours or 'select'}; create schema s; create table s.t()"
        ) as case,
        filled(case.target, case.name, theirs or "select") as live,
    ):
        outcome = run(in_place(case, tmp_path))
        assert outcome.status == "migrated", outcome
        public = "select nspowner::regrole::text, nspacl::text from pg_namespace where nspname = 'public'"
        assert live.query(public) == Database(case.source, case.name).query(public)
        oracle.assert_equal(case.source, case.name, case.target, case.name)


def test_schema_public_of_somebody_else(servers: Servers, tmp_path: Path) -> None:
    """Who owns it is the place's affair, and no difference."""
    with (
        new_case(servers.source(), servers.target(), APPLICATION) as case,
        filled(case.target, case.name, f"{BEFORE}; alter schema public owner to pg_monitor"),
    ):
        assert run(in_place(case, tmp_path)).status == "migrated"
        assert case.ask("select nspowner::regrole::text from pg_namespace where nspname = 'public'") == "pg_monitor"
        assert run(dataclasses.replace(in_place(case, tmp_path), archive=tmp_path / "second")).status == "unchanged"


def alter_row(archive: Path, manifest: Manifest) -> Manifest:
    """Alter a value on its way, with all sums put right: only the verdict can tell."""
    table = next(table for table in manifest.tables if table.name == "item")
    assert table.file
    path = archive / table.file.name
    path.write_bytes(path.read_bytes().replace(b"1.50", b"1.51"))
    file = dataclasses.replace(table.file, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    tables = [dataclasses.replace(table, file=file) if other is table else other for other in manifest.tables]
    return dataclasses.replace(manifest, tables=tuple(tables))


def lose_table(archive: Path, manifest: Manifest) -> Manifest:
    """Lose a table's rows on their way."""
    (lost,) = [table for table in manifest.tables if table.name == "item"]
    assert lost.file
    (archive / lost.file.name).unlink()
    return dataclasses.replace(manifest, tables=tuple(table for table in manifest.tables if table.name != "item"))


def lose_large_objects(archive: Path, manifest: Manifest) -> Manifest:
    assert manifest.large_objects
    (archive / manifest.large_objects.name).unlink()
    return dataclasses.replace(manifest, large_objects=None)


def break_key(archive: Path, manifest: Manifest) -> Manifest:
    """Let a row refer to one that is not there: the server refuses the foreign key, late in the run."""
    table = next(table for table in manifest.tables if table.name == "item")
    assert table.file
    path = archive / table.file.name
    path.write_bytes(path.read_bytes().replace(b"2\t-3", b"9\t-3"))
    file = dataclasses.replace(table.file, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    tables = [dataclasses.replace(table, file=file) if other is table else other for other in manifest.tables]
    return dataclasses.replace(manifest, tables=tuple(tables))


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (alter_row, "table public.item: 3 rows on both sides, but not the same ones"),
        (lose_table, "table public.item: 3 rows on the source, 0 on the target"),
        (lose_large_objects, "large object 70001: missing on the target"),
        (break_key, "Cannot create fk constraint public.item item_owner_fkey"),
    ],
)
def test_what_goes_wrong_is_undone(
    servers: Servers, tmp_path: Path, fault: t.Callable[[Path, Manifest], Manifest], told: str
) -> None:
    """Everything, positions of sequences and large objects too."""
    live_script = f"{BEFORE}; create sequence item_id_seq start 41; select nextval('item_id_seq'); {HARD}"
    with new_case(servers.source("15"), servers.target("15"), APPLICATION) as case:
        if fault in (lose_table, break_key):
            case.run("alter table owner drop constraint owner_favourite_fkey")
        if fault is lose_table:
            case.run("alter table item drop constraint item_owner_fkey")
        with filled(case.target, case.name, live_script) as live:
            migration = in_place(case, tmp_path)
            migration.preflight()
            manifest = fault(migration.archive, migration.dump())
            (migration.archive / FILE_NAME).write_bytes(encode(manifest))
            with untouched(live), pytest.raises(MigrationError) as refusal:
                migration.replace()
            assert told in str(refusal.value)


def test_table_in_use(servers: Servers, tmp_path: Path) -> None:
    """Who holds it is told, and nobody waits for long."""
    with new_case(servers.source(), servers.target(), APPLICATION) as case, filled(case.target, case.name) as live:
        migration = in_place(case, tmp_path)
        migration.preflight()
        migration.dump()
        with live.server.connect(live.name) as client:
            client.execute("set application_name = 'cash desk'; begin; select * from item")
            with untouched(live), pytest.raises(MigrationError) as refusal:
                migration.replace()
            assert f"session {client.info.backend_pid} of {live.server.user} (cash desk)" in str(refusal.value)
            assert "Stop these clients" in str(refusal.value)


@pytest.mark.parametrize(
    ("script", "refusal"),
    [
        ("create table t(); alter table t owner to pg_monitor", ("not-owner", "role pg_monitor")),
        ("alter schema public owner to pg_monitor", ("no-create", "schema public")),
    ],
)
def test_what_the_role_may_not_replace(servers: Servers, tmp_path: Path, script: str, refusal: tuple[str, str]) -> None:
    with (
        new_case(servers.source(), servers.target(), APPLICATION) as case,
        plain_role(case) as user,
        filled(case.target, case.name, "create schema mine", owner=user[0]) as live,
    ):
        live.execute(f"create schema other; alter schema other owner to pg_monitor; {script}")
        execute(live.server, live.name, "alter schema other owner to pg_monitor")
        if "table" in script:
            live.execute("alter table t set schema other")
        with untouched(live):
            outcome = run(in_place(case, tmp_path, user, mode="auto"))
        assert refusal in outcome.refusals, outcome
        # The other way out is told, too.
        assert ("no-createdb", f"role {user[0]}") in outcome.refusals


def test_locale_that_the_database_does_not_have(servers: Servers, tmp_path: Path) -> None:
    with (
        new_case(
            servers.source(), servers.target(), APPLICATION, encoding="SQL_ASCII", lc_collate="C", lc_ctype="C"
        ) as case,
        filled(case.target, case.name) as live,
        untouched(live),
    ):
        assert run(in_place(case, tmp_path)).refusals >= {("locale", "database encoding")}


def test_no_database_to_fill(servers: Servers, tmp_path: Path) -> None:
    with new_case(servers.source(), servers.target(), APPLICATION) as case:
        assert run(in_place(case, tmp_path)).refusals == {("target-missing", f'database "{case.name}"')}


def test_backup_is_rehearsed(servers: Servers, tmp_path: Path) -> None:
    with new_case(servers.source(), servers.target(), APPLICATION) as case, filled(case.target, case.name) as live:
        migration = in_place(case, tmp_path)
        tools = migration.preflight().tools
        assert tools
        with untouched(live):
            assert back_up(migration.target, tools, tmp_path / "backup", 2)
            assert rehearse(migration.target, tools, tmp_path / "backup", "run", 2, {})
        # One that would not give back everything is not kept, and stops the run.
        manifest = read_archive(tmp_path / "backup").manifest
        lost = dataclasses.replace(manifest, tables=manifest.tables[1:])
        assert manifest.tables[0].file
        (tmp_path / "backup" / manifest.tables[0].file.name).unlink()
        (tmp_path / "backup" / FILE_NAME).write_bytes(encode(lost))
        with untouched(live), pytest.raises(MigrationError, match="restored into a database of its own, differs"):
            rehearse(migration.target, tools, tmp_path / "backup", "run", 2, {})
        assert not (tmp_path / "backup").exists()


def test_nothing_to_back_up(servers: Servers, tmp_path: Path) -> None:
    with new_case(servers.source(), servers.target(), APPLICATION) as case, filled(case.target, case.name, "select"):
        migration = in_place(case, tmp_path)
        tools = migration.preflight().tools
        assert tools
        assert back_up(migration.target, tools, tmp_path / "backup", 2) is None
        assert not (tmp_path / "backup").exists()


def test_status_of_a_run(servers: Servers, tmp_path: Path) -> None:
    """A whole run over what it has made itself, and over drift."""
    with new_case(servers.source(), servers.target(), APPLICATION) as case, filled(case.target, case.name) as live:

        def again(name: str) -> Outcome:
            return run(dataclasses.replace(in_place(case, tmp_path), archive=tmp_path / name))

        assert again("one").status == "migrated"
        assert again("two").status == "unchanged"
        live.execute("update owner set name = 'drift' where id = 1")
        assert again("three").status == "migrated"
        oracle.assert_equal(case.source, case.name, case.target, case.name)
