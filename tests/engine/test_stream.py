# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that go from the source's snapshot to the target without touching the disk: the same promises hold."""

from __future__ import annotations

import contextlib
import os
import signal
import typing as t
from pathlib import Path

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive import streams
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.folder import read_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.manifest import FILE_NAME
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import ExportedSnapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.chunks import Chunks, pour
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.sender import Sender
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import ClientTools
from psycopg import sql

from tests import oracle
from tests.case import Case, new_case
from tests.migration import Migration, prepare, run
from tests.playbooks import wait_until
from tests.servers import Servers

SCRIPT: t.Final = """
    create type mood as enum ('sad', 'ok');
    create table big(id int primary key, v text, m mood);
    insert into big select g, repeat('x', 1000) || g, (array['sad','ok'])[1+g%2]::mood from generate_series(1,5000) g;
    create table child(id serial, big_id int references big, tags text[], moods mood[]);
    insert into child(big_id, tags) select g, array['a', null, E'\\t\\n\\\\'] from generate_series(1, 5000) g;
    create table fixed(a int not null, b int not null); insert into fixed select g, g from generate_series(1, 5000) g;
    create table void(id int); create table bare();
    insert into bare default values; insert into bare default values;
    create table tree(id int, v numeric) partition by hash(id);
    create table leaf0 partition of tree for values with (modulus 2, remainder 0);
    create table leaf1 partition of tree for values with (modulus 2, remainder 1);
    insert into tree select g, g / 7.0 from generate_series(1, 100) g;
    create materialized view totals as select m, count(*) from big group by m;
    select lo_from_bytea(4711, decode(repeat('00ff0a5c', 600000), 'hex')), lo_create(4712);
"""


@pytest.fixture
def case(servers: Servers) -> t.Iterator[Case]:
    with new_case(servers.source("15"), servers.target("18"), SCRIPT) as new:
        new.transfer = "stream"
        yield new


def streaming(case: Case, folder: Path, jobs: int = 2) -> Migration:
    return prepare(case.source, case.name, case.target, case.name, folder / "described", jobs=jobs, transfer="stream")


def fails(case: Case, migration: Migration, *told: str) -> None:
    """Run, and make sure that it fails, tells all this, leaves no database and no process behind."""
    before = oracle.databases(case.target)
    outcome = run(migration)
    assert outcome.status == "failed", outcome
    for text in told:
        assert text in outcome.error
    assert oracle.databases(case.target) == before
    with case.source.connect() as connection:
        query = "select count(*) from pg_stat_activity where datname = %s"
        wait_until(lambda: connection.execute(query, (case.name,)).fetchone() == (0,))


def test_arrives_and_stays(case: Case) -> None:
    outcome = case.arrives()
    assert outcome.manifest
    assert outcome.received == {
        ("public", "bare"): 2,
        ("public", "big"): 5000,
        ("public", "child"): 5000,
        ("public", "fixed"): 5000,
        ("public", "leaf0"): case.ask("select count(*) from leaf0"),
        ("public", "leaf1"): case.ask("select count(*) from leaf1"),
    }
    case.equal_answers("select md5(lo_get(4711)) || md5(lo_get(4712))")
    case.stays()


def test_no_rows_on_the_disk(case: Case, tmp_path: Path) -> None:
    """What is kept is what a verdict needs; it is no archive, and says so where one is asked for."""
    migration = streaming(case, tmp_path)
    assert run(migration).status == "migrated"
    assert {path.name for path in tmp_path.rglob("*")} == {"described", FILE_NAME, "schema.dump"}
    with pytest.raises(MigrationError, match="There are no rows in it"):
        read_archive(migration.archive).manifest.require_rows()
    assert migration.compare().equal
    migration.transfer = "archive"
    migration.restore_schema()
    with pytest.raises(MigrationError, match="There are no rows in it"):
        migration.restore_data()


def test_one_instant(case: Case, tmp_path: Path) -> None:
    """What is written after the description is not part of it (P2), and is no false alarm; nothing is truncated."""
    migration = streaming(case, tmp_path)
    migration.preflight()
    migration.dump()
    case.run(
        "insert into big select g, 'late' from generate_series(6000, 6100) g; delete from child; "
        "update tree set v = 0; select lo_put(4711, 0, 'late')"
    )
    with pytest.raises(psycopg.errors.LockNotAvailable):
        case.run("set lock_timeout = '50ms'; truncate void")
    migration.restore_schema()
    assert migration.restore_data()["public", "child"] == 5000
    assert migration.verify().equal
    migration.close()


def test_in_place(case: Case, tmp_path: Path) -> None:
    case.arrives()
    case.run("update big set v = 'new' where id < 100; delete from child where id < 10; select lo_unlink(4712)")
    migration = streaming(case, tmp_path)
    migration.load_mode = "in_place"
    outcome = run(migration)
    assert outcome.status == "migrated", outcome
    oracle.assert_equal(case.source, case.name, case.target, case.name)


