# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a server inside a container by a program there, which is looked for and tried."""

from __future__ import annotations

import dataclasses
import os
import re
import select
import struct
import subprocess
import time
import typing as t

from .engine import Container, ContainerError
from .relay_programs import Relay, by_socket, by_tcp

_PATIENCE_SECONDS: t.Final = 10
#: Some programs answer a wrong option with all that they know.
_TOLD_OF_EACH: t.Final = 100

_SURVEY: t.Final = r"""
for name in bash perl python3 socat cat; do
  command -v $name >/dev/null 2>&1 && echo "program $name"
done
# OpenBSD's nc does not end when the server is the first to close.
for name in "nc" "busybox nc"; do
  case $($name --help 2>&1) in BusyBox*Usage:\ nc*) echo "program $name";; esac
done
for file in /proc/[0-9]*/comm; do
  read -r name <"$file" && case $name in postgres|postmaster) echo "server";; esac
done 2>/dev/null
# With the host's network this lists the host's sockets too, hence the test.
while read -r _ _ _ _ _ _ _ path; do
  case $path in */.s.PGSQL.*) test -S "$path" && echo "socket $path";; esac
done 2>/dev/null </proc/net/unix
echo end
"""


@dataclasses.dataclass(frozen=True)
class Survey:
    """What there is inside a container."""

    programs: frozenset[str]
    sockets: frozenset[str]
    server_runs: bool

    def directories(self, port: int) -> list[str]:
        """Return the directories of the sockets of a port."""
        return sorted(os.path.dirname(path) for path in self.sockets if path.endswith(f"/.s.PGSQL.{port}"))

    def other_ports(self, port: int) -> list[int]:
        """Return the ports of the other sockets."""
        return sorted({int(path.rpartition(".")[2]) for path in self.sockets} - {port})


class _RefusedError(Exception):
    """A relay did not bring us to a server; the message is what it said."""


def find_relay(container: Container, port: int, user: str, dbname: str, by_tcp_first: bool) -> Relay:
    """Return a relay that has been seen to lead to the server inside.

    :param by_tcp_first: whether the loopback address is tried before the sockets, which may know users by other rules
    :raises ContainerError: when none does; it says what is missing
    """
    survey = take_survey(container)
    sockets = [relay for directory in survey.directories(port) for relay in by_socket(survey.programs, directory, port)]
    loopback = by_tcp(survey.programs, "127.0.0.1", port)
    refusals = []
    for relay in [*loopback, *sockets] if by_tcp_first else [*sockets, *loopback]:
        try:
            _check_ready(container, greet(container, relay, user, dbname))
        except _RefusedError as refusal:
            refusals.append(f"{relay}: {str(refusal)[:_TOLD_OF_EACH]}")
        else:
            return relay
    raise _explain(container, survey, port, refusals)


def take_survey(container: Container) -> Survey:
    """Return which programs and sockets there are, found by the shell inside."""
    answer = container.run(["sh", "-c", _SURVEY])
    lines = answer.stdout.splitlines()
    if not lines or lines[-1] != "end":
        raise ContainerError(
            "container-no-shell",
            f"No program can be run in it: {answer.stderr.strip() or answer.stdout.strip()}",
            "Its image must have a shell (sh); else publish the server's port, and set source_host and source_port "
            "in place of source_container.",
        )
    found = [line.partition(" ")[::2] for line in lines]
    return Survey(
        programs=frozenset(value for key, value in found if key == "program"),
        sockets=frozenset(value for key, value in found if key == "socket" and re.search(r"\.\d+$", value)),
        server_runs=any(key == "server" for key, _ in found),
    )


