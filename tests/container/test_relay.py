# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that relay inside a container, run here: each leads to a server, and ends when either side is gone."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import shutil
import socket
import subprocess
import time
import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.container import relay as relays
from ansible_collections.pgconvoy.migrate.plugins.module_utils.container.engine import Container
from ansible_collections.pgconvoy.migrate.plugins.module_utils.container.relay import greet
from ansible_collections.pgconvoy.migrate.plugins.module_utils.container.relay_programs import Relay, by_tcp

from tests.servers import Servers

PROGRAMS: t.Final = ("bash", "perl", "python3", "socat", "busybox nc")
#: More than pipes and sockets hold.
_MUCH: t.Final = 8 << 20


class Here(Container):
    """No container at all: its programs are those of this machine."""

    def command(self, argv: t.Sequence[str], pass_on: t.Sequence[str] = ()) -> list[str]:
        return list(argv)


HERE: t.Final = Here("docker", "", "here")


def relay_to(program: str, port: int) -> Relay:
    """Return the relay of a program to a port of this machine."""
    if shutil.which(program.split()[0]) is None:
        pytest.skip(f"{program} is not installed")
    (found, *_) = by_tcp(frozenset({program, "cat"}), "127.0.0.1", port)
    return found


@pytest.fixture
def listener() -> t.Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


@pytest.fixture(params=PROGRAMS)
def running(request: pytest.FixtureRequest, listener: socket.socket) -> t.Iterator[subprocess.Popen[bytes]]:
    """Give each relay, connected to the listener."""
    relay = relay_to(request.param, listener.getsockname()[1])
    with subprocess.Popen(relay.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("program", PROGRAMS)
def test_leads_to_the_server(servers: Servers, program: str) -> None:
    server = servers.source()
    kind, fields = greet(HERE, relay_to(program, server.port), server.user, "postgres")
    assert (kind, fields) == ("R", {}), "the server asks for a password"


@pytest.mark.parametrize("program", PROGRAMS)
def test_nobody_there(program: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(relays._RefusedError):
        greet(HERE, relay_to(program, port), "postgres", "postgres")


@pytest.mark.parametrize("program", ["bash", "busybox nc"])
def test_none_of_many_stays(servers: Servers, program: str) -> None:
    """A shell may be slower than its children: what has ended before it waits must not keep it waiting."""
    server = servers.source()

    def seconds(relay: Relay) -> float:
        began = time.monotonic()
        greet(HERE, relay, server.user, "postgres")
        return time.monotonic() - began

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        slowest = max(pool.map(seconds, [relay_to(program, server.port)] * 200))
    assert slowest < relays._PATIENCE_SECONDS


def test_carries_all_bytes_both_ways(running: subprocess.Popen[bytes], listener: socket.socket) -> None:
    connection, _ = listener.accept()
    assert running.stdin
    assert running.stdout
    sent = os.urandom(1 << 16) + bytes(range(256))
    with connection:
        running.stdin.write(sent)
        running.stdin.flush()
        assert connection.recv(len(sent), socket.MSG_WAITALL) == sent
        connection.sendall(sent)
    assert running.stdout.read(len(sent) + 1) == sent
    running.stdin.close()


def test_ends_with_the_server(running: subprocess.Popen[bytes], listener: socket.socket) -> None:
    """Even though the client goes on; the last bytes arrive."""
    connection, _ = listener.accept()
    connection.sendall(b"last words")
    connection.close()
    assert running.stdout
    assert running.stdout.read() == b"last words"
    assert running.wait(20) == 0


def test_ends_with_the_client(running: subprocess.Popen[bytes], listener: socket.socket) -> None:
    """Even though the server has more to say, which nobody reads; and no process stays."""
    connection, _ = listener.accept()
    with connection:
        connection.setblocking(False)
        unread = bytes(_MUCH)
        with contextlib.suppress(BlockingIOError):
            while connection.send(unread):
                pass
        assert running.stdin
        running.stdin.close()
        assert running.wait(20) == 0
        connection.setblocking(True)
        connection.settimeout(20)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall(unread)
