# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A large relation is read in pieces, which together are the whole."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import pieces, reading, sequences, snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.content import Rows
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import Relation
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.transaction import begin
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import (
    Endpoint,
    Session,
    connect,
    connect_unpinned,
)

from bench.line import Line
from tests.case import execute, new_case
from tests.migration import endpoint, prepare
from tests.servers import Servers


def test_pieces_cover_the_whole(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No row is counted twice or left out, wherever a relation is cut."""
    with new_case(servers.source(), servers.target()) as case:
        case.run(
            "create table t(id int, v text); insert into t select g, repeat('x', 100) from generate_series(1, 999) g"
        )
        folder = tmp_path_factory.mktemp("unused")
        source = prepare(case.source, case.name, case.target, case.name, folder / "archive").source
        read = []
        for pages in (1, 3, 1 << 20):
            monkeypatch.setattr(pieces, "_PIECE_PAGES", pages)
            monkeypatch.setattr(reading, "_FEW_BYTES", 0)
            with exported_snapshot(source) as snapshot:
                read.append(
                    [m.rows for m in reading.read_content(reading.Reading(snapshot, 2, "pg_catalog")).relations]
                )
        assert read[0] == read[1] == read[2]
        assert [rows.count for rows in read[0] if rows] == [999]


def test_far_servers_are_asked_seldom(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session that is there reads, too, and the first pieces are larger than the last."""
    monkeypatch.setattr(pieces, "_PIECE_PAGES", 1)
    monkeypatch.setattr(reading, "_FEW_BYTES", 0)
    script = "create table t(v text); insert into t select repeat('x', 1000) from generate_series(1, 1000) g"
    with new_case(servers.source(), servers.target(), script) as case, Line(case.source.port) as line:
        source = dataclasses.replace(endpoint("source", case.source, case.name), port=line.port)
        with exported_snapshot(source) as there:
            reading.read_content(reading.Reading(there, 2, "pg_catalog"))
    assert line.counts.connections == 2
    assert line.counts.turns <= 22


def test_small_tables_travel_together(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a large one that is cut into pieces; and a table among them is as large as ever."""
    monkeypatch.setattr(pieces, "_PIECE_PAGES", 1)
    monkeypatch.setattr(reading, "_FEW_BYTES", 0)
    script = """
        create table t(v text); insert into t select repeat('x', 1000) from generate_series(1, 1000) g;
        do $$ begin for n in 1..40 loop
            execute format('create table small%s (a) as select generate_series(1, %s)', n, n);
        end loop; end $$;
    """
    with new_case(servers.source(), servers.target(), script) as case, Line(case.source.port) as line:
        source = dataclasses.replace(endpoint("source", case.source, case.name), port=line.port)
        with exported_snapshot(source) as there:
            found = reading.read_content(reading.Reading(there, 2, "pg_catalog"))
    rows = {measured.relation.name: measured.rows.count for measured in found.relations if measured.rows}
    assert rows == {"t": 1000} | {f"small{n}": n for n in range(1, 41)}
    assert line.counts.turns <= 26


@pytest.mark.parametrize("jobs", [1, 2, 7])
@pytest.mark.parametrize("sizes", [[0], [1], [100_000, 17, 5_000], [3_000_000, 0, 1]])
def test_pieces_in_their_order(sizes: list[int], jobs: int) -> None:
    """They leave nothing out, and the last ones are small enough for all jobs to end together."""
    relations = [Relation("s", f"t{pages}", "table", pages=pages) for pages in sizes]
    made = pieces.cut(relations, jobs)
    for relation in relations:
        bounds = [(piece.first, piece.last) for piece in made if piece.relation is relation]
        assert bounds[0][0] is None
        assert bounds[-1][1] is None
        assert all(end == start for (_, end), (start, _) in itertools.pairwise(bounds))
    last = made[-1].relation.pages - (made[-1].first or 0)
    assert last <= max(2048, sum(sizes) // (4 * jobs))


#: What is done to one row, by its place, which every verifier that reads in ranges must see.
_CHANGES: t.Final = {
    "value": "update t set v = upper(v) where ctid = {}",
    "missing": "delete from t where ctid = {}",
    "twice": "insert into t select * from t where ctid = {}",
    "another one's": "update t set (id, v) = (select id, v from t where ctid = '(2,2)') where ctid = {}",
}


def test_rows_at_the_edges_of_pieces(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last row of each page, where pieces of a page each begin and end; also in equal rows."""
    monkeypatch.setattr(pieces, "_PIECE_PAGES", 1)
    monkeypatch.setattr(reading, "_FEW_BYTES", 0)
    script = """
        create table t(id int, v text);
        insert into t select g % 8, repeat('x', 1000) || g % 3 from generate_series(1, 32) g
    """
    with new_case(servers.source(), servers.target(), script) as case:
        source = endpoint("target", case.source, case.name)

        def rows() -> Rows | None:
            with exported_snapshot(source) as there:
                return reading.read_content(reading.Reading(there, 2, "pg_catalog")).relations[0].rows

        before = rows()
        with connect(source) as session:
            session.execute("set search_path = public; create temporary table kept as table t")
            edges = session.execute(
                "select unnest(array[min(ctid), max(ctid)]) from t group by (ctid::text::point)[0]"
            ).fetchall()
            assert len(edges) > 8
            for (place,) in edges:
                for change, statement in _CHANGES.items():
                    session.execute(statement.format("%s").encode(), (place,))
                    assert rows() != before, (place, change)
                    session.execute("truncate t; insert into t table kept")


@pytest.mark.parametrize("copies", [2, 4, 1024])
def test_duplicates(servers: Servers, copies: int) -> None:
    """As many copies of another row, or one of them exchanged for it."""
    made = f"create table t(v text); insert into t select 'a' from generate_series(1, {copies})"
    checksums = []
    one = "update public.t set v = 'a' where ctid = (select min(ctid) from public.t)"
    others = ("select", "update public.t set v = 'b'", one)
    with (
        new_case(servers.source(), servers.target(), made) as case,
        begin(endpoint("target", case.source, case.name)) as transaction,
    ):
        for statement in others:
            transaction.session.execute(statement.encode())
            (found,) = reading.read_content(reading.Reading(transaction, 1, "pg_catalog")).relations
            checksums.append(found.rows)
    assert {rows.count for rows in checksums if rows} == {copies}
    assert len(set(checksums)) == 3


def test_settings_that_a_pooler_swallows(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set for a session may reach another server process: values are read under the settings all the same."""

    def connect_and_forget(endpoint: Endpoint) -> Session:
        session = connect_unpinned(endpoint)
        session.execute("RESET ALL")
        return session

    script = "create table t(v float8, d interval); insert into t values (0.1 + 0.2, '1 mon 2 days')"
    with new_case(servers.source(), servers.target(), script) as case:
        for setting in ("extra_float_digits = 0", "intervalstyle = iso_8601", "search_path = public"):
            execute(case.source, "postgres", f"alter database {case.name} set {setting}")
        source, read = endpoint("source", case.source, case.name), []
        for opener in (connect, connect_and_forget):
            monkeypatch.setattr(snapshot, "connect_unpinned", opener)
            with snapshot.exported_snapshot(source) as there, there.another_session() as session:
                read.append(session.execute("SHOW ALL").fetchall())
        assert read[0] == read[1]


def test_sequence_that_is_not_there(servers: Servers) -> None:
    """Where it is asked for with others, since the other side has it, all that there is is told."""
    script = "create table t(id serial); select nextval('t_id_seq')"
    likely = [sequences.Sequence("public", name, 1, False) for name in ("gone", "t_id_seq")]
    with (
        new_case(servers.source(), servers.target(), script) as case,
        exported_snapshot(endpoint("source", case.source, case.name)) as there,
    ):
        found = reading.read_content(reading.Reading(there, 2, "pg_catalog", sequences=likely))
    assert [(one.name, one.last_value, one.is_called) for one in found.sequences] == [("t_id_seq", 1, True)]
