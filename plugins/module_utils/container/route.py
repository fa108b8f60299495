# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to the source: where it is, or through the engine into its container.

A container's server is always reached through a tunnel first: nothing else is sure to lead to that very server. If an
address leads there as well, which a lock taken on one way and seen on the other proves, that is the way: it is faster.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import secrets
import socket
import time
import typing as t

import psycopg

from ..errors import MigrationError, describe
from ..server.endpoint import Endpoint, Session, connect
from .engine import Container, ContainerError, State, find_container
from .relay import find_relay
from .tunnel import Tunnel

#: For an address that may lead nowhere at all.
_BRIEFLY_SECONDS: t.Final = 2
#: An engine tells of a container's end a moment later than the broken connection does.
_AFTERMATH_SECONDS: t.Final = 3
#: The first half of the lock's key, none of those in staging/locks.py and preflight/checks/identity.py.
_LOCK_CLASS: t.Final = 1346913112


@contextlib.contextmanager
def open_route(endpoint: Endpoint) -> t.Iterator[Endpoint]:
    """Yield the endpoint as it can be reached, for as long as the block lasts.

    :raises ContainerError: when the server in the container cannot be reached
    :raises MigrationError: what the block raises; where the container's end is the cause, it says so
    """
    if not endpoint.container or endpoint.way:
        yield endpoint
        return
    container = find_container(endpoint.container)
    before = container.state()
    with _open(endpoint, container) as reached:
        try:
            yield reached
        except (MigrationError, psycopg.Error) as error:
            told = str(error) if isinstance(error, MigrationError) else describe(error)
            fate = _fate(container, before)
            if not fate:
                raise
            outcome = error.outcome if isinstance(error, MigrationError) else None
            raise MigrationError(f"{told}\n{fate}", outcome) from None


@contextlib.contextmanager
def _open(endpoint: Endpoint, container: Container) -> t.Iterator[Endpoint]:
    # With a password, the way on which the server is likely to ask for it; but on a network that the container shares,
    # somebody else's server may listen there.
    shared = _shares_network(container.inspect())
    by_tcp_first = bool(endpoint.password) and not shared
    relay = find_relay(container, endpoint.port, endpoint.user, endpoint.dbname, by_tcp_first)
    with contextlib.ExitStack() as stack:
        tunnel = stack.enter_context(Tunnel(container, relay, endpoint.port))
        through = dataclasses.replace(
            endpoint,
            host=tunnel.host,
            # No network, hence no TLS: the socket is ours, and the rest is the engine's.
            sslmode="",
            sslrootcert="",
            way=f"tunnel through {container.engine} exec ({relay})",
        )
        with _login(through, tunnel, container) as session:
            if shared:
                _check_inside(session, container)
            direct = _find_direct(endpoint, container, session)
        if direct:
            stack.close()
        yield direct or through


@contextlib.contextmanager
def _login(through: Endpoint, tunnel: Tunnel, container: Container) -> t.Iterator[Session]:
    """Open a session; of a refusal, find out whether user or database is what is wrong.

    It is not judged by the server's words, which may be in any language.
    """
    try:
        session = connect(through)
    except MigrationError as error:
        refusal = str(error).splitlines()[0].rpartition(" failed: ")[2]
    else:
        with session:
            yield session
        return
    if databases := _databases(through):
        raise ContainerError(
            "container-database",
            f'User "{through.user}" is let into other databases of the server inside, but not into this: {refusal}',
            f"Correct source_dbname. The server has: {', '.join(databases)}.",
        )
    said = tunnel.said()
    raise ContainerError(
        "container-login",
        f'The server inside refuses user "{through.user}": {refusal}' + (f"\n{said}" if said else ""),
        "Correct source_user and source_password: an image of PostgreSQL makes the user that POSTGRES_USER names "
        f"({container.engine} inspect {container.name} shows it).",
    )


def _shares_network(inspected: dict[str, t.Any]) -> bool:
    """Whether what listens on the container's loopback address need not be in the container."""
    return str(inspected.get("HostConfig", {}).get("NetworkMode", "")).partition(":")[0] in ("host", "container", "ns")


