# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a migration costs grows with what there is, never with its square: round trips are counted, and no seconds."""

from __future__ import annotations

import tracemalloc
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import reading
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.large_objects import read_large_objects
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.orphans import take_census
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import Relation, list_relations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.sequences import read_sequences
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows import differing
from ansible_collections.pgconvoy.migrate.plugins.module_utils.schedule.threads import _Threads
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict import row_differences as rows

from tests import oracle
from tests.case import Case, new_case
from tests.migration import endpoint, prepare
from tests.servers import Servers

SEQUENCES: t.Final = """
    do $$ begin for i in 1..{n} loop execute format('create sequence s%s start %s', i, i); end loop; end $$;
    do $$ begin for i in 1..{n} by 2 loop perform nextval(format('s%s', i)); end loop; end $$;
"""
LARGE_OBJECTS: t.Final = """
    create table t(id int);
    do $$ begin for i in 1..{n} loop
        perform lo_from_bytea(100000 + i, repeat('x', i)::bytea);
        execute format('comment on large object %s is ''it''''s %s''', 100000 + i, i);
    end loop; end $$;
"""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give a counter, as a list of one number, of the times that a session has waited for an answer."""
    counted, wait = [0], psycopg.Connection.wait

    def count(*arguments: t.Any, **options: t.Any) -> t.Any:
        counted[0] += 1
        return wait(*arguments, **options)

    monkeypatch.setattr(psycopg.Connection, "wait", count)
    return counted


def migrate(case: Case, folder: Path, waits: list[int]) -> dict[str, int]:
    """Migrate by a switch, and once more in place; return how often each stage has waited."""
    migration = prepare(case.source, case.name, case.target, case.name, folder / case.name)
    # Whether a second session is opened in time for any work depends on the machine.
    migration.jobs = 1
    stages: tuple[t.Callable[[], t.Any], ...] = (
        *(migration.preflight, migration.dump, migration.restore_schema, migration.restore_data, migration.verify),
        *(migration.switch, migration.replace),
    )
    counted = {}
    for stage in stages:
        before = waits[0]
        stage()
        counted[stage.__name__] = waits[0] - before
    oracle.assert_equal(case.source, case.name, case.target, case.name)
    return counted


@pytest.mark.parametrize("script", [SEQUENCES, LARGE_OBJECTS], ids=["sequences", "large-objects"])
def test_round_trips(servers: Servers, waits: list[int], tmp_path: Path, script: str) -> None:
    """A hundred take no more than ten; what a process asks but once, the first asks."""
    counted = []
    for number in (1, 10, 100):
        with new_case(servers.source(), servers.target(), script.replace("{n}", str(number))) as case:
            counted.append(migrate(case, tmp_path, waits))
    assert counted[1] == counted[2]


def test_sequences_are_unlocked_again(servers: Servers, waits: list[int]) -> None:
    """Thousands take a few messages, and no locks with them: the server's table of locks holds some thousands."""
    with (
        new_case(servers.source(), servers.target(), SEQUENCES.replace("{n}", "2500")) as case,
        exported_snapshot(endpoint("source", case.source, case.name)) as snapshot,
    ):
        before = waits[0]
        found = read_sequences(snapshot.session)
        assert waits[0] - before <= 10
        held = snapshot.session.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()").fetchone()
        assert held is not None
        assert held[0] < 50
    by_name = {sequence.name: (sequence.last_value, sequence.is_called) for sequence in found}
    assert by_name == {f"s{number}": (number, number % 2 == 1) for number in range(1, 2501)}


KEYS: t.Final = """
    do $$ begin for i in 0..99 loop
        execute format('create table t%s (id int primary key, before int references t%s)', i, greatest(i - 1, 0));
        execute format('insert into t%s values (1, 1)', i);
    end loop; end $$;
"""


