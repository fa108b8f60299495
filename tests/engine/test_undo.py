# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sync has done is taken back, and nothing of what clients have done since."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import typing as t
from pathlib import Path
from unittest import mock

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.folder import check_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import Patterns
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.decision import decide
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import unhindered
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server import batches
from ansible_collections.pgconvoy.migrate.plugins.module_utils.sync import differences

from tests.case import Case, execute, new_case
from tests.databases import untouched
from tests.engine.test_sync import EDITS, KEYED, SHOP, MakePair, fill_pair, live, pair
from tests.migration import endpoint
from tests.playbooks import wait_until
from tests.servers import Servers
from tests.syncing import counts, sync_target, undo_target

__all__ = ["pair"]


@pytest.fixture
def undo(tmp_path: Path) -> t.Callable[[int], Path]:
    """Give where the undo of each run is."""
    return lambda number: tmp_path / f"undo-{number}"


Undo = t.Callable[[int], Path]


def test_there_and_back_and_there_again(pair: MakePair, undo: Undo) -> None:
    """Every kind of table, sequences, large objects with their comments and grants, views: all is as it was."""
    case = pair(SHOP, EDITS, "COMMENT ON LARGE OBJECT 70002 IS 'old'; GRANT SELECT ON LARGE OBJECT 70002 TO PUBLIC")
    before = live(case).lines()
    grants = "SELECT oid, lomacl::text FROM pg_largeobject_metadata ORDER BY 1"
    granted = live(case).query(grants)
    there = sync_target(case, undo=undo(1))
    after = live(case).lines()
    back = undo_target(case, undo(1), undo(2))
    assert live(case).lines() == before
    assert live(case).query(grants) == granted
    assert counts(back) == {name: (out, same, into) for name, (into, same, out) in counts(there).items()}
    undo_target(case, undo(2), undo(3))
    assert live(case).lines() == after


CLIENTS: t.Final = """
    INSERT INTO country VALUES ('IT', 'Italy'); UPDATE person SET name = 'theirs' WHERE id = 50;
    INSERT INTO person (id, name) OVERRIDING SYSTEM VALUE VALUES (500, 'theirs');
    DELETE FROM event WHERE id = 33; INSERT INTO log VALUES (now(), 'new');
    INSERT INTO thing VALUES ('green', 77); SELECT nextval('loose'); SELECT lo_from_bytea(80001, 'theirs');
    REFRESH MATERIALIZED VIEW names;
"""
#: What is where, whatever its order; what a client has drawn from is not.
_HELD: t.Final = """
    SELECT 'country ' || c::text FROM country c UNION ALL SELECT 'person ' || p::text FROM person p
    UNION ALL SELECT 'log ' || line FROM log UNION ALL SELECT tableoid::regclass || e::text FROM event e
    UNION ALL SELECT 'thing ' || t::text FROM thing t UNION ALL SELECT 'team ' || t::text FROM team t
    UNION ALL SELECT 'child ' || c::text FROM child c UNION ALL SELECT 'parent ' || p::text FROM ONLY parent p
    UNION ALL SELECT 'names ' || coalesce(name, '') FROM names
    UNION ALL SELECT 'lo ' || oid || encode(lo_get(oid), 'hex') FROM pg_largeobject_metadata
"""


def test_what_clients_have_written_since_stays(servers: Servers, undo: Undo) -> None:
    """The same edits of clients, once after what is taken back, and once without: the outcome is the same."""
    with contextlib.ExitStack() as stack:
        case, other = (stack.enter_context(new_case(servers.source(), servers.target())) for _ in range(2))
        for one in (case, other):
            fill_pair(one, SHOP, EDITS)
        sync_target(case, undo=undo(1))
        for one in (case, other):
            execute(one.target, one.name, CLIENTS)
        undo_target(case, undo(1), undo(2))
        assert sorted(live(case).query(_HELD)) == sorted(live(other).query(_HELD))
        # Drawn on from where the sync had put it; no number is given out twice.
        assert case.ask("SELECT last_value FROM loose") == 1235
        with untouched(live(case)):
            nothing = undo_target(case, undo(1), undo(3))
            assert not counts(nothing)


#: What clients do after the sync, and what of it would be lost.
LOST: t.Final = {
    "UPDATE person SET name = 'theirs' WHERE id = 7": "table public.person",
    "INSERT INTO country VALUES ('AT', 'again')": "table public.country",
    "INSERT INTO log VALUES ('-infinity', 'two')": "table public.log",
    "UPDATE thing SET n = 99 WHERE n = 3": "partitioned table public.thing",
    "SELECT lo_put(70004, 0, 'theirs')": "large object 70004",
    "SELECT lo_unlink(70003)": "large object 70003",
    "SELECT lo_create(70002)": "large object 70002",
}


