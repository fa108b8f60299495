# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short downtime: clients write while the copy is built, and no row that they committed is missing after the switch."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re
import threading
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import freeze
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import Relation
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.transaction import Transaction
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.freeze import check_freeze
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import examine
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.goals import GOALS
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request
from ansible_collections.pgconvoy.migrate.plugins.module_utils.privileges.wanted import Policy
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows import written
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.differing import Differing, find_differing
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run import held_freeze
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.folder import RunFolder
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Session, connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync import second_pass
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync.synchronization import synchronize

from bench.line import Counts, Line
from tests import oracle
from tests.case import Case, new_case
from tests.databases import Database
from tests.engine.test_sync import EDITS, SHOP
from tests.freezing import ShortDowntime, short_downtime
from tests.migration import endpoint
from tests.playbooks import wait_until
from tests.servers import Servers

SCRIPT: t.Final = """
    CREATE TABLE note (id bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp());
    CREATE TABLE untouched (id int PRIMARY KEY); INSERT INTO untouched SELECT generate_series(1, 1000);
    INSERT INTO note SELECT -generate_series(1, 1000);
    SELECT lo_from_bytea(70001, 'large');
"""


@pytest.fixture
def case(servers: Servers) -> t.Iterator[Case]:
    with new_case(servers.source(), servers.target(), SCRIPT) as new:
        yield new


@pytest.fixture
def run(case: Case, tmp_path: Path) -> t.Iterator[ShortDowntime]:
    with short_downtime(case, tmp_path) as new:
        yield new


class Writer:
    """An application that commits a row after the other, each with a number that it remembers."""

    def __init__(self, case: Case) -> None:
        self.committed: list[int] = []
        self.stopped = threading.Event()
        self._case = case
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> t.Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._thread.join()

    def _write(self) -> None:
        with contextlib.closing(self._case.source.connect(self._case.name)) as connection:
            connection.execute("SET application_name = 'writer'")
            while not self.stopped.is_set():
                number = len(self.committed) + 1
                connection.execute("INSERT INTO note VALUES (%s)", (number,))
                self.committed.append(number)

    def goes_on(self) -> None:
        """Wait until it has written some more."""
        before = len(self.committed)
        wait_until(lambda: len(self.committed) > before + 5)

    def waits(self) -> None:
        """Wait until it waits for a lock."""
        wait_until(lambda: self._case.ask(_WAITING, side="source"))


_WAITING: t.Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'writer' AND wait_event_type = 'Lock'"
    " AND datname = current_database()"
)


def test_no_row_is_lost(case: Case, run: ShortDowntime) -> None:
    """What was committed before the end of the freeze is on the target; who waits for it, is served after it."""
    with Writer(case) as writer:
        writer.goes_on()
        run.copy()
        writer.goes_on()
        by_then = len(writer.committed)

        def look() -> None:
            writer.waits()
            assert case.ask("SELECT count(*) FROM note WHERE id > 0", side="source") == len(writer.committed)

        run.freeze(look)
        frozen = list(writer.committed)
        run.switch(writer.waits)
        writer.goes_on()
    assert len(frozen) >= by_then > 0
    with case.target.connect(case.name) as connection:
        arrived = [number for (number,) in connection.execute("SELECT id FROM note WHERE id > 0 ORDER BY 1")]
    assert arrived == frozen
    assert case.ask("SELECT count(*) FROM note WHERE id > 0", side="source") == len(writer.committed)
    record = run.folder.read_freeze()
    assert record
    began, ended = (datetime.datetime.fromisoformat(record[key]) for key in ("began_at", "ended_at"))
    assert began.utcoffset() == datetime.timedelta(0)
    with case.source.connect(case.name) as connection:
        times = "SELECT max(at) FILTER (WHERE id <= %s), min(at) FILTER (WHERE id > %s) FROM note"
        row = connection.execute(times.encode(), (len(frozen), len(frozen) + 1)).fetchone()
    assert row
    assert row[0] < began < ended < row[1]
    assert record["ended_by"] == "run"