@pytest.mark.parametrize("small", [True, False], ids=["together", "one by one"])
def test_tables_are_unlocked_again(servers: Servers, monkeypatch: pytest.MonkeyPatch, small: bool) -> None:
    """When their keys and rows have been looked at: their indexes are locked as well, and there may be thousands."""
    most = 0
    monkeypatch.setattr(reading, "_FEW_BYTES", (1 << 26) * small)
    with (
        new_case(servers.source(), servers.target(), KEYS) as case,
        case.source.connect(case.name) as watch,
        exported_snapshot(endpoint("source", case.source, case.name)) as snapshot,
    ):
        run = _Threads._begin

        def look(*arguments: t.Any) -> t.Any:
            nonlocal most
            query = "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND pid <> pg_backend_pid()"
            found = watch.execute(f"{query} AND relation >= 16384").fetchone()
            assert found is not None
            most = max(most, found[0])
            return run(*arguments)

        monkeypatch.setattr(_Threads, "_begin", look)
        assert len(take_census(snapshot, 1, "public")) == 100
        reading.read_content(reading.Reading(snapshot, 1, "public"))
    assert most < 20


def test_large_objects_are_closed_again(servers: Servers) -> None:
    """However many there are, few of them are open at once."""
    with (
        new_case(servers.source(), servers.target(), LARGE_OBJECTS.replace("{n}", "2500")) as case,
        connect(endpoint("source", case.source, case.name)) as session,
        session.transaction(),
    ):
        found = read_large_objects(session)
        # The first descriptor that is free: those before it would be open still.
        assert session.execute("SELECT lo_open(100001, x'40000'::int)").fetchone() == (0,)
    assert [(o.oid, o.size, o.comment) for o in found] == [
        (100000 + number, number, f"it's {number}") for number in range(1, 2501)
    ]


def test_dropped_sequence(servers: Servers) -> None:
    """One that is dropped as it is about to be read is told."""
    with (
        new_case(servers.source(), servers.target(), "create sequence gone; create sequence stays") as case,
        exported_snapshot(endpoint("source", case.source, case.name)) as snapshot,
    ):
        case.run("drop sequence gone")
        with pytest.raises(MigrationError, match=r'(?s)dropped a sequence: .*"public.gone".*Run again'):
            read_sequences(snapshot.session)


def test_memory_of_row_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table all of whose rows have changed is told in the memory of a few."""
    monkeypatch.setattr(differing, "_narrow", lambda *_: (None, 0))
    monkeypatch.setattr(rows, "_changed_columns", lambda *_: ())
    nowhere = t.cast(t.Any, None)

    def peak(count: int) -> int:
        row_hashes = iter((1, 2))

        def read(*_: object) -> t.Iterator[tuple[int, int]]:
            row_hash = next(row_hashes)
            for key_hash in range(count):
                yield 1 << 40 | key_hash, row_hash

        monkeypatch.setattr(differing, "read_rows", read)
        tracemalloc.start()
        found = rows.find_row_differences(nowhere, nowhere, Relation("s", "t", "table"))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.changed == count
        return most

    peak(10)
    assert peak(20_000) < peak(2_000) + 10_000, "bytes"


def test_included_columns_are_no_key(servers: Servers) -> None:
    """What a primary key includes does not tell rows apart: a row in which it differs has changed."""
    script = (
        "create table t(b int, id int, c int, d int, primary key (id, c) include (b)); insert into t values (1,2,3,4)"
    )
    with new_case(servers.source(), servers.target(), script) as case:
        case.arrives()
        with case.target.connect(case.name) as connection:
            connection.execute("update t set b = 5")
        with (
            exported_snapshot(endpoint("source", case.source, case.name)) as here,
            exported_snapshot(endpoint("target", case.target, case.name)) as there,
        ):
            (relation,) = list_relations(here.session)
            assert relation.key == ("id", "c")
            found = rows.find_row_differences(here.session, there.session, relation)
    assert str(found) == "1 changed in b: (2,3)"
