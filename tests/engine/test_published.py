# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A live database that publishes its rows: they go also where nothing tells subscribers which they were."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError

from tests.case import Case, new_case
from tests.engine.test_switch import replicating
from tests.engine.test_sync import MakePair, arrives, fill_pair, live
from tests.engine.test_traps import tiny_extension
from tests.migration import prepare, run
from tests.refilling import refill_target
from tests.servers import PostgresServer, Servers
from tests.syncing import counts, sync_target, undo_target

__all__ = ["replicating", "tiny_extension"]


@pytest.fixture(params=["15", "18"])
def pair(servers: Servers, request: pytest.FixtureRequest) -> t.Iterator[MakePair]:
    """Give what makes a pair of databases on the oldest servers and on the newest."""
    with new_case(servers.source(request.param), servers.target(request.param)) as case:

        def make(both: str, source: str = "", target: str = "") -> Case:
            fill_pair(case, both, source, target)
            return case

        yield make


#: Every kind of replica identity, and of table.
TABLES: t.Final = """
    CREATE TABLE bare (x int, y int);
    CREATE TABLE keyed (x int PRIMARY KEY, y int);
    CREATE TABLE uniq (x int UNIQUE NOT NULL, y int);
    CREATE TABLE late (x int PRIMARY KEY DEFERRABLE, y int);
    CREATE TABLE whole (x int, y int); ALTER TABLE whole REPLICA IDENTITY FULL;
    CREATE TABLE none (x int PRIMARY KEY, y int); ALTER TABLE none REPLICA IDENTITY NOTHING;
    CREATE TABLE by_index (x int UNIQUE NOT NULL, y int);
    ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_x_key;
    CREATE TABLE index_lost (x int NOT NULL, y int); CREATE UNIQUE INDEX lost ON index_lost (x);
    ALTER TABLE index_lost REPLICA IDENTITY USING INDEX lost; DROP INDEX lost;
    CREATE TABLE parted (x int, y int) PARTITION BY LIST (y);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
    CREATE TABLE "Parted 2" PARTITION OF parted FOR VALUES IN (2, 3);
    CREATE TABLE heir () INHERITS (bare);
"""
_NAMES: t.Final = "bare", "keyed", "uniq", "late", "whole", "none", "by_index", "index_lost", "parted", "heir"
_ROWS: t.Final = " ".join(f"INSERT INTO {name} VALUES (1, 1), (2, 2);" for name in _NAMES)
_THEIRS: t.Final = " ".join(f"INSERT INTO {name} VALUES (3, 3);" for name in _NAMES)
_IDENTITIES: t.Final = """
    SELECT c.relname, c.relreplident::text, i.indexrelid::regclass::text
    FROM pg_class c LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisreplident
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'index_lost' ORDER BY 1
"""


@pytest.mark.parametrize(
    "publication",
    [
        "FOR ALL TABLES",
        "FOR TABLES IN SCHEMA public WITH (publish = 'delete')",
        f"FOR TABLE {', '.join(_NAMES)} WITH (publish_via_partition_root)",
        f"FOR TABLE {', '.join(f'ONLY {name} WHERE (y > 0)' for name in _NAMES)} WITH (publish_via_partition_root)",
    ],
)
def test_there_and_back(pair: MakePair, tmp_path: Path, publication: str) -> None:
    """Each table has the replica identity that it had."""
    case = pair(f"{TABLES} {_ROWS} CREATE PUBLICATION p {publication}", target=_THEIRS)
    before, identities = live(case).lines(), live(case).query(_IDENTITIES)
    done = sync_target(case, undo=tmp_path / "undo")
    assert set(counts(done).values()) == {(0, 0, 1)}
    assert len(done.done) == len(_NAMES)
    arrives(case)
    assert live(case).query(_IDENTITIES) == identities
    undo_target(case, tmp_path / "undo", tmp_path / "undone")
    assert live(case).lines() == before
    assert live(case).query(_IDENTITIES) == identities


def test_a_list_of_columns(pair: MakePair) -> None:
    """Where not even whole rows may be told, it is said by name, and all is as it was."""
    case = pair(f"{TABLES} {_ROWS} CREATE PUBLICATION p FOR TABLE keyed, bare (x)", target=_THEIRS)
    before = live(case).lines()
    with pytest.raises(MigrationError, match=r"(?s)table public\.bare, as a publication .*have all of its columns"):
        sync_target(case)
    assert live(case).lines() == before


def test_readers_go_on_where_no_row_goes(pair: MakePair) -> None:
    """A table that only grows is not altered, nor is one whose rows are identified."""
    publish = f"{TABLES} {_ROWS} CREATE PUBLICATION p FOR ALL TABLES"
    case = pair(publish, "INSERT INTO bare VALUES (3, 3)", "UPDATE keyed SET y = 7; INSERT INTO none VALUES (3, 3)")

    def read() -> None:
        with case.target.connect(case.name) as reader:
            reader.execute("SET lock_timeout = '2s'")
            reader.execute("SELECT FROM bare, keyed")

    sync_target(case, at_the_end=read)
    arrives(case)


def test_what_subscribers_are_told(servers: Servers, replicating: PostgresServer) -> None:
    """All of a deleted row that nothing identifies (docs: Logical Replication Message Formats, Delete)."""
    decode = """
        SELECT encode(data, 'escape') FROM pg_logical_slot_peek_binary_changes(
            'slot', NULL, NULL, 'proto_version', '1', 'publication_names', 'p')
    """
    with new_case(servers.source(), replicating) as case:
        both = "CREATE TABLE bare (x text, y text); INSERT INTO bare VALUES ('stays', 'here'); CREATE PUBLICATION p"
        fill_pair(case, f"{both} FOR ALL TABLES", "INSERT INTO bare VALUES ('comes', 'now')")
        live(case).execute("INSERT INTO bare VALUES ('goes', 'away')")
        live(case).execute("SELECT pg_create_logical_replication_slot('slot', 'pgoutput')")
        sync_target(case)
        told = [message for (message,) in live(case).query(decode)]
        live(case).execute("SELECT pg_drop_replication_slot('slot')")
        arrives(case)
    deleted = [message for message in told if message.startswith("D")]
    assert len(deleted) == 1
    assert "O" in deleted[0]
    assert "goes" in deleted[0]
    assert "away" in deleted[0]
    assert [message.startswith("I") for message in told if "comes" in message] == [True]


OWN_ROWS: t.Final = """
    CREATE SCHEMA ext; CREATE EXTENSION tiny SCHEMA ext; CREATE TABLE t (id int); INSERT INTO t VALUES (1);
    INSERT INTO ext.options VALUES ('ours'); CREATE PUBLICATION p FOR ALL TABLES
"""


def test_rows_in_the_table_of_an_extension(servers: Servers, tmp_path: Path, tiny_extension: Path) -> None:
    """They are deleted where other tables are truncated: in a refill, and where the schema is replaced in place."""
    with new_case(servers.source(), servers.target()) as case:
        fill_pair(case, OWN_ROWS, target="INSERT INTO ext.options VALUES ('theirs')")
        refill_target(case)
        arrives(case)
        live(case).execute("INSERT INTO ext.options VALUES ('theirs')")
        migration = prepare(case.source, case.name, case.target, case.name, tmp_path / "archive")
        outcome = run(dataclasses.replace(migration, load_mode="in_place"))
        assert outcome.status == "migrated", outcome
        arrives(case)
