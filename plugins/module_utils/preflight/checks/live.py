# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database: what the switch will meet in it, and what it will take out of service."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ...catalog.search_path import read_serving_path
from ...server.endpoint import Session, use_search_path
from ...server.inquiry import Inquiry, answer, ask, one_line, together
from ...staging.locks import CLASS
from ...staging.names import Generations
from ...verdict.findings import Finding
from .check import RELATIONS

#: How many sessions, tables and extensions a finding names.
_PRESENT: t.Final = "SELECT oid FROM pg_database WHERE datname = {}"
_SUBSCRIPTIONS: t.Final = (
    "SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = {})"
)
_NAMED: t.Final = 5
#: Up to how many rows of a table that only the live database has are counted.
_COUNTED: t.Final = 1000


def ask_live(generations: Generations, may_disconnect: bool) -> Inquiry[list[Finding]]:
    """Ask, outside of the live database, what goes on in it that the switch would meet."""
    name = f'database "{generations.live}"'
    (present, subscriptions), clients = yield from together(
        ask(sql.SQL(_PRESENT).format(generations.live), sql.SQL(_SUBSCRIPTIONS).format(generations.live)),
        ask_clients(generations.live, may_disconnect),
    )
    if not present:
        return [Finding("notice", "target-missing", name, "the target has none of that name yet; it will be made.")]
    findings = [
        Finding(
            "error",
            "target-subscription",
            f"subscription {subscription}",
            "it is in the live database, and would go on in the previous one after the switch.",
            "Drop it on the target first.",
        )
        for (subscription,) in subscriptions
    ]
    return [*findings, *clients]


@dataclasses.dataclass(frozen=True)
class Client:
    """A session of somebody's in the live database, and whether the target user may end it."""

    pid: int
    user: str
    application: str
    #: how long it has been in its transaction
    seconds: int | None
    may_end: bool

    def __str__(self) -> str:
        application = f" ({self.application})" if self.application else ""
        transaction = f", in a transaction for {self.seconds:,} s" if self.seconds is not None else ""
        return f"session {self.pid} of {self.user}{application}{transaction}"


# Of other users' sessions a plain role sees the database, the user and the process, nothing else. The session that
# asks is no client, nor is that which holds a run's claim.
_CLIENTS: t.Final = """
SELECT pid, usename, coalesce(application_name, ''),
       extract(epoch FROM now() - xact_start)::int,
       pg_has_role(usesysid, 'USAGE')
       OR coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'pg_signal_backend'), false)
          AND NOT coalesce((SELECT rolsuper FROM pg_roles WHERE oid = usesysid), false)
FROM pg_stat_activity a
WHERE datname = {} AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
  AND pid <> pg_backend_pid()
  AND NOT EXISTS (SELECT FROM pg_locks l
                  WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = {})
ORDER BY xact_start, pid
"""


def read_clients(session: Session, dbname: str) -> list[Client]:
    """Return who else is in a database of the session's server."""
    return answer(session, ask_connected(dbname))


def ask_connected(dbname: str) -> Inquiry[list[Client]]:
    """Ask who else is in a database of the session's server."""
    (rows,) = yield [_clients(dbname)]
    return [Client(*row) for row in rows]


def _clients(dbname: str) -> sql.Composed:
    return sql.SQL(_CLIENTS).format(dbname, CLASS)


def name_clients(clients: t.Sequence[Client]) -> str:
    """Return how many there are, and the first of them."""
    return f"{len(clients)} in number: {_name([str(client) for client in clients[:_NAMED]], len(clients))}"


def check_clients(session: Session, dbname: str, may_disconnect: bool) -> list[Finding]:
    """Return whose sessions the switch would meet in a database; see `ask_clients`."""
    return answer(session, ask_clients(dbname, may_disconnect))