def test_everything(servers: Servers, tmp_path: Path) -> None:
    """Every kind of key and table, changed between the passes: only what differs moves, the sequences stand right."""
    with new_case(servers.source(), servers.target(), SHOP) as case, short_downtime(case, tmp_path) as run:
        run.copy()
        case.run(EDITS)
        run.freeze()
        run.switch()
        merge = ("public.thing_0", "public.thing_1")
        oracle.assert_equal(case.source, case.name, case.target, case.name, merge=merge)


WRITTEN: t.Final = """
    CREATE TABLE grown (id int PRIMARY KEY, x text); CREATE TABLE thinned (LIKE grown INCLUDING ALL);
    CREATE TABLE renumbered (LIKE grown INCLUDING ALL); CREATE TABLE keyless (id int, x text);
    CREATE TABLE anew (LIKE grown INCLUDING ALL); CREATE TABLE same (LIKE grown INCLUDING ALL);
    CREATE TABLE tree (id int, x text, PRIMARY KEY (id, x)) PARTITION BY HASH (id);
    CREATE TABLE tree_0 PARTITION OF tree FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE tree_1 PARTITION OF tree FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO grown SELECT i, i::text FROM generate_series(1, 500) i;
    INSERT INTO thinned TABLE grown; INSERT INTO renumbered TABLE grown; INSERT INTO keyless TABLE grown;
    INSERT INTO anew TABLE grown; INSERT INTO same TABLE grown; INSERT INTO tree TABLE grown;
"""
WRITES: t.Final = """
    UPDATE grown SET x = 'new' WHERE id < 100; INSERT INTO grown SELECT i FROM generate_series(501, 600) i;
    DELETE FROM thinned WHERE id < 100; UPDATE renumbered SET id = -id WHERE id < 100;
    UPDATE keyless SET x = 'new' WHERE id < 100; INSERT INTO keyless VALUES (1, 'new');
    TRUNCATE anew; INSERT INTO anew SELECT i, 'new' FROM generate_series(1, 500) i;
    UPDATE same SET x = x; UPDATE tree SET x = 'new' WHERE id < 100
"""


