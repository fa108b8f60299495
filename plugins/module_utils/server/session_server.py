# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An open session that answers as a server: pg_dump uses it, and so sees just what that session sees.

It listens at a Unix socket of this user's alone and speaks as much of the protocol as pg_dump does for a schema: simple
queries (docs: 55.2 Message Flow, 55.7 Message Formats). What pg_dump says of transactions is answered, not sent; all
that it sets ends with the block.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socketserver
import struct
import threading
import typing as t

import psycopg
from psycopg import pq

from ..work_folder import WorkFolder
from .endpoint import Endpoint, Session, break_off

#: Part of the socket's file name, by libpq's rule.
_PORT: t.Final = 5432
_PROTOCOL: t.Final = 3 << 16
_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_TRANSACTION: t.Final = re.compile(rb"\s*(BEGIN|SET(?= TRANSACTION)|COMMIT)\b", re.IGNORECASE)
_STATUS: t.Final[dict[int, bytes]] = {pq.TransactionStatus.IDLE: b"I", pq.TransactionStatus.INTRANS: b"T"}
#: What libpq wants to know of a session and its functions ask for.
_PARAMETERS: t.Final = (b"server_version", b"client_encoding", b"standard_conforming_strings", b"is_superuser")


@contextlib.contextmanager
def serve_session(session: Session, endpoint: Endpoint) -> t.Iterator[Endpoint]:
    """Give the endpoint by which a program enters the session; the session must not be used until the block ends.

    The session must be in a transaction. Whatever the program does to it is rolled back.
    """
    with (
        WorkFolder() as folder,
        session.transaction(force_rollback=True),
        _Server(str(folder / f".s.PGSQL.{_PORT}"), session) as server,
    ):
        session.execute("SET TRANSACTION READ ONLY")
        serving = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        serving.start()
        try:
            yield dataclasses.replace(endpoint, host=str(folder), port=_PORT, password="", sslmode="", sslrootcert="")
        except BaseException:
            # Its query, if one is running, would keep the thread.
            break_off(session)
            raise
        finally:
            server.shutdown()
            serving.join()
    # Prepared statements outlive even a rollback.
    session.execute("DEALLOCATE ALL")


class _Server(socketserver.UnixStreamServer):
    def __init__(self, path: str, session: Session) -> None:
        super().__init__(path, _Guest)
        self.session = session


class _Guest(socketserver.StreamRequestHandler):
    """One program's connection. A program that breaks off is a program that failed: its caller tells that."""

    server: _Server
    wbufsize = 1 << 16

    def handle(self) -> None:
        self._told: dict[bytes, bytes] = {}
        with contextlib.suppress(OSError, EOFError):
            if self._greet():
                self._answer_queries()

    def _greet(self) -> bool:
        """Answer the start-up message; return whether it was one."""
        code = struct.unpack("!I", self._read_body()[:4])[0]
        while code in (_SSL_REQUEST, _GSS_REQUEST):
            self.wfile.write(b"N")
            self.wfile.flush()
            code = struct.unpack("!I", self._read_body()[:4])[0]
        if code != _PROTOCOL:
            return False
        self._send(b"R", struct.pack("!I", 0))
        self._send(b"K", struct.pack("!ii", self.server.session.info.backend_pid, 0))
        self._tell_ready()
        return True

    def _answer_queries(self) -> None:
        while (kind := self._read(1)) == b"Q":
            query = self._read_body().rstrip(b"\0")
            if own := _TRANSACTION.match(query):
                self._send(b"C", own[1].upper() + b"\0")
            else:
                self._run(query)
            self._tell_ready()
        if kind != b"X":
            self._send(b"E", b"SFATAL\0C0A000\0Mpgconvoy takes simple queries only\0\0")
            self.wfile.flush()

    def _run(self, query: bytes) -> None:
        try:
            with self.server.session.cursor() as cursor:
                cursor.execute(query, prepare=False)
                self._tell_result(cursor.pgresult)
                while cursor.nextset():
                    self._tell_result(cursor.pgresult)
        except psycopg.Error as error:
            self._send(b"E", _error_fields(error))

    def _tell_result(self, result: pq.abc.PGresult | None) -> None:
        assert result
        if result.status == pq.ExecStatus.EMPTY_QUERY:
            self._send(b"I", b"")
            return
        if result.status == pq.ExecStatus.TUPLES_OK:
            columns = range(result.nfields)
            self._send(b"T", _counted([_describe_column(result, column) for column in columns]))
            options = [column for column in columns if result.fname(column) == b"attoptions"]
            for row in range(result.ntuples):
                values = [result.get_value(row, column) for column in columns]
                for column in options:
                    values[column] = _without_own(values[column])
                self._send(b"D", _counted(list(map(_spell, values))))
        self._send(b"C", (result.command_status or b"") + b"\0")

    def _tell_ready(self) -> None:
        """Tell which settings are new, and that another query may come."""
        connection = self.server.session.pgconn
        for name in _PARAMETERS:
            value = connection.parameter_status(name)
            if value is not None and self._told.get(name) != value:
                self._told[name] = value
                self._send(b"S", name + b"\0" + value + b"\0")
        self._send(b"Z", _STATUS.get(connection.transaction_status, b"E"))
        self.wfile.flush()

    def _read_body(self) -> bytes:
        return self._read(struct.unpack("!I", self._read(4))[0] - 4)

    def _read(self, size: int) -> bytes:
        read = self.rfile.read(size)
        if len(read) < size:
            raise EOFError
        return read

    def _send(self, kind: bytes, body: bytes) -> None:
        self.wfile.write(kind + struct.pack("!I", len(body) + 4) + body)


def _counted(parts: list[bytes]) -> bytes:
    return struct.pack("!H", len(parts)) + b"".join(parts)


def _describe_column(result: pq.abc.PGresult, column: int) -> bytes:
    return (
        (result.fname(column) or b"")
        + b"\0"
        + struct.pack(
            "!IhIhih",
            result.ftable(column),
            result.ftablecol(column),
            result.ftype(column),
            result.fsize(column),
            result.fmod(column),
            result.fformat(column),
        )
    )


def _without_own(options: bytes | None) -> bytes | None:
    """Return a column's options without the one that a server of 15.20 keeps there for itself.

    A pg_dump that is older takes it for the user's, and a server that is older refuses it.
    """
    if options is None:
        return None
    return b", ".join(option for option in options.split(b", ") if not option.startswith(b"pg_attver="))


def _spell(value: bytes | None) -> bytes:
    return struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value


def _error_fields(error: psycopg.Error) -> bytes:
    result = error.pgresult
    told = [(field, result.error_field(field)) for field in pq.DiagnosticField] if result else []
    fields = [bytes([field]) + value + b"\0" for field, value in told if value is not None]
    return b"".join(fields or [b"SFATAL\0C08006\0M" + str(error).encode() + b"\0"]) + b"\0"
