# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No error is tolerated (P4), and one that comes leaves the live and the previous database as they were (P3)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive import compression
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.manifest import FILE_NAME
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.chunks import Chunks, pour
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.sender import Sender
from psycopg import sql

from tests import oracle
from tests.case import Case, execute, new_case
from tests.migration import Migration, Outcome, prepare, run
from tests.servers import Servers

#: What the live and the previous database hold, and the source does too.
FIRST = "create table first(v text); insert into first values ('live')"


@pytest.fixture
def case(servers: Servers) -> t.Iterator[Case]:
    """Give a case whose target has a live and a previous database."""
    with new_case(servers.source(), servers.target(), FIRST) as new:
        for dbname in live_and_previous(new):
            new.target.create_database(dbname)
            execute(new.target, dbname, FIRST)
        yield new


def live_and_previous(case: Case) -> tuple[str, str]:
    return case.name, f"{case.name}__pgconvoy_previous"


@contextlib.contextmanager
def untouched(case: Case) -> t.Iterator[None]:
    """Make sure that the block leaves the target with the same databases, and these with the same content."""

    def everything() -> t.Any:
        return oracle.databases(case.target), [oracle.whole(case.target, name) for name in live_and_previous(case)]

    before = everything()
    yield
    assert everything() == before


def fails(case: Case, *told: str) -> Outcome:
    """Migrate, and make sure that the run fails, tells all this, and has touched nothing."""
    with untouched(case):
        outcome = case.migrate()
    assert outcome.status == "failed", outcome
    for text in told:
        assert text in outcome.error
    return outcome


# What a server refuses over the copied rows, though the source's server holds both.


def test_unique_index(case: Case) -> None:
    case.run("""
        create function key(int) returns int language sql immutable as 'select $1';
        create table t(id int); insert into t values (1), (-1); create unique index by_key on t(key(id));
        create or replace function key(int) returns int language sql immutable as 'select abs($1)';
    """)
    fails(case, "Cannot create index public.by_key", "ERROR 23505", "DETAIL: Key (public.key(id))=(...)")


def test_one_of_many_indexes(case: Case) -> None:
    """Indexes are built side by side: the one that fails is told, whichever thread it was in."""
    case.run("""
        create function key(int) returns int language sql immutable as 'select $1';
        create table t(id int); insert into t values (1), (-1); create unique index by_key on t(key(id));
        create or replace function key(int) returns int language sql immutable as 'select abs($1)';
        do $$ begin for i in 1..60 loop execute format('create index other%s on t(id)', i); end loop; end $$;
    """)
    fails(case, "Cannot create index public.by_key", "ERROR 23505")


def test_primary_key(case: Case) -> None:
    """The batch in which constraints are sent names the one."""
    case.run("""
        create table a(id int primary key); create table t(id int); insert into t values (1), (1);
        create table z(id int primary key);
        create unique index concurrent on a(id);
    """)
    # What a broken source holds: a primary key whose index does not know of a row.
    case.run("""
        truncate t; insert into t values (1); alter table t add primary key (id);
        update pg_index set indisready = false, indislive = false where indexrelid = 't_pkey'::regclass;
        update pg_class set relhasindex = false where relname = 't';
    """)
    case.run("insert into t values (1)")
    case.run("""
        update pg_index set indisready = true, indislive = true where indexrelid = 't_pkey'::regclass;
        update pg_class set relhasindex = true where relname = 't'""")
    fails(case, "Cannot create constraint public.t t_pkey", "could not create unique index")


ORPHAN = "set session_replication_role = replica; delete from p where id = 7"


def test_orph(case: Case, tmp_path: Path) -> None:
    """The incident's kind: an orphan under a foreign key that the source's server calls valid."""
    case.run("""
        create table p(id int primary key); create table c(id int primary key, pid int references p);
        insert into p select generate_series(1,10); insert into c select g,g from generate_series(1,10) g;
    """)
    migration = migration_of(case, tmp_path)
    assert not [finding for finding in migration.preflight().findings if finding.severity == "error"]
    case.run(ORPHAN)
    with untouched(case):
        # Preflight sees it; one that comes after preflight is refused by the target's server.
        assert case.migrate().refusals == {("orphans", "fk constraint public.c c_pid_fkey")}
        migration.dump()
        migration.restore_schema()
        with pytest.raises(MigrationError, match=r"fk constraint public.c c_pid_fkey: ERROR 23503") as raised:
            migration.restore_data()
    assert "DETAIL: Key (pid)=(...)" in str(raised.value)