def test_what_would_be_lost_is_refused(pair: MakePair, undo: Undo) -> None:
    """Rows and large objects that the sync has touched and clients have changed since, one after the other."""
    case, told = pair(SHOP, EDITS), set[str]()
    sync_target(case, undo=undo(1))
    for statement, lost in LOST.items():
        execute(case.target, case.name, statement)
        with untouched(live(case)), pytest.raises(MigrationError, match="what they wrote would be lost: ") as raised:
            undo_target(case, undo(1), undo(2))
        told.add(lost)
        assert set(str(raised.value).rpartition(": ")[2].rstrip(".").split(", ")) == told, statement
        assert not undo(2).exists()


@pytest.mark.parametrize(
    ("source", "client", "told"),
    [
        ("INSERT INTO a VALUES (2000, 2000)", "INSERT INTO b VALUES (2000)", r"table public\.b, constraint b_a_fkey"),
        ("UPDATE a SET u = 2000 WHERE id = 1", "INSERT INTO a VALUES (3000, 1)", r"rows of table public\.a: .*23505"),
        ("DELETE FROM a WHERE id = 1", "ALTER TABLE a ADD w int", r"altered, .*\n- table public\.a: defined otherwise"),
    ],
)
def test_what_stands_in_the_way_is_told(pair: MakePair, undo: Undo, source: str, client: str, told: str) -> None:
    """Rows of clients that nothing has touched, or another schema: what to do is told of a way back."""
    case = pair(f"{KEYED} CREATE TABLE b (a int REFERENCES a)", source)
    sync_target(case, undo=undo(1))
    execute(case.target, case.name, client)
    with untouched(live(case)), pytest.raises(MigrationError, match=told) as raised:
        undo_target(case, undo(1), undo(2))
    assert str(raised.value).startswith("Nothing was changed. ")
    assert re.search(r"roll back again[,;] or leave the rollback, and run again", str(raised.value))


def test_what_preflight_says_of_a_way_back(pair: MakePair, undo: Undo) -> None:
    """It needs no source, and what is to be done is no advice for a migration."""
    case = pair(KEYED, "UPDATE a SET v = '' WHERE id = 1")
    sync_target(case, undo=undo(1))
    execute(case.target, case.name, "UPDATE a SET v = 'theirs' WHERE id = 1")
    ((code, object_, remedy),) = _refused(case, undo(1))
    assert (code, object_) == ("changed-since", "table public.a")
    execute(case.target, case.name, "CREATE INDEX ON a (v)")
    ((code, object_, remedy),) = _refused(case, undo(1))
    assert (code, object_) == ("schema-differs", "index public.a_v_idx")
    assert "load_mode" not in remedy