def act_while_streaming(monkeypatch: pytest.MonkeyPatch, action: t.Callable[[Sender], None]) -> None:
    """Have something done when the first chunk of the table big is on its way."""
    whole = Sender.stream

    def stream(self: Sender, statement: sql.Composed) -> Chunks:
        chunks = whole(self, statement)
        yield next(chunks)
        if '"big"' in statement.as_string():
            action(self)
        return (yield from chunks)

    monkeypatch.setattr(Sender, "stream", stream)


def test_killed_sender(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    act_while_streaming(monkeypatch, lambda sending: os.kill(sending._psql.pid, signal.SIGKILL))
    fails(case, streaming(case, tmp_path), "Cannot read the rows of table public.big: psql", "killed by signal 9")


def test_source_that_dies_midway(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminate(_: Sender) -> None:
        with case.source.connect() as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where query like 'COPY %\"big\"%'"
                " and pid <> pg_backend_pid()"
            )

    act_while_streaming(monkeypatch, terminate)
    fails(case, streaming(case, tmp_path), "Cannot read the rows of table public.big: psql")


def test_snapshot_that_is_gone(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that holds it is killed between two stages."""
    migration = streaming(case, tmp_path)
    restore_schema = migration.restore_schema

    def restore_and_kill() -> None:
        restore_schema()
        kill_holder(case, migration)

    monkeypatch.setattr(migration, "restore_schema", restore_and_kill)
    fails(case, migration, f"The snapshot of the {migration.source} is gone")


def test_snapshot_that_is_gone_when_rows_are_asked_for(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migration = streaming(case, tmp_path)

    def begin(snapshot: ExportedSnapshot, tools: ClientTools) -> Sender:
        kill_holder(case, migration)
        return Sender(snapshot, tools)

    monkeypatch.setattr(streams, "Sender", begin)
    fails(case, migration, f"The snapshot of the {migration.source} is gone")


def kill_holder(case: Case, migration: Migration) -> None:
    """Kill the process that holds the snapshot, and wait until the source's server has noticed."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(migration.lock_file.read_text()), signal.SIGKILL)
    with case.source.connect(case.name) as connection:
        query = "select count(*) from pg_locks where relation = 'void'::regclass and mode = 'AccessShareLock'"
        wait_until(lambda: connection.execute(query).fetchone() == (0,))


#: A row of the table fixed in binary form, and what comes before all rows.
_ROW, _HEADER = 18, 19
#: Of which table the sender breaks the stream, how, how many rows it then says there were, and what must be told. The
#: table child is in text form, fixed in binary.
_BREAKS: t.Final[dict[str, tuple[str, t.Callable[[bytes], bytes], int, str]]] = {
    "short": ("child", lambda whole: b"", 0, "the snapshot holds 5000 rows, but 0 were sent"),
    "lost": ("child", lambda whole: whole[: whole.index(b"\n", 5000) + 1], 5000, "sent, but the target received"),
    "doubled": ("child", lambda whole: whole + whole, 5000, "5000 rows were sent, but the target received 10000"),
    "torn": ("child", lambda whole: whole[:5000] + whole[5010:], 5000, "Cannot load the rows of table public.child"),
    "lost in binary": (
        "fixed",
        lambda whole: whole[: _HEADER + 7 * _ROW] + whole[_HEADER + 8 * _ROW :],
        5000,
        "5000 rows were sent, but the target received 4999",
    ),
    "torn in binary": ("fixed", lambda whole: whole[:777], 5000, "Cannot load the rows of table public.fixed"),
    # The server takes a stream without an end for a whole one, if only its last row is.
    "torn between rows": (
        "fixed",
        lambda whole: whole[: _HEADER + 7 * _ROW],
        5000,
        "5000 rows were sent, but the target received 7",
    ),
}


@pytest.mark.parametrize("kind", _BREAKS)
def test_stream_that_is_not_whole(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    whole_stream, (table, break_, sent, told) = Sender.stream, _BREAKS[kind]

    def stream(self: Sender, statement: sql.Composed) -> Chunks:
        chunks: list[bytes] = []
        rows = pour(whole_stream(self, statement), chunks.append)
        if f'"{table}"' not in statement.as_string():
            yield from chunks
            return rows
        yield break_(b"".join(chunks))
        return sent

    monkeypatch.setattr(Sender, "stream", stream)
    fails(case, streaming(case, tmp_path), told)


#: A value or two of each of the server's own types that a column can have, with what is made of them.
_TYPES: t.Final = """
    create type mood as enum ('sad', 'öde'); create domain posint as int check (value > 0);
    create domain feeling as mood; create type span as range (subtype = mood); create type pair as (a int, b mood);
    create table own(
        a "char", b name, c text, d varchar(5), e char(5), f bool, g int2, h int4, i int8, j float4, k float8,
        l numeric, m numeric(9,2), n money, o bytea, p bit(3), q varbit, r date, s time, t timetz, u timestamp,
        v timestamptz(3), w interval, x uuid, y inet, z cidr, aa macaddr, ab macaddr8, ac json, ad jsonb, ae jsonpath,
        ag tsvector, ah tsquery, ai point, aj line, ak lseg, al box, am path, an polygon, ao circle, ap oid,
        aq xid, ar xid8, at cid, au tid, av pg_lsn, aw pg_snapshot, ax txid_snapshot, ay int4range, az nummultirange,
        ba tstzrange, bb int2vector, bc oidvector, bd refcursor, be text[], bf int4[], bg numeric[], bh timestamptz[],
        bi mood, bj posint, bk feeling, bl span, bm jsonb[], bn int4range[], bo information_schema.sql_identifier);
    insert into own default values;
    insert into own values ('x', 'n', E'ä\\n\\t\\\\N', 'vé', 'c', true, -32768, -2147483648, -9223372036854775808,
        'NaN', '-0', '1e-130', 1.50, -1.23, '\\x00ff0a5c4e', '101', '', '4713-01-01 BC', '24:00', '12:00+15:59',
        '294276-12-31 23:59:59.999999', 'infinity', '1 mon -3 days 00:00:00.000001',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '::ffff:1.2.3.4/96', '10.0.0.0/8', '08:00:2b:01:02:03',
        '08:00:2b:01:02:03:04:05', '{"b":1, "a" : [1.00]}', '{"b": 1.00, "a": "\\u00e4"}', '$.a[*] ? (@ > 1)',
        'a:1A fat:2B,4C', '!a & (b:*AB | c)', '(1,NaN)', '{1,2,3}',
        '((1,2),(3,4))', '((1,2),(3,4))', '[(1,2),(3,4)]', '((1,2),(3,4))', '<(1,2),3>', 4294967295, '4294967295',
        '18446744073709551615', '7', '(4294967295,65535)', 'FFFFFFFF/FFFFFFFF', '10:20:10,14,15', '10:20:10,14,15',
        '[1,5)', '{[1.5,2],(3,)}', '[2024-01-01,infinity)', '1 2 3', '1 2', 'cursor', '[2:3]={a,NULL}', '{{1,2},{3,4}}',
        '{NaN,1.0}', '{}', 'öde', 5, 'sad', '[sad,öde]', array['{"a": 1}'::jsonb], '{"[1,2)",empty}', 'x');
"""


#: What is not portable, each in a table of its own: they hold numbers that differ.
_OTHERS: t.Final = {
    "regclass": "'own'",
    "pair": "(1, 'öde')",
    "mood[]": "'{sad,öde}'",
    "information_schema.sql_identifier[]": "'{a,b}'",
    "posint[]": "'{1,2}'",
    "pair[]": "array[(2, 'sad')::pair]",
    "regtype[]": "'{own,int}'",
    "heavy": "(3, null)",
}

#: Not every server is built for it.
_XML: t.Final = """
    create table marked(v xml);
    insert into marked values ('<?xml version="1.0" encoding="LATIN1" standalone="yes"?><a>ä</a>'), ('<b/>'), ('x')
"""


@pytest.mark.parametrize(
    ("source", "target"), [("15", "18"), ("18", "15"), ("16", "18"), ("18", "18"), ("16", "15"), ("15", "15")]
)
def test_binary_where_it_is_portable(servers: Servers, source: str, target: str) -> None:
    """Each pair of majors reads the binary form of the server's own types as it was written; all else comes as text."""
    with new_case(servers.source(source), servers.target(target), _TYPES) as case:
        case.run("create domain heavy as pair check ((value).a > 2)")
        others = {f"other{number}": row for number, row in enumerate(_OTHERS.items())}
        for name, (type_, value) in others.items():
            case.run(f"create table {name}(v {type_}); insert into {name} values ({value}), (null)")
        if source == target == "15":
            case.run(_XML)
        case.transfer = "stream"
        outcome = case.arrives()
        assert outcome.manifest
        formats = {table.name: table.format for table in outcome.manifest.tables}
        assert formats.pop("marked", "binary") == "binary"
        assert formats == {"own": "binary", **dict.fromkeys(others, "text")}
        case.equal_answers("select md5(string_agg(own::text, '|' order by own::text)) from own")
        case.stays()


def test_types_of_extensions(servers: Servers) -> None:
    """What they send may depend on the version."""
    script = """
        create extension citext; create extension hstore; create type span as range (subtype = citext);
        create table t(v citext); insert into t values ('Ä');
        create table u(h hstore); insert into u values ('a=>NULL');
        create table r(s span); insert into r values ('[a,b)');
    """
    with new_case(servers.source("15"), servers.target("18"), script) as case:
        case.transfer = "stream"
        manifest = case.arrives().manifest
        assert manifest
        assert {table.format for table in manifest.tables} == {"text"}


def test_encodings(servers: Servers) -> None:
    """Texts of another encoding would be converted on their way in binary form."""
    script = "create table t(v text); insert into t values (chr(233))"
    with new_case(servers.source(), servers.target()) as case:
        for encoding, form in (("LATIN1", "text"), ("UTF8", "binary")):
            with new_case(case.source, case.target, script, encoding=encoding, lc_collate="C", lc_ctype="C") as one:
                one.transfer = "stream"
                manifest = one.arrives().manifest
                assert manifest
                assert [table.format for table in manifest.tables] == [form]
