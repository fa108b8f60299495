# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch and the way back: which database is which afterwards, whatever happens in the middle."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import typing as t

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import freeze
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.database import DatabaseProperties, read_database
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place import locks as in_place_locks
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.locks import lock
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.exchange import ask_exchange
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.checks.source import check_source
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.batches import ending_transaction
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint, Session, connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.inquiry import answer
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging import exchange as staging_exchange
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.databases import (
    create_staging,
    drop_leftovers,
    maintenance_session,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.exchange import exchange
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.locks import lock_name
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.names import Generations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.proof import read_through
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.switch import Switched, roll_back, switch
from psycopg import sql

from tests.databases import Database, role
from tests.migration import endpoint
from tests.playbooks import wait_until
from tests.servers import PostgresServer, Servers

_RUN: t.Final = "run"


@dataclasses.dataclass(frozen=True)
class Place:
    """A live database, and runs that have come as far as the switch."""

    live: Database
    target: Endpoint
    properties: DatabaseProperties

    @property
    def generations(self) -> Generations:
        return Generations(self.live.name)

    def stage(self) -> int:
        """Make the staging database of a run; return its OID."""
        with maintenance_session(self.target) as session:
            create_staging(session, self.generations, self.properties.locale, _RUN)
        return self.oids()[self.generations.staging]

    def switch(self, keep_previous: int = 1, *, disconnect_clients: bool = False) -> Switched:
        """Switch to the staging database."""
        return switch(self.target, self.properties, _RUN, disconnect_clients, keep_previous)

    def oids(self) -> dict[str, int]:
        """Return which database each name stands for."""
        with self.live.server.connect() as connection:
            rows = connection.execute(
                "SELECT datname, oid FROM pg_database WHERE starts_with(datname, %s)", (self.live.name,)
            )
            return dict(rows.fetchall())


@pytest.fixture
def place(target: Database) -> Place:
    """Give the live target."""
    there = endpoint("target", target.server, target.name)
    with connect(there) as session:
        return Place(target, there, read_database(session))


def test_generations_move_along(place: Place) -> None:
    """As many as are wanted are kept, the newest first; with fewer wanted, the oldest go."""
    name, kept = place.live.name, place.generations.kept(3)
    was_live = [place.oids()[name]]
    for _ in range(4):
        was_live.insert(0, place.stage())
        place.switch(keep_previous=3)
    assert place.oids() == dict(zip([name, *kept], was_live, strict=False)), "the fifth is gone"
    was_live.insert(0, place.stage())
    assert place.switch() == Switched((kept[0],))
    assert place.oids() == dict(zip([name, kept[0]], was_live, strict=False))


def test_rollback_takes_the_newest(place: Place) -> None:
    """And again: the two change places, those before stay."""
    for _ in range(2):
        place.stage()
        place.switch(keep_previous=2)
    live, newest, older = (place.oids()[name] for name in (place.live.name, *place.generations.kept(2)))
    place.stage()
    done = roll_back(place.target, disconnect_clients=False)
    assert (done.kept, done.proof.oid) == (tuple(place.generations.kept(2)), newest)
    assert place.generations.staging not in place.oids(), "a killed run had left it"
    assert [place.oids()[name] for name in (place.live.name, *place.generations.kept(2))] == [newest, live, older]
    roll_back(place.target, disconnect_clients=False)
    assert [place.oids()[name] for name in (place.live.name, *place.generations.kept(2))] == [live, newest, older]


def test_rollback_without_a_live_database(place: Place) -> None:
    """Somebody has dropped it: the previous one takes its place, and nothing is kept any more."""
    place.stage()
    place.switch()
    previous = place.oids()[place.generations.previous]
    place.live.server.drop_database(place.live.name)
    assert roll_back(place.target, disconnect_clients=False).kept == ()
    assert place.oids() == {place.live.name: previous}


def test_rollback_interrupted_at_the_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a switch, nobody may say that the live database is what it was."""
    place.stage()
    place.switch()
    previous = place.oids()[place.generations.previous]
    _deaf(monkeypatch, KeyboardInterrupt, commits=True)
    with pytest.raises((MigrationError, KeyboardInterrupt), match="The switch has happened"):
        roll_back(place.target, disconnect_clients=False)
    assert place.oids()[place.live.name] == previous


def test_database_that_was_replaced_in_the_meantime(place: Place) -> None:
    """Another run may have made a staging database of the same name: it never becomes live by this one."""
    place.stage()
    before = place.oids()
    place.stage()
    now = place.oids()
    names = place.generations
    renames = [(names.live, names.previous), (names.staging, names.live)]
    with maintenance_session(place.target) as session, pytest.raises(MigrationError, match="did not happen"):
        exchange(place.target, session, before, renames, [], disconnect_clients=False)
    assert place.oids() == now


def _deaf(monkeypatch: pytest.MonkeyPatch, error: type[BaseException], *, commits: bool) -> None:
    """Let the transaction of the switch end well or not, and its client never hear of it."""

    @contextlib.contextmanager
    def cut(session: Session) -> t.Iterator[None]:
        monkeypatch.undo()
        with contextlib.suppress(psycopg.Rollback), ending_transaction(session):
            yield
            if not commits:
                raise psycopg.Rollback
        if error is psycopg.OperationalError:
            session.pgconn.finish()
        raise error

    monkeypatch.setattr(staging_exchange, "ending_transaction", cut)


@pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
def test_connection_that_breaks_at_the_end(place: Place, monkeypatch: pytest.MonkeyPatch, commits: bool) -> None:
    """Whether it has happened is asked of the server, and told as it is."""
    staging, live = place.stage(), place.oids()[place.live.name]
    _deaf(monkeypatch, psycopg.OperationalError, commits=commits)
    if commits:
        assert place.switch() == Switched((place.generations.previous,))
        assert place.oids() == {place.live.name: staging, place.generations.previous: live}
    else:
        with pytest.raises(MigrationError, match="The switch did not happen, and the live database is as it was"):
            place.switch()
        assert place.oids() == {place.live.name: live, place.generations.staging: staging}


def test_interrupted_at_the_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after the commit: nobody may say that the live database is what it was."""
    staging = place.stage()
    _deaf(monkeypatch, KeyboardInterrupt, commits=True)
    with pytest.raises((MigrationError, KeyboardInterrupt), match="The switch has happened") as failure:
        place.switch()
    assert isinstance(failure.value, MigrationError)
    assert failure.value.outcome.changed
    assert place.oids()[place.live.name] == staging
    place.stage()
    _deaf(monkeypatch, KeyboardInterrupt, commits=False)
    with pytest.raises(KeyboardInterrupt):
        place.switch()
    assert place.oids()[place.live.name] == staging


def test_oldest_that_cannot_be_dropped(place: Place) -> None:
    """The switch has happened all the same, and that is not its failure."""
    place.stage()
    place.switch()
    # One that leads nowhere, and keeps its database all the same.
    subscribe = "CREATE SUBSCRIPTION kept CONNECTION '' PUBLICATION p WITH (connect = false, slot_name = NONE)"
    with place.live.server.connect(place.generations.previous) as connection:
        connection.execute(subscribe)
    staging, discarded = place.stage(), place.generations.discarded
    try:
        switched = place.switch()
        assert switched.kept == (place.generations.previous,)
        assert f'Cannot drop the database "{discarded}"' in switched.left[0]
        assert place.oids()[place.live.name] == staging
    finally:
        with place.live.server.connect(discarded) as connection:
            connection.execute("DROP SUBSCRIPTION kept")
    with maintenance_session(place.target) as session:
        assert drop_leftovers(session, place.generations) == [discarded]


def test_clients_have_time_to_leave(place: Place) -> None:
    """One that leaves by itself in time is not ended, even if it might be."""
    staging, alive = place.stage(), threading.Event()
    with contextlib.closing(place.live.server.connect(place.live.name)) as client:
        waiting = (
            "SELECT FROM pg_stat_activity WHERE query LIKE '%ALTER DATABASE %RENAME%' AND state = 'active'"
            " AND pid <> pg_backend_pid()"
        )

        def leave() -> None:
            with place.live.server.connect() as witness:
                wait_until(lambda: witness.execute(waiting).fetchall())
            client.execute("SELECT")
            alive.set()
            client.close()

        leaver = threading.Thread(target=leave)
        leaver.start()
        place.switch(disconnect_clients=True)
        leaver.join()
    assert alive.is_set()
    assert place.oids()[place.live.name] == staging


def test_comparisons_take_turns_in_the_scratch_database(place: Place) -> None:
    """While one is at work in it, another run leaves it alone."""
    scratch = place.generations.scratch
    place.live.server.create_database(scratch)
    with maintenance_session(place.target) as session:
        lock_name(session, scratch)
        with maintenance_session(place.target) as other:
            assert drop_leftovers(other, place.generations) == []
    with maintenance_session(place.target) as other:
        assert drop_leftovers(other, place.generations) == [scratch]


def test_proof_of_a_database(place: Place) -> None:
    """It tells databases apart, what may not be read, and what cannot be."""
    place.live.execute("CREATE MATERIALIZED VIEW unfilled AS SELECT 1 WITH NO DATA")
    everything = read_through(place.target)
    assert (everything.oid, everything.read, everything.unread) == (place.oids()[place.live.name], 3, 1)
    with role(place.live.server, "stranger", "", "strangerSecret1"):
        stranger = dataclasses.replace(place.target, user="stranger", password="strangerSecret1")
        assert read_through(stranger) == dataclasses.replace(everything, read=0, unread=4)
    ((path,),) = place.live.query("SELECT pg_relation_filepath('owner')")
    # What a disk does: the next session finds nothing there.
    (place.live.server.server.folder / "data" / path).unlink()
    with pytest.raises(MigrationError, match="Cannot read from the target database"):
        read_through(place.target)


def test_clients_that_may_not_be_ended_are_named(place: Place) -> None:
    """A plain role may end its own sessions, not those of others, and sees of these neither kind nor address."""
    server, name = place.live.server, place.live.name
    with role(server, "plain", "CREATEDB", "plainSecret1"), server.connect() as administrator:
        administrator.execute(sql.SQL("ALTER DATABASE {} OWNER TO plain").format(sql.Identifier(name)))
        target = dataclasses.replace(place.target, user="plain", password="plainSecret1")
        owned = dataclasses.replace(place, target=target)
        owned.stage()
        with connect(target) as own, server.connect(name) as other:
            with pytest.raises(MigrationError, match=f"session {other.info.backend_pid} of {server.user}"):
                owned.switch(disconnect_clients=True)
            with pytest.raises(psycopg.OperationalError):
                own.execute("SELECT")
        owned.stage()
        with connect(target):
            owned.switch(disconnect_clients=True)
        for database in (place.generations.live, place.generations.previous):
            server.drop_database(database)


@pytest.fixture(scope="module")
def replicating(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[PostgresServer]:
    """Give a server that has replication slots and prepared transactions, which the others have not."""
    servers = Servers(tmp_path_factory.mktemp("replicating"))
    made = servers.target()
    with made.connect() as connection:
        connection.execute("ALTER SYSTEM SET wal_level TO logical")
        connection.execute("ALTER SYSTEM SET max_prepared_transactions TO 3")
    made.server.stop()
    made.server.start()
    port = made.server.port
    assert port is not None
    yield dataclasses.replace(made, port=port)
    servers.stop()


def test_what_keeps_a_database_from_being_renamed(replicating: PostgresServer) -> None:
    """It is found beforehand, each with its database."""
    target, names = endpoint("target", replicating, "app"), Generations("app")
    for name in (names.live, names.previous):
        replicating.create_database(name)
        with replicating.connect(name) as connection:
            connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (f"slot_{name}",))
    # A slot would wait for them.
    for name in (names.live, names.previous):
        with replicating.connect(name) as connection:
            connection.execute(f"BEGIN; CREATE TABLE t (); PREPARE TRANSACTION 'of {name}'".encode())
    with maintenance_session(target) as session:
        found = [(finding.code, finding.object) for finding in answer(session, ask_exchange(target, session.info.user))]
    assert found == [
        ("replication-slot", "replication slot slot_app"),
        ("prepared-transaction", "prepared transaction 'of app'"),
        ("prepared-transaction", "prepared transaction 'of app__pgconvoy_previous'"),
    ]
    # Of a source, that it is not in the copy.
    with connect(endpoint("source", replicating, "app")) as session:
        told = {(finding.severity, finding.code, finding.object) for finding in check_source(session)}
    assert told >= {("warning", *one) for one in found[:2]}
    assert not [name for _, _, name in told if names.previous in name]


def test_what_keeps_tables_from_being_locked(replicating: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prepared transaction has no session that could be named, on either side."""
    monkeypatch.setattr(freeze, "_TRIES", ("50ms",))
    monkeypatch.setattr(in_place_locks, "PATIENCE", "50ms")
    replicating.create_database("frozen")
    with replicating.connect("frozen") as connection:
        connection.execute("CREATE TABLE held ()")
        connection.execute("BEGIN; INSERT INTO held DEFAULT VALUES; PREPARE TRANSACTION 'of night'")
        holder = r"the prepared transaction 'of night' of \w+, which COMMIT PREPARED or ROLLBACK PREPARED ends"
        with (
            pytest.raises(MigrationError, match=f"\n  {holder} holds RowExclusiveLock on public.held\n"),
            freeze.frozen(endpoint("source", replicating, "frozen"), lambda _: [("public", "held")]),
        ):
            raise AssertionError
        with (
            connect(endpoint("target", replicating, "frozen")) as session,
            session.transaction(),
            pytest.raises(MigrationError, match=f"in use by:\n  {holder}\n"),
        ):
            lock(session, [([("public", "held")], "ACCESS EXCLUSIVE")])
        connection.execute("ROLLBACK PREPARED 'of night'")
