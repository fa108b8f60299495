# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One database of one server, and the only two ways into it: a psycopg session, or a client tool's environment."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import os
import time
import typing as t

import psycopg
from psycopg import pq, sql

from ..errors import MigrationError, describe
from .advice import advise

Session = psycopg.Connection[tuple[t.Any, ...]]
#: How those that fill a database come to a session of it: a new one each, or all the same one.
OpenSession = t.Callable[[], contextlib.AbstractContextManager[Session]]

#: Settings that change how values look, which rows are seen, when a statement is cut off or how long it takes to begin.
#: They are the same in every session of ours, whatever the role or the database has set (as in pg_dump:
#: setup_connection in pg_dump.c).
PINNED_SETTINGS: t.Final[dict[str, str]] = {
    "search_path": "",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "quote_all_identifiers": "off",
    "row_security": "off",
    "default_transaction_isolation": "read committed",
    "check_function_bodies": "off",
    "synchronize_seqscans": "off",
    "client_min_messages": "warning",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "jit": "off",
}

#: What is said before anything else that must not be cut off, by a timeout of a few milliseconds.
UNTIMED: t.Final = "SET statement_timeout = 0"

# A SQL_ASCII database holds bytes of whatever encoding. In LATIN1 each of them is a character, so that all survive the
# way through our strings and back; in UTF8 the server would refuse some.
_CLIENT_ENCODING: t.Final = sql.SQL(
    "CASE pg_catalog.current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'LATIN1' ELSE 'UTF8' END"
)

#: A machine that has vanished without a word is noticed by the other side within two minutes, not two hours. A server
#: that is busy answers these probes, however long it takes (docs: 32.1.2 Parameter Key Words, keepalives).
_KEEPALIVES: t.Final[dict[str, t.Any]] = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 6}

# What ALTER DATABASE ... SET role makes of each session is for the clients of that database: ours in it have the rights
# that the same user has beside it, in a copy or a maintenance database. Where the user itself has such a setting, it
# holds in all of them, and here as well. (pg_settings does not list the setting.)
_OWN_ROLE: t.Final = sql.SQL("""
SELECT pg_catalog.set_config('role', coalesce((
    SELECT pg_catalog.substr(c, 6) FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
    WHERE s.setdatabase = 0 AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
      AND pg_catalog.starts_with(c, 'role=')
    ORDER BY s.setrole DESC LIMIT 1), 'none'), false)
WHERE EXISTS (
    SELECT FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
    WHERE s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      AND pg_catalog.starts_with(c, 'role='))
""")

#: statement_timeout, transaction_timeout, idle_session_timeout
_TIMEOUTS: t.Final = ("57014", "25P04", "57P05")