def test_exclusion_constraint(case: Case) -> None:
    case.run("""
        create function span(int) returns int4range language sql immutable as 'select int4range($1, $1 + 1)';
        create table t(id int, exclude using gist (span(id) with &&)); insert into t values (1), (5);
        create or replace function span(int) returns int4range language sql immutable as 'select int4range(0, 9)';
    """)
    fails(case, "Cannot create constraint public.t t_span_excl", "DETAIL: Key (public.span(id))=(...)")


def test_check(case: Case) -> None:
    """A row that a CHECK refuses on the target alone: the table and the line are told, the row's values are not."""
    case.run("""
        create function rule(int) returns boolean language sql immutable as
            $$ select $1 > 0 or current_database() not like '%pgconvoy_staging' $$;
        create table t(v int check (rule(v))); insert into t values (5), (-5);
    """)
    outcome = fails(case, "Cannot load the rows of table public.t", "ERROR 23514", "COPY t, line 2")
    assert "-5" not in outcome.error


def test_domain(case: Case) -> None:
    case.run("""
        create function rule(int) returns boolean language sql immutable as
            $$ select $1 > 0 or current_database() not like '%pgconvoy_staging' $$;
        create domain d as int check (rule(value)); create table t(id int, v d); insert into t values (1, 5), (2, -5);
    """)
    fails(case, "Cannot load the rows of table public.t", "ERROR 23514", "COPY t, line 2, column v")


def test_generated_column(case: Case) -> None:
    case.run("""
        create function f(int) returns int language sql immutable as
            $$ select 1 / case when current_database() like '%pgconvoy_staging' then 0 else $1 end $$;
        create table t(v int, g int generated always as (f(v)) stored); insert into t values (1);
    """)
    fails(case, "Cannot load the rows of table public.t", "ERROR 22012: division by zero")


def test_materialized_view(case: Case) -> None:
    """Its query raises by now: said when the source is counted, before anything is written."""
    case.run("""
        create table t(v int); insert into t values (1); create materialized view m as select 1 / v q from t;
        update t set v = 0;
    """)
    fails(case, "materialized view public.m", "ERROR 22012: division by zero")


def test_materialized_view_that_raises_on_the_target_alone(case: Case) -> None:
    case.run("""
        create function f() returns int language plpgsql stable as $$ begin
            if current_database() like '%pgconvoy_staging' then raise 'not here'; end if; return 1; end $$;
        create materialized view m as select f();
    """)
    fails(case, "Cannot refresh materialized view public.m", "CONTEXT: PL/pgSQL function public.f() line 2 at RAISE")


def test_trigger_without_its_function(case: Case) -> None:
    """What refers to something that is gone cannot be dumped or created; either way it is told."""
    case.run("""
        create table t(v int); create function f() returns trigger language plpgsql as 'begin return new; end';
        create trigger broken before insert on t for each row execute function f();
    """)
    case.run(
        "delete from pg_depend where objid = (select oid from pg_trigger where tgname = 'broken'); drop function f()"
    )
    fails(case, "pg_dump", "function")


def test_view_whose_function_is_refused(case: Case, tmp_path: Path) -> None:
    """A failure before the rows, in the schema, of something that has come after preflight had rehearsed it."""
    case.run("""
        create table t(a int); create function f(int) returns int language sql immutable as 'select 1/$1';
        create view v as select f(a) from t
    """)
    migration = migration_of(case, tmp_path)
    migration.preflight()
    case.run("""
        update pg_proc set prosrc = 'nonsense', prolang = (select oid from pg_language where lanname = 'internal'),
            probin = null, prosqlbody = null where proname = 'f'
    """)
    assert case.finds("cannot-create") == [("error", "function public.f(integer)")]
    migration.dump()
    with (
        untouched(case),
        pytest.raises(
            MigrationError,
            match=r'Cannot create function public.f\(integer\)(.|\n)*there is no built-in function named "nonsense"',
        ),
    ):
        migration.restore_schema()


# What goes wrong outside of the servers' control.


@pytest.fixture
def big(case: Case) -> Case:
    """Give a source with a table that takes a while to copy."""
    case.run(
        "create table big(id int, v text); insert into big select g, repeat('x', 1000) from generate_series(1,30000) g"
    )
    return case


