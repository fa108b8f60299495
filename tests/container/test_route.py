# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way into a container: direct where that is proved, else a tunnel; and nothing is left behind on either side."""

from __future__ import annotations

import dataclasses
import stat
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.container.engine import ContainerError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.container.route import addresses, open_route
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.rows.sender import Sender
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import (
    Endpoint,
    connect,
    tool_environment,
)
from psycopg import sql

from tests.containers import DatabaseContainer, Engine
from tests.playbooks import wait_until
from tests.servers import Servers

_COPY: t.Final = sql.SQL("COPY (SELECT i, repeat('x', 1000) FROM generate_series(1, 100000) i) TO STDOUT")
_COPIED_ROWS: t.Final = 100000


@pytest.fixture(scope="module")
def unpublished(session_engine: Engine) -> t.Iterator[DatabaseContainer]:
    """Give a server that cannot be reached but through the engine."""
    with session_engine.database("debian") as started:
        yield started


@pytest.fixture(scope="module")
def busybox(session_engine: Engine) -> t.Iterator[DatabaseContainer]:
    """Give the same without bash and Perl."""
    with session_engine.database("alpine") as started:
        yield started


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def rows_through(endpoint: Endpoint) -> int:
    """Copy rows as a dump does, and return how many arrived."""
    with exported_snapshot(endpoint) as snapshot, Sender(snapshot, choose_tools(18, 18)) as sender:
        return sum(chunk.count(b"\n") for chunk in sender.stream(sql.Composed([_COPY])))


@pytest.mark.parametrize(
    ("image", "way"),
    [
        ("unpublished", "tunnel through docker exec (bash, 127.0.0.1)"),
        ("busybox", "tunnel through docker exec (nc, 127.0.0.1)"),
    ],
)
def test_tunnel(engine: Engine, image: str, way: str, request: pytest.FixtureRequest) -> None:
    """All that is needed is a plain image; other users of this machine cannot use the tunnel."""
    container: DatabaseContainer = request.getfixturevalue(image)
    with open_route(container.endpoint()) as reached:
        assert reached.way == way
        assert reached.is_local
        folder = Path(reached.host)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert rows_through(reached) == _COPIED_ROWS
        with connect(reached) as session:
            assert session.execute("SELECT inet_server_port()").fetchone() == (5432,)
    assert not folder.exists()
    container.assert_unharmed()


def test_container_by_identifier(engine: Engine, unpublished: DatabaseContainer) -> None:
    identifier = engine.run("inspect", "--format={{.Id}}", unpublished.name).strip()
    for known in (identifier, identifier[:12]):
        with open_route(dataclasses.replace(unpublished.endpoint(), container=known)) as reached:
            assert reached.way.startswith("tunnel")


def test_route_of_a_route(engine: Engine, unpublished: DatabaseContainer) -> None:
    with open_route(unpublished.endpoint()) as reached, open_route(reached) as again:
        assert again is reached


def test_server_on_its_socket_only(engine: Engine) -> None:
    with engine.database("debian", "listen_addresses=") as container:
        with open_route(container.endpoint()) as reached:
            assert reached.way.startswith("tunnel through docker exec (perl, /")
            assert rows_through(reached) == _COPIED_ROWS
        # Without a password the socket comes first, where plain images ask for none.
        engine.run("exec", container.name, "sh", "-c", 'echo "local all all trust" >"$PGDATA/pg_hba.conf"')
        with container.server.connect() as connection:
            connection.execute("SELECT pg_reload_conf()")
        with open_route(container.endpoint(password="")) as reached:
            assert reached.way.startswith("tunnel through docker exec (perl, /")
        container.assert_unharmed()


def test_socket_that_no_program_can_reach(engine: Engine) -> None:
    with engine.database("alpine", "listen_addresses=") as container:
        with pytest.raises(ContainerError) as refusal, open_route(container.endpoint()):
            pass
        assert refusal.value.code == "container-no-relay"
        assert "no program inside can reach that" in refusal.value.message
        assert "perl, python3 and socat" in refusal.value.remedy
        container.assert_unharmed()


def test_published_port_is_used_directly(engine: Engine) -> None:
    port = free_port()
    with (
        engine.database("debian", port=port, options=["--network=host"]) as container,
        open_route(container.endpoint()) as reached,
    ):
        assert (reached.way, reached.host, reached.port) == ("direct", "127.0.0.1", port)
        assert rows_through(reached) == _COPIED_ROWS