def ask_clients(dbname: str, may_disconnect: bool) -> Inquiry[list[Finding]]:
    """Ask whose sessions in a database that is renamed the switch would have to wait for, or to end."""
    clients = yield from ask_connected(dbname)
    if not clients:
        return []
    others = sorted({client.user for client in clients if not client.may_end})
    if not may_disconnect:
        consequence, remedy = "the switch fails while they are.", "Stop them, or set switch_disconnects_clients."
    elif others:
        consequence = f"the switch would end their sessions, but may not end those of {', '.join(others)}."
        remedy = "Stop these, or grant target_user the role pg_signal_backend."
    else:
        consequence, remedy = "the switch ends their sessions.", ""
    return [
        Finding(
            "warning",
            "target-clients",
            f'database "{dbname}"',
            f"clients are connected to it, {name_clients(clients)}; {consequence}",
            remedy,
        )
    ]


def list_tables(session: Session) -> frozenset[tuple[str, str]]:
    """Return schema and name of the user's tables."""
    return answer(session, ask_tables())


def ask_tables() -> Inquiry[frozenset[tuple[str, str]]]:
    """Ask for schema and name of the user's tables."""
    (rows,) = yield [f"SELECT n.nspname, c.relname {RELATIONS} AND c.relkind IN ('r', 'p')"]
    return frozenset((schema, name) for schema, name in rows)


_DATABASE_ITSELF: t.Final = "the database itself"
# The database's own is where whatever names none lies. 1663 is the server's default, 1664 that of what databases share;
# 99 is the schema pg_toast (pg_tablespace.dat, pg_namespace.dat).
_TABLESPACES: t.Final = f"""
SELECT spcname, array_agg(name) FROM (
    SELECT dattablespace, '{_DATABASE_ITSELF}' FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT reltablespace, oid::regclass::text FROM pg_class WHERE relnamespace <> 99
) placed(space, name) JOIN pg_tablespace s ON s.oid = space WHERE space NOT IN (1663, 1664) GROUP BY 1
"""


def ask_tablespaces() -> Inquiry[dict[str, list[str]]]:
    """Ask what of the live database lies elsewhere than where its server puts what it is not told of."""
    (rows,) = yield [one_line(_TABLESPACES)]
    return {space: sorted(names) for space, names in sorted(rows)}


def tell_tablespaces(placed: t.Mapping[str, list[str]], *, in_place: bool) -> list[Finding]:
    """Return which tablespaces will hold nothing of what the run makes anew."""
    made = {name: [o for o in objects if not in_place or o != _DATABASE_ITSELF] for name, objects in placed.items()}
    return [
        Finding(
            "warning",
            "tablespace",
            f"tablespace {name}",
            f"the live database has {_name(objects[:_NAMED], len(objects))} in it; what takes their place lies in the "
            "default one.",
            "See that there is room, and move it after the run (ALTER ... SET TABLESPACE).",
        )
        for name, objects in made.items()
        if objects
    ]


def check_only_live(
    live_session: Session, tables: t.Collection[tuple[str, str]], extensions: t.Collection[str]
) -> list[Finding]:
    """Return what the live database has and the source has not: clients will miss it after the switch."""
    tables, extensions = sorted(tables), sorted(extensions)
    said = []
    if tables:
        with live_session.transaction(force_rollback=True):
            use_search_path(live_session, read_serving_path(live_session))
            named = [f"{schema}.{name} ({_count(live_session, schema, name)})" for schema, name in tables[:_NAMED]]
        said.append(f"tables, {len(tables):,} in number: {_name(named, len(tables))}")
    if extensions:
        said.append(f"extensions, {len(extensions)} in number: {_name(extensions[:_NAMED], len(extensions))}")
    if not said:
        return []
    return [
        Finding(
            "warning",
            "only-live",
            f'database "{live_session.info.dbname}"',
            f"it holds what the source does not, and what the run takes out of service: {'; '.join(said)}.",
            "If it is needed, have it on the source first.",
        )
    ]


def _count(session: Session, schema: str, name: str) -> str:
    query = sql.SQL("SELECT count(*) FROM (SELECT FROM {} LIMIT {}) counted")
    try:
        with session.transaction():
            row = session.execute(query.format(sql.Identifier(schema, name), _COUNTED + 1)).fetchone()
    except psycopg.Error:
        return "it may not be read"
    assert row is not None
    return f"{row[0]:,} rows" if row[0] <= _COUNTED else f"more than {_COUNTED:,} rows"


def _name(named: t.Sequence[str], number: int) -> str:
    return ", ".join(named) + (f" and {number - len(named):,} more" if number > len(named) else "")