def test_killed_sender(big: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A psql that dies in the middle of a COPY cannot look like an end of data, and leaves no archive."""
    senders: list[Sender] = []
    began = Sender.__enter__

    def enter(self: Sender) -> Sender:
        senders.append(self)
        return began(self)

    monkeypatch.setattr(Sender, "__enter__", enter)
    migration = migration_of(big, tmp_path)
    migration.jobs = 1
    migration.preflight()

    def kill() -> None:
        # The first chunk is in the file, and psql waits for us to take the next: it cannot have ended.
        os.kill(senders[-1]._psql.pid, signal.SIGKILL)

    monkeypatch.setattr(compression, "hashlib", AfterFirstChunk(kill))
    with (
        untouched(big),
        pytest.raises(MigrationError, match=r"Cannot read the rows of table public.big: .* was killed by signal 9"),
    ):
        migration.dump()
    assert list(tmp_path.iterdir()) == []


class AfterFirstChunk:
    """Stands for hashlib, and does something when the first chunk has been written."""

    def __init__(self, action: t.Callable[[], None]) -> None:
        self._action: t.Callable[[], None] | None = action

    def sha256(self) -> AfterFirstChunk:
        return self

    def update(self, chunk: bytes) -> None:
        if self._action and len(chunk) > 1000:
            self._action()
            self._action = None

    def hexdigest(self) -> str:
        return ""


def test_terminated_source(big: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source whose server ends the session in the middle of a COPY."""
    migration = migration_of(big, tmp_path)
    migration.preflight()
    monkeypatch.setattr(compression, "hashlib", AfterFirstChunk(lambda: terminate(big, "source", "COPY %big%")))
    with untouched(big), pytest.raises(MigrationError, match=r"Cannot read the rows of table public.big") as raised:
        migration.dump()
    # psql passes on what it has heard by then: the server's last word, or that there was none.
    assert re.search("terminating connection|server closed the connection unexpectedly", str(raised.value))
    assert list(tmp_path.iterdir()) == []


def test_terminated_target(big: Case, tmp_path: Path) -> None:
    """A target whose server ends the session in the middle of a COPY: the table is told, staging is gone."""
    # A check that waits for the test holds the COPY in its middle.
    big.run("""
        create function wait() returns boolean language plpgsql immutable as $$ begin
            if current_database() like '%pgconvoy_staging' then
                perform pg_advisory_xact_lock(4711); end if; return true; end $$;
        create table held(id int check (wait())); insert into held values (1);
    """)
    migration = migration_of(big, tmp_path)
    migration.preflight()
    migration.dump()
    with untouched(big):
        migration.restore_schema()
        with big.target.connect(migration.generations.staging) as holder:
            holder.execute("select pg_advisory_lock(4711)")
            killer = threading.Thread(target=lambda: terminate(big, "target", "%COPY %held%", waiting=True))
            killer.start()
            with pytest.raises(MigrationError, match=r"Cannot load the rows of table public.held") as raised:
                migration.restore_data()
            killer.join()
    assert "terminating connection due to administrator command" in str(raised.value)


def terminate(case: Case, side: t.Literal["source", "target"], query: str, *, waiting: bool = False) -> None:
    """End the session that runs such a query, as soon as there is one."""
    server = case.source if side == "source" else case.target
    deadline = time.monotonic() + 30
    with server.connect() as connection:
        while time.monotonic() < deadline:
            found = connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where query like %s and pid <> pg_backend_pid()"
                " and state = 'active' and (wait_event_type = 'Lock' or not %s)",
                (query, waiting),
            ).fetchall()
            if found:
                return
    raise AssertionError(f"no session runs {query}")