def _check_inside(session: Session, container: Container) -> None:
    """Make sure that the session's backend is a process of the container: process numbers are the container's own."""
    title = container.run(["cat", f"/proc/{session.info.backend_pid}/cmdline"]).stdout
    if not title.startswith("postgres: ") or f" {session.info.user} {session.info.dbname} " not in title:
        raise ContainerError(
            "container-other-server",
            "It shares a network with others, and the server that answers on that port is not in this container.",
            "Name the container of the server in source_container, or correct source_port.",
        )


def _databases(through: Endpoint) -> list[str]:
    """Return the databases of the server inside, nothing where its user may not enter that called postgres."""
    try:
        with connect(through.at("postgres")) as session:
            rows = session.execute("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1").fetchall()
            return [name for (name,) in rows]
    except MigrationError:
        return []


def _find_direct(endpoint: Endpoint, container: Container, session: Session) -> Endpoint | None:
    """Return an address that leads to the session's own server without a detour, if there is one."""
    for host, port in addresses(container.inspect(), endpoint.port, container.engine_is_local()):
        candidate = dataclasses.replace(endpoint, host=host, port=port, way="direct")
        if _is_reachable(host, port) and _leads_to(session, candidate):
            return candidate
    return None


def addresses(inspected: dict[str, t.Any], port: int, engine_is_local: bool) -> list[tuple[str, int]]:
    """Return where a container's port may be reached from here, without a network that others could listen on.

    :param inspected: what the engine knows of the container
    """
    network = inspected.get("NetworkSettings", {})
    published = (network.get("Ports") or {}).get(f"{port}/tcp") or []
    found = [(_from_here(entry.get("HostIp", "")), int(entry["HostPort"])) for entry in published]
    if inspected.get("HostConfig", {}).get("NetworkMode") == "host":
        found.append(("127.0.0.1", port))
    for joined in (network.get("Networks") or {}).values():
        if joined.get("IPAddress"):
            found.append((joined["IPAddress"], port))
    # A remote engine's addresses belong to other machines; what listens here at the same port is tested, not believed.
    kept = [entry for entry in found if engine_is_local or ipaddress.ip_address(entry[0]).is_loopback]
    return list(dict.fromkeys(kept))


def _from_here(address: str) -> str:
    """Return the address by which a port bound to all addresses is reached."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - not bound


def _is_reachable(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_BRIEFLY_SECONDS).close()
    except OSError:
        return False
    return True


def _leads_to(session: Session, candidate: Endpoint) -> bool:
    """Whether a connection to the candidate sees a lock that the session takes: only its own server can show that."""
    try:
        other = psycopg.connect(
            host=candidate.host,
            port=candidate.port,
            dbname=candidate.dbname,
            user=candidate.user,
            password=candidate.password or None,
            sslmode=candidate.tls,
            sslrootcert=candidate.sslrootcert or None,
            # Whoever listens there does not get to see the password.
            require_auth="!password",
            connect_timeout=_BRIEFLY_SECONDS,
            autocommit=True,
        )
    except psycopg.Error:
        return False
    key = secrets.randbits(31)
    with other:
        session.execute("SELECT pg_catalog.pg_advisory_lock(%s, %s)", (_LOCK_CLASS, key))
        try:
            row = other.execute(
                "SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s",
                (_LOCK_CLASS, key),
            ).fetchone()
        finally:
            session.execute("SELECT pg_catalog.pg_advisory_unlock(%s, %s)", (_LOCK_CLASS, key))
    return row is not None


def _fate(container: Container, before: State) -> str:
    """Return what has become of a container in the meantime, or nothing when it goes on as before."""
    deadline = time.monotonic() + _AFTERMATH_SECONDS
    while (now := container.state()) == before:
        if time.monotonic() > deadline:
            return ""
        time.sleep(0.1)
    name = f"The container {container.name}"
    if now.status == "running":
        return f"{name} was restarted in the meantime. Run again when its server is ready."
    return (
        f"{name} is {now.status}, with status {now.exit_code}: it ended in the meantime. "
        f"See why with {container.engine} logs {container.name}, start it, and run again."
    )