_CONNECT_TIMEOUT_SECONDS: t.Final = 10
#: How long a server may take to cancel a statement, and how often it is looked whether it has.
_BREAK_OFF_SECONDS: t.Final = 5
_PAUSE_SECONDS: t.Final = 0.01
_TLS_MODES: t.Final = ("require", "verify-ca", "verify-full")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where a database is and who enters it. ``side`` is ``source`` or ``target``; a source is opened read-only.

    ``container`` names the container that a source is in, and ``way`` tells how it is reached there; without a way,
    its host is not known yet (container/route.py).
    """

    side: t.Literal["source", "target"]
    host: str
    port: int
    dbname: str
    user: str
    password: str = dataclasses.field(default="", repr=False)
    sslmode: str = ""
    sslrootcert: str = ""
    container: str = ""
    way: str = ""

    def __str__(self) -> str:
        if self.container:
            return f'{self.side} database "{self.dbname}" in container {self.container}'
        return f'{self.side} database "{self.dbname}" at {self.host}:{self.port}'

    def at(self, dbname: str) -> Endpoint:
        """Return another database of the same server."""
        return dataclasses.replace(self, dbname=dbname)

    @property
    def is_local(self) -> bool:
        """Whether no network lies between: a container, a socket directory, localhost or a loopback address."""
        if self.container or not self.host or self.host.startswith("/") or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def tls(self) -> str:
        """Return the sslmode in force; TLS may be missing only where the host is local.

        :raises MigrationError: when a remote host is to be reached without enforced TLS
        """
        if self.is_local:
            return self.sslmode or "prefer"
        mode = self.sslmode or "require"
        if mode not in _TLS_MODES:
            raise MigrationError(
                f"{self}: {self.side}_sslmode is {mode!r}, but the host is remote and its traffic must be encrypted. "
                f"Set {self.side}_sslmode to one of {', '.join(_TLS_MODES)}."
            )
        return mode


def connect(
    endpoint: Endpoint, settings: t.Mapping[str, str] | None = None, first: sql.Composed | None = None
) -> Session:
    """Open a session in autocommit mode with the pinned settings.

    :param settings: others for the session besides, which travel with them
    :param first: what is executed in the same transaction, and travels with them as well
    :raises MigrationError: when the server refuses, with its message
    :raises psycopg.Error: when what is executed fails; the session is closed
    """
    session = connect_unpinned(endpoint)
    pins = pin_settings(endpoint, settings)
    try:
        with pinning(endpoint, session):
            session.execute(sql.SQL("; ").join([pins, first]) if first else pins)
    except psycopg.Error:
        session.close()
        raise
    return session


def connect_unpinned(endpoint: Endpoint) -> Session:
    """Open a session in autocommit mode, in which what is said first must pin the settings (`pinning`).

    :raises MigrationError: when the server refuses, with its message
    """
    try:
        return psycopg.connect(
            host=endpoint.host,
            port=endpoint.port,
            dbname=endpoint.dbname,
            user=endpoint.user,
            password=endpoint.password or None,
            sslmode=endpoint.tls,
            sslrootcert=endpoint.sslrootcert or None,
            client_encoding="UTF8",
            application_name="pgconvoy",
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            **_KEEPALIVES,
            autocommit=True,
        )
    except psycopg.Error as error:
        said = describe(error)
        check = (
            f"Check {endpoint.side}_{'container' if endpoint.container else 'host'}, {endpoint.side}_port, "
            f"{endpoint.side}_dbname, {endpoint.side}_user and {endpoint.side}_password"
            + (f", {endpoint.side}_sslmode and {endpoint.side}_sslrootcert." if endpoint.tls in _TLS_MODES else ".")
        )
        raise MigrationError(
            f"Cannot connect to the {endpoint} as {endpoint.user}: {said}\n"
            f"{advise(endpoint.side, endpoint.host, endpoint.password, said) or check}"
        ) from None


@contextlib.contextmanager
def pinning(endpoint: Endpoint, session: Session) -> t.Iterator[None]:
    """Let a session be told its settings, with what else travels with them.

    :raises MigrationError: when a timeout of its own has ended it before
    """
    try:
        yield
    except psycopg.Error as error:
        # By a far line, what a server says as it ends a session may get lost.
        if error.sqlstate not in _TIMEOUTS and not session.broken:
            raise
        session.close()
        raise MigrationError(
            f"A session in the {endpoint} as {endpoint.user} ended before its settings were made: {describe(error)}\n"
            "If it begins with a timeout of a few milliseconds, take that back: ALTER ROLE ... RESET, or "
            "ALTER DATABASE ... RESET."
        ) from None


def connect_beside(session: Session, options: str = "") -> Session:
    """Open one more session of the same role in the same database; nothing is pinned in it.

    :param options: settings that it is to begin with, as a server's command line has them
    :raises psycopg.Error: when the server refuses
    """
    return psycopg.connect(
        session.info.dsn, password=session.info.password or None, options=options or None, autocommit=True
    )


def handing_on(first: contextlib.AbstractContextManager[Session], open_session: OpenSession) -> OpenSession:
    """Return what gives a session that is open already to who comes first, and others their own."""
    left = [first]

    def give() -> contextlib.AbstractContextManager[Session]:
        try:
            return left.pop()
        except IndexError:
            return open_session()

    return give


def pin_settings(endpoint: Endpoint, settings: t.Mapping[str, str] | None = None) -> sql.Composed:
    """Return the statements that pin a session: those of the settings that the server's version knows.

    :param settings: others besides
    """
    pinned: dict[str, str | sql.SQL] = {
        **PINNED_SETTINGS,
        **{f"tcp_{name}": str(value) for name, value in _KEEPALIVES.items()},
        "client_encoding": _CLIENT_ENCODING,
        "default_transaction_read_only": "on" if endpoint.side == "source" else "off",
        **(settings or {}),
    }
    pairs = sql.SQL(", ").join(sql.SQL("({}, {})").format(name, value) for name, value in pinned.items())
    # pg_settings spells names as PostgreSQL does: DateStyle, not datestyle.
    return sql.SQL(
        UNTIMED + "; SELECT pg_catalog.set_config(s.name, p.value, false) FROM (VALUES {}) p(name, value)"
        " JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) = pg_catalog.lower(p.name) UNION ALL {}"
    ).format(pairs, _OWN_ROLE)


def break_off(session: Session) -> None:
    """Make what another thread has a session do fail soon: the server cancels it.

    Where server or network say nothing, the session is closed: whoever waits for its answer waits no longer.
    """
    deadline = time.monotonic() + _BREAK_OFF_SECONDS
    with contextlib.suppress(psycopg.Error):
        session.cancel_safe(timeout=_BREAK_OFF_SECONDS)
        while session.info.transaction_status == pq.TransactionStatus.ACTIVE and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
    if session.info.transaction_status == pq.TransactionStatus.ACTIVE:
        session.close()


def use_search_path(session: Session, search_path: str) -> None:
    """Give a session the search_path that a database has, on which its functions may rely."""
    session.execute(set_search_path(search_path))


def set_search_path(search_path: str) -> sql.Composed:
    """Return the statement that does so."""
    return sql.SQL("SELECT pg_catalog.set_config('search_path', {}, false)").format(search_path)


def tool_environment(endpoint: Endpoint) -> dict[str, str]:
    """Return the environment in which pg_dump or psql reaches the endpoint: nothing of it is on a command line.

    PG* variables of the caller are dropped: PGHOSTADDR, PGSERVICE or PGOPTIONS would lead elsewhere.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {
        "PGHOST": endpoint.host,
        "PGPORT": str(endpoint.port),
        "PGDATABASE": endpoint.dbname,
        "PGUSER": endpoint.user,
        "PGSSLMODE": endpoint.tls,
        "PGCONNECT_TIMEOUT": str(_CONNECT_TIMEOUT_SECONDS),
        "PGAPPNAME": "pgconvoy",
        "LC_MESSAGES": "C",
    }
    if endpoint.password:
        environment["PGPASSWORD"] = endpoint.password
    if endpoint.sslrootcert:
        environment["PGSSLROOTCERT"] = endpoint.sslrootcert
    return environment
