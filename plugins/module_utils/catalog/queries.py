# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own questions to a database."""

from __future__ import annotations

import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, describe
from ..server.endpoint import PINNED_SETTINGS, Endpoint, Session, set_search_path
from .in_force import Settings, use_settings
from .snapshot import Snapshot

#: The expectation that both sides give the same answer.
SAME: t.Final = "same"


@dataclasses.dataclass(frozen=True)
class Query:
    """A question; ``expect`` is the answer in COPY's text form, or ``same``."""

    name: str
    sql: str
    expect: str


def ask(snapshot: Snapshot, queries: t.Collection[Query], search_path: str, settings: Settings = ()) -> dict[str, str]:
    """Return what a snapshot answers; see `ask_in`."""
    if not queries:
        return {}
    with snapshot.another_session() as session:
        return ask_in(session, snapshot.endpoint, queries, search_path, settings)


def ask_in(
    session: Session, endpoint: Endpoint, queries: t.Iterable[Query], search_path: str, settings: Settings = ()
) -> dict[str, str]:
    r"""Return the answers by the queries' names: rows as lines, columns parted by tabs.

    A SQL_ASCII database answers in whatever encoding: a byte that is none of UTF-8 becomes ``\xe9``, which stands for
    nothing else, since COPY doubles the backslashes of values.

    :param endpoint: where the session is
    :param search_path: the source's own, so that queries may be written as its users write them
    :param settings: what a session of the source begins with; of these, what is pinned stays so
    :raises MigrationError: when a query fails; that is never an answer
    """
    answers: dict[str, str] = {}
    own = [(name, value) for name, value in settings if name not in PINNED_SETTINGS]
    use_settings(session, own, set_search_path(search_path))
    for query in queries:
        statement = sql.SQL("COPY ({}) TO STDOUT").format(sql.SQL(query.sql.strip().rstrip(";")))
        try:
            with session.cursor() as cursor, cursor.copy(statement) as copy:
                answers[query.name] = b"".join(copy).decode(errors="backslashreplace").rstrip("\n")
        except psycopg.Error as error:
            said = describe(error, over_rows=True)
            raise MigrationError(
                f'The query "{query.name}" of verify_queries failed on the {endpoint}: {said}'
            ) from None
    return answers
