# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server for pg_dump, whoever answers: the server's side of the protocol, as far as a dump of a schema needs it.

It listens at a Unix socket of this user's alone and takes simple queries (docs: 55.2 Message Flow, 55.7 Message
Formats). What a program says of transactions is answered here and goes no further.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socketserver
import struct
import threading
import typing as t

from ..work_folder import WorkFolder
from .endpoint import Endpoint

#: Part of the socket's file name, by libpq's rule.
_PORT: t.Final = 5432
_PROTOCOL: t.Final = 3 << 16
_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_TRANSACTION: t.Final = re.compile(rb"\s*(BEGIN|SET(?= TRANSACTION)|COMMIT)\b", re.IGNORECASE)


_SET: t.Final = re.compile(rb"\s*SET\s+(\w+)\s*(?:=|\bTO\b)\s*([^;]*);?\s*", re.IGNORECASE)
_SETS: t.Final = re.compile(rb"\s*SET\b|\s*SELECT\s[^(]*\bset_config\b", re.IGNORECASE)


def read_setting(statement: bytes) -> tuple[bytes, bytes] | None:
    """Return what a statement sets, and to what: a name and a value, both as they are written; None if nothing."""
    if told := _SET.fullmatch(statement):
        return told[1].lower(), told[2].strip()
    return (statement, b"") if _SETS.match(statement) else None


class Responder(t.Protocol):
    """Who answers a program."""

    def answer(self, query: bytes) -> bytes:
        """Return the messages that answer a query, without the one that another may come."""

    def parameters(self) -> dict[bytes, bytes]:
        """Return what libpq wants to know of a session, by name."""

    def status(self) -> bytes:
        """Return how the transaction is, as the protocol says it: I, T or E."""


@contextlib.contextmanager
def serve(responder: Responder, endpoint: Endpoint) -> t.Iterator[Endpoint]:
    """Give the endpoint by which programs come to the responder; it needs no password and no TLS."""
    with WorkFolder() as folder, _Server(str(folder / f".s.PGSQL.{_PORT}"), responder) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        serving.start()
        try:
            yield dataclasses.replace(endpoint, host=str(folder), port=_PORT, password="", sslmode="", sslrootcert="")
        finally:
            server.shutdown()
            serving.join()


def message(kind: bytes, body: bytes) -> bytes:
    """Return a message as it is sent."""
    return kind + struct.pack("!I", len(body) + 4) + body


class _Server(socketserver.UnixStreamServer):
    def __init__(self, path: str, responder: Responder) -> None:
        super().__init__(path, _Connection)
        self.responder = responder


class _Connection(socketserver.StreamRequestHandler):
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
        self.wfile.write(message(b"R", struct.pack("!I", 0)))
        # Nobody can cancel by this key.
        self.wfile.write(message(b"K", struct.pack("!ii", 0, 0)))
        self._tell_ready()
        return True

    def _answer_queries(self) -> None:
        while (kind := self._read(1)) == b"Q":
            query = self._read_body().rstrip(b"\0")
            if own := _TRANSACTION.match(query):
                self.wfile.write(message(b"C", own[1].upper() + b"\0"))
            else:
                self.wfile.write(self.server.responder.answer(query))
            self._tell_ready()
        if kind != b"X":
            self.wfile.write(message(b"E", b"SFATAL\0C0A000\0Mpgconvoy takes simple queries only\0\0"))
            self.wfile.flush()

    def _tell_ready(self) -> None:
        """Tell which settings are new, and that another query may come."""
        for name, value in self.server.responder.parameters().items():
            if self._told.get(name) != value:
                self._told[name] = value
                self.wfile.write(message(b"S", name + b"\0" + value + b"\0"))
        self.wfile.write(message(b"Z", self.server.responder.status()))
        self.wfile.flush()

    def _read_body(self) -> bytes:
        return self._read(struct.unpack("!I", self._read(4))[0] - 4)

    def _read(self, size: int) -> bytes:
        read = self.rfile.read(size)
        if len(read) < size:
            raise EOFError
        return read