def _refused(case: Case, undo: Path) -> list[tuple[str, str, str]]:
    """Return why a rollback by an undo refuses."""
    with contextlib.ExitStack() as kept:
        request = Request(None, endpoint("target", case.target, case.name), "rollback", archive_root=undo.parent)
        decision = decide(request, undo, unhindered, None, kept)
    assert decision.refusal
    return [(f.code, f.object, f.remedy) for f in decision.found.findings if f.severity == "error"]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("TRUNCATE a", ""),
        ("", "TRUNCATE a"),
        ("UPDATE a SET v = '' WHERE id <= 4; DELETE FROM a WHERE id = 1000", ""),
        ("UPDATE a SET u = -u; UPDATE a SET u = 1001 + u", ""),
    ],
)
def test_tables_that_are_replaced_whole(
    pair: MakePair, undo: Undo, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    """Of these, all rows are in the undo, and any row of a client's since is in its way."""
    monkeypatch.setattr(differences, "MOST_KEYS", 3)
    case = pair(KEYED, source, target)
    before = live(case).lines()
    sync_target(case, undo=undo(1))
    execute(case.target, case.name, "INSERT INTO a VALUES (5000, 5000, 'theirs')")
    with pytest.raises(MigrationError, match=r"would be lost: table public\.a\."):
        undo_target(case, undo(1), undo(2))
    execute(case.target, case.name, "DELETE FROM a WHERE id = 5000")
    undo_target(case, undo(1), undo(2))
    assert live(case).lines() == before


def test_selected_tables(pair: MakePair, undo: Undo) -> None:
    """The undo is about these alone; large objects and other tables' sequences are nobody's then."""
    case = pair(SHOP, EDITS)
    before = live(case).lines()
    sync_target(case, patterns=Patterns(("log", "event")), undo=undo(1))
    assert check_archive(undo(1)).manifest.partial
    undo_target(case, undo(1), undo(2))
    assert live(case).lines() == before


def test_more_tables_than_are_asked_at_once(pair: MakePair, undo: Undo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each of them, what names an object is read under the path under which it was written down."""
    most, number = 250, 300
    monkeypatch.setattr(batches, "_BATCH_QUERIES", most)
    tables = "".join(f"CREATE TABLE t{n} (id int PRIMARY KEY, names regclass[]);" for n in range(number))
    case = pair(
        tables + "".join(f"INSERT INTO t{n} VALUES (1, '{{t0}}');" for n in range(number)),
        "".join(f"INSERT INTO t{n} VALUES (2, '{{t0}}');" for n in range(number)),
    )
    sync_target(case, undo=undo(1))
    undo_target(case, undo(1), undo(2))
    assert case.ask(f"SELECT count(*) FROM t{number - 1}") == 1


def test_it_is_there_before_anything_is_committed(pair: MakePair, undo: Undo) -> None:
    """Whole, and of what is still seen; and where nothing is committed, nothing is left."""
    case = pair(SHOP, EDITS)

    def fail() -> None:
        assert check_archive(undo(1)).manifest.changes
        raise MigrationError("at the end")

    with untouched(live(case)), pytest.raises(MigrationError, match="at the end"):
        sync_target(case, undo=undo(1), at_the_end=fail)


def test_clients_read_and_do_not_write_meanwhile(pair: MakePair, undo: Undo) -> None:
    """No table, also none that nothing is done to: what they wrote would be in no undo, or judged by none."""
    case, tables = pair("CREATE TABLE left_alone (id int PRIMARY KEY);" + KEYED, "UPDATE a SET v = ''"), set[str]()

    def try_to_write() -> None:
        with case.target.connect(case.name) as client:
            client.execute("SET lock_timeout = '100ms'")
            for table in ("a", "left_alone"):
                client.execute(f"SELECT count(*) FROM {table}".encode())
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    client.execute(f"INSERT INTO {table} (id) VALUES (-1)".encode())
                tables.add(table)

    sync_target(case, undo=undo(1), at_the_end=try_to_write)
    undo_target(case, undo(1), undo(2), at_the_end=try_to_write)
    assert tables == {"a", "left_alone"}


#: Where the run is killed: at a statement, before it is sent or when it is answered; or as the undo gets its name.
_KILLS: t.Final = [
    ("int8and", "before"),
    ("rename", "before"),
    ("rename", "after"),
    ("DELETE FROM", "before"),
    ("ALTER SEQUENCE", "after"),
    ("REFRESH", "after"),
    ("^COMMIT$", "before"),
    ("^COMMIT$", "after"),
]


def test_killed_anywhere(pair: MakePair, undo: Undo) -> None:
    """The database is the old one or the new one, and the undo is there before it is the new one."""
    case = pair(SHOP, EDITS)
    before = live(case).lines()
    for number, (place, moment) in enumerate(_KILLS):
        process = multiprocessing.get_context("fork").Process(
            target=_killed_at, args=(place, moment, case, undo(number)), daemon=True
        )
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL, (place, moment)
        wait_until(lambda: not case.ask(_OURS))
        is_new = (place, moment) == _KILLS[-1]
        assert (live(case).lines() != before) is is_new, (place, moment)
        written = number >= _KILLS.index(("rename", "after"))
        assert undo(number).exists() is written, (place, moment)
        if written:
            assert check_archive(undo(number)).manifest.changes
            # Of what was not committed, nothing is taken back.
            back = undo_target(case, undo(number), undo(100 + number))
            assert bool(counts(back)) is is_new, (place, moment)
            assert live(case).lines() == before


_OURS: t.Final = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgconvoy'"


def _killed_at(place: str, moment: str, case: Case, folder: Path) -> None:
    """Synchronize, and kill the own process at a place."""
    execute_, rename = psycopg.Cursor.execute, Path.rename

    def die(is_there: bool, now: str) -> None:
        if is_there and now == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def executing(cursor: t.Any, query: t.Any, *args: t.Any, **options: t.Any) -> t.Any:
        text = query.as_string(cursor) if isinstance(query, psycopg.sql.Composable) else query
        is_there = bool(re.search(place, text if isinstance(text, str) else bytes(text).decode()))
        die(is_there, "before")
        outcome = execute_(cursor, query, *args, **options)
        die(is_there, "after")
        return outcome

    def renaming(path: Path, target: Path) -> Path:
        is_there = place == "rename" and target == folder
        die(is_there, "before")
        outcome = rename(path, target)
        die(is_there, "after")
        return outcome

    with mock.patch.object(psycopg.Cursor, "execute", executing), mock.patch.object(Path, "rename", renaming):
        sync_target(case, undo=folder)


def test_it_is_small_and_on_the_disk(pair: MakePair, undo: Undo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds of rows grows with what differs; and each file is waited for, and the folders with their names."""
    case, fsync, waited = pair(KEYED, "UPDATE a SET v = '' WHERE id = 500"), os.fsync, set[int]()

    def wait(descriptor: int) -> None:
        waited.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", wait)
    sync_target(case, undo=undo(1))
    assert {path.stat().st_ino for path in (undo(1), *undo(1).parents[:3], *undo(1).iterdir())} <= waited
    (table,) = check_archive(undo(1)).manifest.tables
    assert (table.rows, (undo(1) / "rows-000001.copy").read_text()) == (1, "500\t500\tv500\n")
