# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs of majors, and the client tools that serve them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.case import new_case
from tests.migration import migrate
from tests.refilling import make_target
from tests.servers import Servers

#: A bit of everything that every supported major knows.
MEDIUM = """
    create schema app; create type app.mood as enum ('sad', 'ok'); create domain app.posint as int check (value > 0);
    create table app.customer(
        id bigint generated always as identity primary key, name varchar(40) not null check (name in ('ann', 'bob',
            'Zoë')),
        mood app.mood, points app.posint default 7, born date, tags text[], extra jsonb,
        twice numeric generated always as (points * 2.5) stored);
    create table app.invoice(id serial primary key,
        customer_id bigint not null references app.customer on delete cascade,
        total numeric(12,2), at timestamptz not null, exclude using gist (period with &&), period tstzrange)
            with (fillfactor = 70);
    create table app.measure(at date not null, value double precision, note text) partition by range (at);
    create table app.measure_2024 partition of app.measure for values from ('2024-01-01') to ('2025-01-01');
    create table app.measure_rest partition of app.measure default;
    create table app.base(id int); create table app.derived(more text) inherits (app.base);
    insert into app.customer(name, mood, points, born, tags, extra)
        select (array['ann','bob','Zoë'])[1+g%3], (array['sad','ok'])[1+g%2]::app.mood, g, '2000-01-01'::date + g,
            array['t'||g, null],
               jsonb_build_object('g', g, 'x', 'é') from generate_series(1,500) g;
    insert into app.invoice(customer_id, total, at, period)
        select 1+g%500, g*1.01, '2024-01-01 00:00:00+00'::timestamptz + g * interval '1 hour',
               tstzrange('2024-01-01 00:00:00+00'::timestamptz + g * interval '1 hour',
                   '2024-01-01 00:00:00+00'::timestamptz + (g+1) * interval '1 hour')
        from generate_series(1,1000) g;
    insert into app.measure select '2023-06-01'::date + g, g/3.0, null from generate_series(1,700) g;
    insert into app.base values (1); insert into app.derived values (2, 'x');
    create unique index on app.customer(lower(name), id) where points > 3;
        create index on app.measure(value desc nulls last);
    create view app.v as select * from app.customer where name in ('ann', 'bob');
    create materialized view app.m as select mood, count(*) n from app.v group by mood;
        create unique index on app.m(mood);
    create function app.touch() returns trigger language plpgsql as $$ begin new.points := 1; return new; end $$;
    create trigger touch before insert or update on app.customer for each row execute function app.touch();
    create statistics app.s (ndistinct) on name, mood from app.customer;
    create policy p on app.invoice using (total > 0); create publication pub for table app.customer (id, name);
    select lo_from_bytea(4711, '\\x00ff'); comment on table app.customer is 'the customers';
"""


@pytest.mark.parametrize(
    ("source", "target"),
    [("15", "15"), ("15", "18"), ("16", "18"), ("18", "18"), ("18", "15"), ("18", "16"), ("16", "15")],
)
def test_pair(servers: Servers, source: str, target: str) -> None:
    with new_case(servers.source(source), servers.target(target), MEDIUM) as case:
        outcome = case.arrives()
        older = {finding.code for finding in outcome.findings if finding.severity == "warning"}
        assert older == ({"older-target"} if int(target) < int(source) else set())
        case.stays()
        # And over a live database, which stays as the undo.
        case.run("delete from app.measure")
        case.arrives()


def test_what_an_older_target_does_not_know(servers: Servers) -> None:
    """A schema that uses what is new is refused with the object's name, and nothing is left behind."""
    script = "create table t(a int, b int generated always as (a * 2) virtual); insert into t values (1)"
    with new_case(servers.source("18"), servers.target("15"), script) as case:
        outcome = case.migrate()
        assert outcome.refusals == {("cannot-create", "table public.t")}
        assert "syntax error" in next(f.message for f in outcome.findings if f.code == "cannot-create")


def test_schema_that_a_script_has_made_on_either_side(servers: Servers) -> None:
    """What is defined alike stays so, though what a dump makes of it would be another: a sequence with other bounds."""
    script = """
        CREATE TABLE one (a int CONSTRAINT named NOT NULL, b int GENERATED ALWAYS AS IDENTITY);
        CREATE TABLE two (LIKE one INCLUDING IDENTITY);
    """
    with new_case(servers.source("18"), servers.target("15"), script) as case:
        make_target(case, script)
        case.stays()


def test_explicit_tools(servers: Servers) -> None:
    """The client tools that are named are used, though better ones are there."""
    source, target = servers.source("16"), servers.target("16")
    with new_case(source, target, MEDIUM) as case:
        outcome = migrate(source, case.name, target, case.name, client_bindir=str(servers.source("18").bindir))
        assert outcome.status == "migrated", outcome
        assert outcome.manifest
        assert outcome.manifest.tools_version.startswith("18.")


def test_tools_that_are_too_old(servers: Servers, tmp_path: Path) -> None:
    source, target = servers.source("18"), servers.target("18")
    with new_case(source, target, "create table t(id int)") as case:
        for bindir, reason in ((servers.source("16").bindir, "older than the source"), (tmp_path, "not all there")):
            outcome = migrate(source, case.name, target, case.name, client_bindir=str(bindir))
            assert outcome.refusals == {("client-tools", "client tools")}
            assert reason in str(outcome)
            assert str(bindir) in str(outcome)
