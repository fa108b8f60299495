# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One state of a database, shared by all that read it."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import typing as t

from psycopg import sql

from ..endpoint import Endpoint, Session, connect, pin_settings
from .door import open_door

_BEGIN: t.Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@dataclasses.dataclass(frozen=True)
class Snapshot(abc.ABC):
    """What ``session`` sees, every other reader sees, too; how that is done is for the two kinds of it to know."""

    endpoint: Endpoint
    session: Session

    @abc.abstractmethod
    def another_session(self) -> contextlib.AbstractContextManager[Session]:
        """Give a session for one more reader; what it sets ends with the block."""

    @contextlib.contextmanager
    def entrance(self) -> t.Iterator[Endpoint]:
        """Give where pg_dump connects to, to see the same: a door into a session.

        It needs no password then, no TLS, and no settings of its own.
        """
        with self.another_session() as session, open_door(session, self.endpoint) as door:
            yield door


@dataclasses.dataclass(frozen=True)
class ExportedSnapshot(Snapshot):
    """One committed instant: other sessions import it (docs: 9.28.5 Snapshot Synchronization Functions)."""

    name: str

    @property
    def import_statements(self) -> sql.Composed:
        """The statements by which another session, of whatever program, takes part in the snapshot."""
        return sql.SQL(_BEGIN + "; SET TRANSACTION SNAPSHOT {}").format(self.name)

    @contextlib.contextmanager
    def another_session(self) -> t.Iterator[Session]:
        """Open one more session at the same instant.

        What is pinned is pinned once more, within the transaction: it holds as long, whatever lies between.
        """
        with connect(self.endpoint) as session:
            session.execute(sql.SQL("; ").join([self.import_statements, pin_settings(self.endpoint)]))
            yield session


@contextlib.contextmanager
def exported_snapshot(endpoint: Endpoint) -> t.Iterator[ExportedSnapshot]:
    """Hold a read-only transaction whose snapshot others can import, for as long as the block lasts."""
    with connect(endpoint) as session:
        session.execute(sql.SQL("; ").join([sql.SQL(_BEGIN), pin_settings(endpoint)]))
        row = session.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
        assert row is not None
        yield ExportedSnapshot(endpoint, session, row[0])