def test_what_was_written_is_known(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that the source has written since are found by that; all of a table are compared where some are gone."""
    compared = set[str]()

    def compare(source: Session, target: Session, relation: Relation) -> t.Iterator[Differing]:
        compared.add(str(relation))
        return find_differing(source, target, relation)

    monkeypatch.setattr(written, "find_differing", compare)
    with new_case(servers.source(), servers.target(), WRITTEN) as case, short_downtime(case, tmp_path) as run:
        run.copy()
        case.run(WRITES)
        run.freeze()
        # Of a table whose primary key has all its columns, another value is another key.
        gone = {"thinned", "renumbered", "keyless", "tree"}
        assert {name.partition(".")[2].rstrip("_01") for name in compared} == gone
        run.switch()
        oracle.assert_equal(case.source, case.name, case.target, case.name)


#: What may cross each line while writers wait. Lower it whenever less crosses.
WAITED_FOR: t.Final = {"source": (5, 80), "target": (4, 95)}


@pytest.mark.parametrize("table", ["note", "untouched"])
def test_copy_that_is_not_what_was_frozen(
    case: Case, run: ShortDowntime, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """All of it is judged after the second pass, also what that had no reason to touch; else it is dropped."""

    def lose(here: t.Any, transaction: Transaction, *arguments: t.Any) -> t.Any:
        brought = synchronize(here, transaction, *arguments)
        transaction.session.execute(f"DELETE FROM public.{table} WHERE id = (SELECT min(id) FROM public.{table})")
        return brought

    monkeypatch.setattr(second_pass, "synchronize", lose)
    run.copy()
    case.ask("INSERT INTO note VALUES (1) RETURNING id", side="source")
    with pytest.raises(MigrationError, match=rf"differs .*\n- table public\.{table}: .* on the target$"):
        run.freeze()
    with case.target.connect() as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (case.name,))
        assert left.fetchall() == []


def test_what_writers_wait_for(case: Case, run: ShortDowntime) -> None:
    """Connections and turns while the source is frozen; what could be known before is not asked in it."""
    with Line(case.source.port) as source, Line(case.target.port) as target:
        lines, one = {"source": source, "target": target}, run.migration
        one.source = dataclasses.replace(one.source, port=source.port)
        one.target = dataclasses.replace(one.target, port=target.port)
        run.copy()
        case.run("INSERT INTO note VALUES (1)")
        began = dict[str, int]()
        run.freeze(lambda: began.update({side: len(line.connections) for side, line in lines.items()}))
        run.switch()
        # Not what holds the freeze: it asks for a sign of life each second.
        opened = {side: line.connections[began[side] :] for side, line in lines.items()}
        waited = {side: sum((one.counts for one in connections), Counts()) for side, connections in opened.items()}
    for side, (connections, turns) in WAITED_FOR.items():
        assert waited[side].connections <= connections, waited
        assert waited[side].turns <= turns, waited


def test_a_writer_that_holds_a_lock(case: Case, run: ShortDowntime, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, nothing is frozen, and the application goes on."""
    monkeypatch.setattr(freeze, "_TRIES", ("50ms", "50ms"))
    monkeypatch.setattr(freeze, "_PAUSE_SECONDS", 0)
    run.copy()
    with contextlib.closing(case.source.connect(case.name)) as connection:
        connection.execute("SET application_name = 'nightly'; BEGIN; INSERT INTO untouched VALUES (0)")
        with pytest.raises(MigrationError, match=r"could not be locked in 2 tries") as raised:
            run.freeze()
        assert re.search(
            r"session \d+ of \S+ \(nightly\) holds RowExclusiveLock on public.untouched", str(raised.value)
        )
        assert run.folder.read_freeze() is None
        goes_on(case)
        connection.execute("COMMIT")
    nothing_happened(case)


def test_the_limit(case: Case, tmp_path: Path) -> None:
    """Who waits goes on as soon as the limit has passed, and the run fails."""
    with short_downtime(case, tmp_path, limit=0) as run, Writer(case) as writer:
        run.copy()
        with pytest.raises(MigrationError, match=r"let go after 0 seconds, its limit \(freeze_timeout\)"):
            run.freeze(writer.goes_on)
        writer.goes_on()
        assert (run.folder.read_freeze() or {})["ended_by"] == "limit"
    nothing_happened(case)


def test_either_the_limit_or_the_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the switch has begun, the source stays frozen until it has ended, and it does not begin after the limit."""
    monkeypatch.setattr(held_freeze, "_LOOK_SECONDS", 0)
    for first in ("limit", "switch"):
        folder = RunFolder(tmp_path / first)
        folder.path.mkdir()
        clock = held_freeze.Clock(folder, limit=0)
        if first == "limit":
            assert not clock.go_on()
            assert not held_freeze.decide(folder, "switch")
        else:
            assert held_freeze.decide(folder, "switch")
            assert clock.go_on()


@pytest.mark.parametrize("switching", [False, True])
def test_a_source_that_dies(case: Case, run: ShortDowntime, switching: bool) -> None:
    """The locks are gone with the session that holds them: the run fails, whether it has noticed yet or not."""

    def die() -> None:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        with case.source.connect() as connection:
            connection.execute(query.encode(), (case.name,))

    run.copy()
    if switching:
        run.freeze()
        die()
        with pytest.raises(MigrationError, match=r"snapshot .* is gone|freeze of the source was lost"):
            run.switch()
    else:
        with pytest.raises((MigrationError, psycopg.Error), match=r"gone|lost|closed|terminat"):
            run.freeze(die)
    goes_on(case)
    nothing_happened(case)


def test_what_is_no_row(case: Case, run: ShortDowntime) -> None:
    """More than rows has changed between the passes: the run fails, in plain words."""
    run.migration.policy = Policy(grants="source", owners="target_user")
    run.copy()
    case.run(f"""
        ALTER TABLE note ADD more text; CREATE TABLE another (id int); GRANT SELECT ON untouched TO public;
        ALTER DATABASE {case.name} SET work_mem = '5MB'
    """)
    with pytest.raises(MigrationError, match=r"clients have changed more of the source than its rows") as raised:
        run.freeze()
    told = str(raised.value)
    for what in (
        "table public.note",
        "table public.another",
        "database setting work_mem",
        "grants of table public.untou",
    ):
        assert what in told
    goes_on(case)
    nothing_happened(case)


def test_what_no_lock_keeps(case: Case, run: ShortDowntime) -> None:
    """What is written to a large object, or made new, while the source is frozen, stops the switch."""
    run.migration.policy = Policy(grants="source", owners="target_user")
    run.copy()
    case.run("SELECT lo_from_bytea(70002, 'between')")
    run.freeze()
    case.run(f"""
        SELECT lo_put(70001, 0, 'L'); CREATE TABLE late (id int); CREATE INDEX late_at ON note (at);
        CREATE FUNCTION late() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT SELECT ON untouched TO PUBLIC;
        ALTER DATABASE {case.name} SET work_mem = '9MB'
    """)
    with pytest.raises(MigrationError, match=r"what no lock keeps: table public\.late") as raised:
        run.switch()
    for what in ("work_mem", "function public.late", "index public.late_at", "table public.untouched", "large objects"):
        assert what in str(raised.value)
    goes_on(case)
    nothing_happened(case)


def test_numbers_that_are_drawn_meanwhile(case: Case, run: ShortDowntime) -> None:
    """No lock keeps clients from a sequence, nor from temporary tables; the target gives out no number twice."""
    case.run("CREATE SEQUENCE number")
    run.copy()
    run.freeze()
    with contextlib.closing(case.source.connect(case.name)) as client:
        client.execute("CREATE TEMP TABLE mine AS SELECT nextval('number') FROM generate_series(1, 5)")
        run.switch()
    assert case.ask("SELECT nextval('number')") == 6


def test_who_freezes_nothing(case: Case) -> None:
    """Who asks for short downtime where there is none is told, but not of what brings nothing; a rehearsal looks."""
    sides = (endpoint("source", case.source, case.name), endpoint("target", case.target, case.name))
    told = {}
    for goal, wanted in GOALS.items():
        source = sides[0] if wanted.reads_source else None
        request = Request(source, sides[1] if goal != "dump" else None, goal, downtime="short", load_mode="in_place")
        found = examine(request)
        told[goal] = [f.severity for f in found.findings if f.code == "downtime"]
        assert found.freezes == (goal == "migrate")
    assert told == {
        "migrate": ["error"],
        "rehearse": ["notice", "error"],
        "dump": ["error"],
        "restore": ["error"],
        "repair": ["error"],
        "verify": [],
        "rollback": [],
    }


def test_who_may_lock(case: Case) -> None:
    """A role that may only read cannot freeze; one that may update can, and no more is needed."""
    source = Database(case.source, case.name)
    source.execute("CREATE ROLE freezer LOGIN PASSWORD 'x'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO freezer")
    try:
        at = endpoint("source", case.source, case.name, ("freezer", "x"))
        with connect(at) as session:
            assert [f.object for f in check_freeze(session)] == ["table public.note", "table public.untouched"]
            source.execute("GRANT UPDATE ON ALL TABLES IN SCHEMA public TO freezer")
            assert check_freeze(session) == []
        with freeze.frozen(at, lambda _: [("public", "note"), ("public", "untouched")]) as snapshot:
            assert snapshot.session.execute("SELECT count(*) FROM public.note").fetchone() == (1000,)
    finally:
        source.execute("DROP OWNED BY freezer; DROP ROLE freezer")


def goes_on(case: Case) -> None:
    """Make sure that the application can write to every table."""
    case.run("SET lock_timeout = '2s'; INSERT INTO note VALUES (1000001); INSERT INTO untouched VALUES (1000001)")


def nothing_happened(case: Case) -> None:
    """Make sure that the target has no database, neither live nor another."""
    assert Database(case.target, case.name).generations() == []