def test_another_server_at_the_same_port_is_not_taken(engine: Engine, servers: Servers) -> None:
    """The port is where the container's would be, user and password fit, and yet it is not that server."""
    other = servers.source()
    with engine.database("debian", "listen_addresses=", port=other.port, options=["--network=host"]) as container:
        with container.server.connect() as connection:
            connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(other.password))
        endpoint = container.endpoint(password=other.password)
        with connect(dataclasses.replace(endpoint, host="127.0.0.1", way="direct")):
            pass  # the other one would let us in
        with open_route(endpoint) as reached:
            assert reached.way.startswith("tunnel through docker exec (perl, /")


@pytest.mark.parametrize("image", ["unpublished", "busybox"])
def test_client_that_dies_leaves_nothing_inside(engine: Engine, image: str, request: pytest.FixtureRequest) -> None:
    """Neither a relay nor a backend that writes to nobody; and the server does not take it for a crash."""
    container: DatabaseContainer = request.getfixturevalue(image)
    psql = choose_tools(18, 18).program("psql")
    with open_route(container.endpoint()) as reached:
        command = [psql, "-c", "COPY (SELECT repeat('x', 1000), generate_series(1, 1000000000)) TO STDOUT"]
        with subprocess.Popen(command, env=tool_environment(reached), stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.read(1 << 16)
            process.kill()
        copying = "SELECT FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'"
        with container.server.connect() as connection:
            wait_until(lambda: not connection.execute(copying).fetchall())
    container.assert_unharmed()


def test_interruption_leaves_nothing(engine: Engine, unpublished: DatabaseContainer) -> None:
    """The block is left while sessions are open and a COPY is under way."""
    with pytest.raises(KeyboardInterrupt), open_route(unpublished.endpoint()) as reached:  # noqa: PT012 - the way must be open when it breaks
        folder = Path(reached.host)
        with exported_snapshot(reached) as snapshot, Sender(snapshot, choose_tools(18, 18)) as sender:
            next(sender.stream(sql.Composed([_COPY])))
            raise KeyboardInterrupt
    assert not folder.exists()
    unpublished.assert_unharmed()


def test_container_killed_in_the_middle(engine: Engine) -> None:
    """A stream that breaks off is a failure, and the message tells why it broke off."""
    with engine.database("debian") as container:
        with (  # noqa: PT012 - the way must be open when it breaks
            pytest.raises(MigrationError) as failure,
            open_route(container.endpoint()) as reached,
            exported_snapshot(reached) as snapshot,
            Sender(snapshot, choose_tools(18, 18)) as sender,
        ):
            chunks = sender.stream(sql.Composed([_COPY]))
            next(chunks)
            # The engine waits for the streams of a container's programs, and so must not be waited for.
            with engine.running("kill", container.name):
                for _ in chunks:
                    pass
        assert f"The container {container.name} is exited, with status 137" in str(failure.value)
        assert f"docker logs {container.name}" in str(failure.value)


def test_container_restarted_in_the_middle(engine: Engine) -> None:
    with engine.database("debian") as container:
        with (  # noqa: PT012 - the way must be open when it breaks
            pytest.raises(MigrationError) as failure,
            open_route(container.endpoint()) as reached,
            connect(reached) as session,
        ):
            engine.run("restart", "--time=0", container.name)
            session.execute("SELECT")
        assert f"The container {container.name} was restarted in the meantime" in str(failure.value)


@pytest.mark.parametrize(
    ("inspected", "local", "remote"),
    [
        pytest.param({}, [], [], id="nothing known"),
        pytest.param(
            {"NetworkSettings": {"Ports": {"5432/tcp": [{"HostIp": "", "HostPort": "15432"}]}}},
            [("127.0.0.1", 15432)],
            [("127.0.0.1", 15432)],
            id="published",
        ),
        pytest.param(
            {"NetworkSettings": {"Ports": {"5432/tcp": [{"HostIp": "192.0.2.7", "HostPort": "5432"}]}}},
            [("192.0.2.7", 5432)],
            [],
            id="published at one address",
        ),
        pytest.param(
            {"NetworkSettings": {"Ports": {"5432/tcp": None, "80/tcp": [{"HostIp": "::", "HostPort": "80"}]}}},
            [],
            [],
            id="another port published",
        ),
        pytest.param({"HostConfig": {"NetworkMode": "host"}}, [("127.0.0.1", 5432)], [("127.0.0.1", 5432)], id="host"),
        pytest.param(
            {"NetworkSettings": {"Ports": {}, "Networks": {"a": {"IPAddress": "172.18.0.2"}, "b": {"IPAddress": ""}}}},
            [("172.18.0.2", 5432)],
            [],
            id="own address",
        ),
    ],
)
def test_addresses(inspected: dict[str, t.Any], local: list[tuple[str, int]], remote: list[tuple[str, int]]) -> None:
    """Of a remote engine only what listens on this machine counts: nothing else would be encrypted."""
    assert addresses(inspected, 5432, engine_is_local=True) == local
    assert addresses(inspected, 5432, engine_is_local=False) == remote
