# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client says to PostgreSQL, message by message, in words (docs: 55.7 Message Formats)."""

from __future__ import annotations

import dataclasses
import itertools
import struct
import typing as t

#: How much of a statement is shown.
SHOWN: t.Final = 80

# What a connection may begin with, by the number where a protocol version would be. A startup message has the version.
_REQUESTS: t.Final = {80877103: "SSLRequest", 80877104: "GSSENCRequest", 80877102: "CancelRequest"}
_NAMES: t.Final = {
    b"B": "Bind",
    b"C": "Close",
    b"D": "Describe",
    b"E": "Execute",
    b"F": "FunctionCall",
    b"H": "Flush",
    b"S": "Sync",
    b"X": "Terminate",
    b"c": "CopyDone",
    b"d": "CopyData",
    b"f": "CopyFail",
    # Password, SASL or GSS: its content is never shown.
    b"p": "Authentication",
}


@dataclasses.dataclass
class Frontend:
    """One client's side of a connection; bytes go in as they come, messages come out when they are whole."""

    _waiting: bytearray = dataclasses.field(default_factory=bytearray)
    _started: bool = False
    #: what is still to come of a message that nobody reads
    _skip: int = 0
    _encrypted: bool = False

    def feed(self, data: bytes) -> t.Iterator[str]:
        """Give the messages that these bytes complete; rows on their way are named, and not kept."""
        if self._encrypted:
            return
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._waiting += data[skipped:]
        while told := self._next():
            yield told

    def _next(self) -> str:
        """Take one message; "" where there is none yet."""
        return self._message() if self._started else self._beginning()

    def _beginning(self) -> str:
        # After an answer "S" to an SSLRequest comes a TLS record of the type handshake (RFC 8446, 5.1).
        if self._waiting[:1] == b"\x16":
            self._encrypted = True
            return "(encrypted from here)"
        if len(self._waiting) < 8 or len(self._waiting) < (length := self._length(0)):
            return ""
        body = self._take(length)[4:]
        (number,) = struct.unpack_from("!i", body)
        if number in _REQUESTS:
            return _REQUESTS[number]
        self._started = True
        words = [word.decode(errors="replace") for word in body[4:].split(b"\0") if word]
        settings = dict(itertools.zip_longest(words[::2], words[1::2], fillvalue=""))
        shown = (f"{name}={settings[name]}" for name in ("user", "database", "application_name") if name in settings)
        return f"Startup {' '.join(shown)}"

    def _message(self) -> str:
        if len(self._waiting) < 5:
            return ""
        kind, size = bytes(self._waiting[:1]), 1 + self._length(1)
        if kind == b"d":
            self._skip = max(0, size - len(self._waiting))
            self._take(min(size, len(self._waiting)))
            return _NAMES[kind]
        if len(self._waiting) < size:
            return ""
        body = self._take(size)[5:]
        if kind == b"Q":
            return f"Query {_statement(body)}"
        if kind == b"P":
            name, _, rest = body.partition(b"\0")
            return f"Parse {name.decode(errors='replace')}{': ' if name else ''}{_statement(rest)}"
        return _NAMES.get(kind, f"message {kind!r}")

    def _length(self, offset: int) -> int:
        (length,) = struct.unpack_from("!i", self._waiting, offset)
        assert isinstance(length, int)
        return length

    def _take(self, size: int) -> bytes:
        taken = bytes(self._waiting[:size])
        del self._waiting[:size]
        return taken


def summarize(messages: t.Iterable[str]) -> str:
    """Return messages in one line; several of a kind in a row are counted."""
    told = ((message, sum(1 for _ in same)) for message, same in itertools.groupby(messages))
    return ", ".join(f"{message} x{count}" if count > 1 else message for message, count in told)


def _statement(text: bytes) -> str:
    """Return the beginning of a statement that ends with a zero byte, in one line."""
    words = " ".join(text.partition(b"\0")[0].decode(errors="replace").split())
    return words if len(words) <= SHOWN else f"{words[: SHOWN - 1]}…"