def test_sender_that_loses_rows(big: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Conservation (P1): rows sent are counted against the snapshot's, whatever the cause."""
    whole_stream = Sender.stream

    def stream(self: Sender, statement: sql.Composed) -> Chunks:
        chunks: list[bytes] = []
        sent = pour(whole_stream(self, statement), chunks.append)
        for chunk in chunks:
            # The stream's second half of a chunk is lost, at a row's end.
            yield chunk[: chunk.index(b"\n") + 1] if len(chunk) > 1000 else chunk
        return sent

    monkeypatch.setattr(Sender, "stream", stream)
    migration = migration_of(big, tmp_path)
    migration.preflight()
    with (
        untouched(big),
        pytest.raises(MigrationError, match=r"Table public.big: 30000 rows were sent, but \d+ have reached"),
    ):
        migration.dump()
    assert list(tmp_path.iterdir()) == []


def test_tool_that_only_warns(case: Case, tmp_path: Path) -> None:
    """Nothing that pg_dump says is ignored, though it ends well."""
    for name in ("pg_dump", "pg_restore", "psql"):
        program = case.source.bindir / name
        warning = "test $1 = --version || echo 'pg_dump: warning: something is odd' >&2" if name == "pg_dump" else ""
        (tmp_path / name).write_text(f'#!/bin/sh\n{warning}\nexec {program} "$@"\n')
        (tmp_path / name).chmod(0o755)
    migration = migration_of(case, tmp_path / "archives")
    migration.client_bindir = str(tmp_path)
    with untouched(case):
        outcome = run(migration)
    assert outcome.status == "failed"
    assert "pg_dump: warning: something is odd" in outcome.error


def migration_of(case: Case, folder: Path) -> Migration:
    return prepare(case.source, case.name, case.target, case.name, folder / "archive")


def tamper_with_rows(archive: Path) -> None:
    path = next(archive.glob("rows-*"))
    path.write_bytes(path.read_bytes().replace(b"live", b"dead"))


def lose_rows(archive: Path) -> None:
    next(archive.glob("rows-*")).unlink()


def cut_rows(archive: Path) -> None:
    path = next(archive.glob("rows-*"))
    path.write_bytes(path.read_bytes()[:-5])


def add_a_file(archive: Path) -> None:
    (archive / "rows-999999.copy").write_bytes(b"x\n")


def lie_about_rows(archive: Path) -> None:
    path = archive / FILE_NAME
    path.write_text(path.read_text().replace('"rows": 1', '"rows": 2'))


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (tamper_with_rows, "rows-000001.copy was altered"),
        (lose_rows, "rows-000001.copy is missing"),
        (cut_rows, "rows-000001.copy was altered"),
        (add_a_file, "rows-999999.copy does not belong to it"),
    ],
)
def test_archive_altered_before_the_restore(
    case: Case, tmp_path: Path, tamper: t.Callable[[Path], None], told: str
) -> None:
    migration = migration_of(case, tmp_path)
    migration.preflight()
    migration.dump()
    tamper(migration.archive)
    with untouched(case), pytest.raises(MigrationError, match=told):
        migration.restore_schema()


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (tamper_with_rows, "rows-000001.copy was altered"),
        (lose_rows, "rows-000001.copy"),
        (cut_rows, "rows-000001.copy was altered"),
        (lie_about_rows, "2 rows were sent, but the target received 1"),
    ],
)
def test_archive_altered_between_the_halves(
    case: Case, tmp_path: Path, tamper: t.Callable[[Path], None], told: str
) -> None:
    """The rows are checked as they are loaded, not only before."""
    migration = migration_of(case, tmp_path)
    migration.preflight()
    migration.dump()
    with untouched(case):
        migration.restore_schema()
        tamper(migration.archive)
        with pytest.raises((MigrationError, OSError), match=told):
            migration.restore_data()


def test_staging_altered_before_the_verdict(case: Case, tmp_path: Path) -> None:
    """A copy that lost a row, an object or a position after the load does not become live."""
    case.run("create table t(id serial primary key); insert into t select from generate_series(1,3)")
    case.run("create view v as select 1")
    archived = migration_of(case, tmp_path)
    archived.preflight()
    archived.dump()
    for statement, told in (
        ("delete from t where id = 2", "table public.t: 3 rows on the source, 2 on the target"),
        ("drop view v", "view public.v: missing on the target"),
        ("select nextval('t_id_seq')", "sequence public.t_id_seq: 3 on the source, 4 on the target"),
        ("create table u()", "table public.u: only on the target"),
        ("alter table t drop constraint t_pkey", "constraint public.t t_pkey: missing on the target"),
    ):
        migration = dataclasses.replace(archived, run_id=told)
        with untouched(case):
            migration.restore_schema()
            migration.restore_data()
            execute(case.target, migration.generations.staging, statement)
            with pytest.raises(MigrationError, match=told):
                migration.verify()


def test_stages_of_another_run(case: Case, tmp_path: Path) -> None:
    """A staging database that another run has taken over is neither filled, judged, switched nor dropped."""
    first, second = migration_of(case, tmp_path / "1"), migration_of(case, tmp_path / "2")
    for migration in (first, second):
        migration.preflight()
        migration.dump()
        migration.restore_schema()
    for stage in (first.restore_data, first.verify, first.switch):
        with pytest.raises(MigrationError, match=f"belongs to another run .*{second.run_id}"):
            stage()
    second.restore_data()
    second.verify()
    second.switch()
    assert oracle.scalar(case.target, case.name, "select v from first") == "live"


def test_switch_while_clients_are_connected(case: Case, tmp_path: Path) -> None:
    """A client in the live database stops the switch, all of it, and is named; on request it is sent away."""
    execute(case.source, "postgres", f"alter database {case.name} set work_mem = '3MB'")
    with case.target.connect(case.name) as client:
        client.execute("set application_name = 'the shop'")
        outcome = fails(case, "The switch did not happen", "the shop")
        assert {finding.code for finding in outcome.findings if finding.severity == "warning"} == {"target-clients"}
        migration = migration_of(case, tmp_path)
        migration.disconnect_clients = True
        assert run(migration).status == "migrated"
    assert case.ask("show work_mem") == "3MB"
