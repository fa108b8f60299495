# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extensions' members: what was added, altered, dropped or put into them is told by name, and of equal ones nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.extension_rows import read_extension_rows
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.members import read_members
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.extensions import (
    check_members,
    check_rows,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Session, connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.extensions import compare_members
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.findings import Finding

from tests.case import execute, make_role
from tests.migration import Migration, endpoint, prepare
from tests.servers import PostgresServer, Servers

PAIRS: t.Final = [("15", "15"), ("15", "18"), ("18", "18")]


@dataclasses.dataclass
class Two:
    """Two databases of one name, on a source and on a target."""

    source: PostgresServer
    target: PostgresServer
    name: str

    def make(self, script: str) -> None:
        """Do the same on both sides."""
        for server in (self.source, self.target):
            execute(server, self.name, script)

    def alter(self, script: str) -> None:
        """Do something on the source alone."""
        execute(self.source, self.name, script)

    def findings(self, allowed: t.Mapping[str, str] | None = None) -> list[Finding]:
        """Return what is found where the target stands for what its server makes."""
        with self.sessions() as (here, there):
            return [
                *check_members(read_members(here), read_members(there), allowed or {}),
                *check_rows(read_extension_rows(here), read_extension_rows(there), allowed or {}),
            ]

    def differences(self) -> list[str]:
        """Return in which objects the verdict on both finds a difference."""
        migration = prepare(self.source, self.name, self.target, self.name, Path("unused"))
        migration.preflight()
        return [difference.object for difference in migration.compare().differences]

    @contextlib.contextmanager
    def sessions(self) -> t.Iterator[tuple[Session, Session]]:
        with (
            connect(endpoint("source", self.source, self.name)) as here,
            connect(endpoint("target", self.target, self.name)) as there,
        ):
            yield here, there


@pytest.fixture(params=PAIRS, ids="-".join)
def two(servers: Servers, request: pytest.FixtureRequest) -> t.Iterator[Two]:
    """Give an empty database on either side."""
    source, target = request.param
    pair = Two(servers.source(source), servers.target(target), f"ext_{secrets.token_hex(4)}")
    for server in (pair.source, pair.target):
        server.create_database(pair.name, template="template0")
    yield pair
    for server in (pair.source, pair.target):
        server.drop_database(pair.name)


MEMBERS: t.Final = """
    create extension hstore; create extension citext; create extension unaccent; create extension btree_gist;
    create table setting(k text primary key, v int); create sequence counter; create view peek as select 1 as one;
    create type mood as enum ('a', 'b'); create domain small as int check (value < 10);
    alter extension unaccent add table setting; alter extension unaccent add sequence counter;
    alter extension unaccent add view peek; alter extension unaccent add type mood;
    alter extension unaccent add domain small;
    create index setting_v on setting(v);
"""

#: What is done to a member, the code and the object of the finding.
CHANGES: t.Final = [
    ("alter function unaccent(text) immutable", "extension-altered", "function public.unaccent(text)"),
    ("alter function unaccent(text) cost 7", "extension-altered", "function public.unaccent(text)"),
    ("alter function unaccent(text) set search_path = public", "extension-altered", "function public.unaccent(text)"),
    ("alter function unaccent(text) strict parallel restricted", "extension-altered", "function public.unaccent(text)"),
    ("alter function unaccent(text) leakproof", "extension-altered", "function public.unaccent(text)"),
    ("alter function hstore(record) security definer", "extension-altered", "function public.hstore(record)"),
    ("alter function each(hstore) rows 5", "extension-altered", "function public.each(public.hstore)"),
    ("comment on function unaccent(text) is 'mine'", "extension-altered", "function public.unaccent(text)"),
    (
        "create or replace function hstore_to_text(hstore) returns text language sql as 'select 1::text';"
        "alter extension hstore add function hstore_to_text(hstore)",
        "extension-member",
        "function public.hstore_to_text(public.hstore)",
    ),
    (
        "alter operator ?(hstore, text) set (restrict = none)",
        "extension-altered",
        "operator public.?(public.hstore,text)",
    ),
    (
        "alter operator family gist_hstore_ops using gist add operator 99 =(int, int)",
        "extension-altered",
        "operator of access method operator 99 (integer, integer) of public.gist_hstore_ops USING gist",
    ),
    ("alter text search dictionary unaccent (rules = 'unaccent')", "", ""),
    (
        "alter extension hstore drop function hstore_version_diag(hstore)",
        "extension-altered",
        "function public.hstore_version_diag(public.hstore)",
    ),
    ("alter type mood add value 'c'", "extension-altered", "type public.mood"),
    ("alter type mood rename value 'b' to 'z'", "extension-altered", "type public.mood"),
    (
        "alter domain small drop constraint small_check",
        "extension-altered",
        "domain constraint small_check on public.small",
    ),
    ("alter domain small set not null", "extension-altered", "type public.small"),
    ("create or replace view peek as select 1 as one, 2 as two", "extension-altered", "view public.peek"),
    ("alter table setting add column more int", "extension-altered", "table public.setting"),
    ("alter table setting alter v set default 5", "extension-altered", "table public.setting"),
    (
        "alter table setting add check (v > 0)",
        "extension-altered",
        "table constraint setting_v_check on public.setting",
    ),
    ("create index mine on setting(v, k)", "extension-altered", "index public.mine"),
    ("drop index setting_v", "extension-altered", "index public.setting_v"),
    ("alter table setting set (fillfactor = 50)", "extension-altered", "table public.setting"),
    ("alter table setting set (toast.autovacuum_enabled = off)", "extension-altered", "table public.setting"),
    ("alter table setting enable row level security", "extension-altered", "table public.setting"),
    ("alter table setting replica identity full", "extension-altered", "table public.setting"),
    ("alter table setting alter k set statistics 7", "extension-altered", "table public.setting"),
    ("create policy p on setting using (true)", "extension-altered", "policy p on public.setting"),
    ("create rule r as on delete to setting do instead nothing", "extension-altered", "rule r on public.setting"),
    (
        "create trigger g before update on setting for each row execute function suppress_redundant_updates_trigger()",
        "extension-altered",
        "trigger g on public.setting",
    ),
    ("alter sequence counter increment 2", "extension-altered", "sequence public.counter"),
    ("insert into setting values ('a', 1)", "extension-rows", "table public.setting"),
    ("create table other(id int); alter extension hstore add table other", "extension-member", "table public.other"),
    (
        "create function f() returns int language sql as 'select 1'; alter extension hstore add function f()",
        "extension-member",
        "function public.f()",
    ),
    ("create schema s; alter extension hstore add schema s", "extension-member", "schema s"),
    ("create type c as (a int); alter extension hstore add type c", "extension-member", "type public.c"),
    # What setval does is not undone.
    ("select setval('counter', 5)", "extension-rows", "sequence public.counter"),
]


def test_equal_members(two: Two) -> None:
    """All extensions that both servers have: none is taken for another, whatever the majors."""
    for server in (two.source, two.target):
        with server.connect(two.name) as connection:
            for (name,) in connection.execute("select name from pg_available_extensions order by 1").fetchall():
                with contextlib.suppress(Exception):
                    connection.execute(f'create extension if not exists "{name}" cascade'.encode())
    with two.sessions() as (here, there):
        ours, theirs = read_members(here), read_members(there)
    assert len({member.extension for member in ours.members}) > 30
    assert compare_members(ours, theirs) == []


def test_members(two: Two) -> None:
    """Each change alone is found, at the object that was changed; undone, nothing is."""
    two.make(MEMBERS)
    assert two.findings() == []
    missed = []
    with two.sessions() as (here, there):
        here.execute("set default_transaction_read_only = off")
        made, made_rows = read_members(there), read_extension_rows(there)
        for script, code, name in CHANGES:
            here.execute("begin")
            here.execute("set local search_path = public")
            here.execute(script.encode())
            here.execute("set local search_path = ''")
            findings = [
                *check_members(read_members(here), made, {}),
                *check_rows(read_extension_rows(here), made_rows, {}),
            ]
            here.execute("rollback")
            found = {(finding.severity, finding.code, finding.object) for finding in findings}
            # What else it changes may be told as well: a table has one check more.
            as_wanted = (("error", code, name) in found and {c for _, c, _ in found} == {code}) if code else not found
            if not as_wanted:
                missed.append(f"{script}: {found}")
    assert not missed, "\n".join(missed)


def test_words(two: Two) -> None:
    """The remedies are statements that can be run."""
    two.make(MEMBERS)
    two.alter("""
        alter function unaccent(text) immutable cost 7 set search_path = secret_place;
        create table other(id int); alter extension hstore add table other; insert into other values (1);
    """)
    member, altered = sorted(two.findings(), key=lambda finding: finding.code, reverse=True)
    assert 'ALTER EXTENSION "hstore" DROP TABLE public.other;' in member.remedy
    assert "ALTER FUNCTION public.unaccent(text) RESET ALL COST 1 STABLE; on the source" in altered.remedy
    assert "ALTER FUNCTION public.unaccent(text) SET ... COST 7 IMMUTABLE;" in altered.remedy
    assert "secret_place" not in str(altered)
    two.alter("alter extension hstore drop table other; alter function unaccent(text) reset all cost 1 stable")
    assert two.findings() == []


def test_names_that_need_quotes(two: Two) -> None:
    """They are quoted in a remedy, which is run here as it stands."""
    with two.sessions() as sessions:
        known = "select from pg_available_extensions where name = 'uuid-ossp'"
        if not all(session.execute(known).fetchall() for session in sessions):
            pytest.skip("a server has no extension whose name needs quotes")
    two.make('create extension "uuid-ossp"')
    two.alter('create table "Other one"(id int); alter extension "uuid-ossp" add table "Other one"')
    (member,) = two.findings()
    two.alter(member.remedy.partition(";")[0])
    assert two.findings() == []


def test_verdict(two: Two) -> None:
    """The verdict on two live databases sees members, and what they hold."""
    two.make(MEMBERS)
    assert two.differences() == []
    two.alter("alter function unaccent(text) immutable; insert into setting values ('a', 1)")
    assert set(two.differences()) == {"function public.unaccent(text)", "table public.setting"}


def test_allowed(two: Two) -> None:
    two.make(MEMBERS)
    two.alter("alter function unaccent(text) immutable; insert into setting values ('a', 1)")
    reasons = {"function public.unaccent(text)": "for an index", "table public.setting": "made anew"}
    assert {(f.severity, f.object) for f in two.findings(reasons)} == {("notice", name) for name in reasons}


def test_plain_role(servers: Servers, two: Two) -> None:
    """Who may not read an extension's table is told so, and finds all else."""
    two.make(MEMBERS)
    role = f"plain_{secrets.token_hex(4)}"
    for server in (two.source, two.target):
        make_role(server, role, "LOGIN")
    two.alter("insert into setting values ('a', 1); alter function unaccent(text) immutable")
    try:
        migration = Migration(
            endpoint("source", two.source, two.name, (role, "secret")),
            endpoint("target", two.target, two.name, (role, "secret")),
            Path("unused"),
        )
        found = migration.preflight().findings
        assert ("warning", "extension-hidden", "table public.setting") in {
            (f.severity, f.code, f.object) for f in found
        }
        assert [d.object for d in migration.compare().differences] == ["function public.unaccent(text)"]
    finally:
        for server in (two.source, two.target):
            execute(server, "postgres", f"drop role {role}")


def test_extension_that_stays(two: Two) -> None:
    """In place, an extension may stay in the live database: it must be there what it is on the source."""
    two.make("create extension unaccent; create table setting(id int); alter extension unaccent add table setting")
    execute(two.target, two.name, "insert into setting values (1); alter function unaccent(text) cost 5")
    migration = dataclasses.replace(
        prepare(two.source, two.name, two.target, two.name, Path("unused")), load_mode="in_place"
    )
    two.make("create table t(id int)")
    found = {(f.code, f.object) for f in migration.preflight().findings if f.severity == "error"}
    assert found == {
        ("extension-altered", "function public.unaccent(text)"),
        ("extension-rows", "table public.setting"),
    }
