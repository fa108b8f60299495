# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One instant of a database, shared by several sessions."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from psycopg import sql

from ..endpoint import Endpoint, Session, connect

_BEGIN: t.Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What ``session`` sees, every session that imports the snapshot sees (docs: 9.28.5 Snapshot Synchronization)."""

    endpoint: Endpoint
    session: Session
    name: str

    @property
    def import_statements(self) -> sql.Composed:
        """The statements by which another session, of whatever program, takes part in the snapshot."""
        return sql.SQL(_BEGIN + "; SET TRANSACTION SNAPSHOT {}").format(self.name)

    @contextlib.contextmanager
    def another_session(self) -> t.Iterator[Session]:
        """Open one more session at the same instant."""
        with connect(self.endpoint) as session:
            session.execute(self.import_statements)
            yield session


@contextlib.contextmanager
def exported_snapshot(endpoint: Endpoint) -> t.Iterator[Snapshot]:
    """Hold a read-only transaction whose snapshot others can import, for as long as the block lasts."""
    with connect(endpoint) as session:
        session.execute(_BEGIN)
        row = session.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
        assert row is not None
        yield Snapshot(endpoint, session, row[0])