def greet(container: Container, relay: Relay, user: str, dbname: str) -> tuple[str, dict[str, str]]:
    """Begin a session through the relay; return the server's first message: its type and, of an error, the fields.

    :raises _RefusedError: when nothing that PostgreSQL would say comes back
    """
    words = b"\0".join(word.encode() for word in ("user", user, "database", dbname)) + b"\0\0"
    # docs: 53.7, StartupMessage of protocol 3.0
    packet = struct.pack("!II", len(words) + 8, 3 << 16) + words
    with subprocess.Popen(
        container.command(relay.argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            process.stdin.write(packet)
            head = _read(process.stdout.fileno(), 5)
            kind, length = (head[:1], struct.unpack("!I", head[1:])[0]) if len(head) == 5 else (b"", 0)
            if kind not in (b"R", b"E") or length > 1 << 16:
                process.stdin.close()
                said = process.stderr.read().decode(errors="replace") if len(head) < 5 else repr(head)
                raise _RefusedError(" ".join(said.split()) or "no answer")
            body = _read(process.stdout.fileno(), length - 4)
        except (BrokenPipeError, TimeoutError) as error:
            raise _RefusedError(str(error)) from None
        finally:
            process.stdin.close()
            try:
                process.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
    fields = [field for field in body.decode(errors="replace").split("\0") if field] if kind == b"E" else []
    return kind.decode(), {field[0]: field[1:] for field in fields}


def _read(file: int, count: int) -> bytes:
    """Read that many bytes, or up to the end; nobody waits for ever for a server that has stopped answering."""
    deadline, data = time.monotonic() + _PATIENCE_SECONDS, b""
    while len(data) < count:
        ready, _, _ = select.select([file], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"no answer within {_PATIENCE_SECONDS} seconds")
        chunk = os.read(file, count - len(data))
        if not chunk:
            break
        data += chunk
    return data


def _check_ready(container: Container, greeting: tuple[str, dict[str, str]]) -> None:
    kind, fields = greeting
    # cannot_connect_now: starting up, shutting down or in recovery. Any other refusal is the login's to tell.
    if kind == "E" and fields.get("C") == "57P03":
        raise ContainerError(
            "container-not-ready",
            f"The server inside is not ready: {fields.get('M', 'it does not say why')}.",
            f"Wait until it is, and run again; {container.engine} logs {container.name} tells what it is doing.",
        )


def _explain(container: Container, survey: Survey, port: int, refusals: t.Sequence[str]) -> ContainerError:
    """Return why no relay leads to a server."""
    tried = f" Tried: {'; '.join(refusals)}." if refusals else ""
    logs = f"{container.engine} logs {container.name}"
    directories, others = survey.directories(port), survey.other_ports(port)
    if not survey.server_runs and not survey.sockets:
        return ContainerError(
            "container-no-server",
            f"No PostgreSQL server runs in it.{tried}",
            f"Name the container of the database in source_container; if it is this one, see why with {logs}",
        )
    if not directories and others:
        return ContainerError(
            "container-other-port",
            f"The server inside listens on port {', '.join(map(str, others))}, not on {port}.{tried}",
            "Set source_port to the port inside the container, not to the published one.",
        )
    if directories and not survey.programs & {"perl", "python3", "socat"}:
        there = ", ".join(sorted(survey.programs - {"cat"})) or "none"
        return ContainerError(
            "container-no-relay",
            f"The server inside listens on its Unix socket in {', '.join(directories)} only, and no program inside "
            f"can reach that.{tried}",
            f"One of perl, python3 and socat is needed in the image (there are: {there}); or let the server listen on "
            "127.0.0.1 as well (listen_addresses), for which bash, or nc of busybox, is enough.",
        )
    if not refusals:
        return ContainerError(
            "container-no-relay",
            "No program inside can relay a connection to its server.",
            "One of bash, perl, python3, socat, or nc of busybox, is needed in the image; else publish the server's "
            "port, and set source_host and source_port in place of source_container.",
        )
    return ContainerError(
        "container-not-ready",
        f"A PostgreSQL server runs in it, but does not answer on port {port}.{tried}",
        f"See what it is doing with {logs}; if it listens on another port or socket, set source_port.",
    )
