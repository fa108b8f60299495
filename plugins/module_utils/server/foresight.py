# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program is going to ask, found out by letting it ask nobody.

pg_dump asks one thing after the other, and a far server's user waits for each. But most of it it asks of every
database: so it is run before against one that does not exist, where whatever is not known holds nothing. What it asked
there can be asked all at once. It comes to no good end: what it makes of such answers is of no interest.
"""

from __future__ import annotations

import re
import struct
import subprocess
import typing as t

from .endpoint import Endpoint, tool_environment
from .protocol import message, read_setting, serve

#: A question without a FROM has one answer, whatever the database holds.
_FROM: t.Final = re.compile(rb"\bFROM\b", re.IGNORECASE)
_COMMAND: t.Final = re.compile(rb"\s*(LOCK TABLE|\w+)", re.IGNORECASE)

#: One row with one value, which is an array without elements, an empty text, and nothing that is true.
_ONE_ROW: t.Final = (
    message(b"T", struct.pack("!H", 1) + b"nothing\0" + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0))
    + message(b"D", struct.pack("!Hi", 1, 2) + b"{}")
    + message(b"C", b"SELECT 1\0")
)
_NO_ROW: t.Final = message(b"T", struct.pack("!H", 0)) + message(b"C", b"SELECT 0\0")


#: What a program says to any database of a server, by its command line and what a session of that server tells.
_OF_ANY: t.Final[dict[t.Hashable, list[bytes]]] = {}


def foresee(
    program: t.Sequence[str], endpoint: Endpoint, parameters: dict[bytes, bytes], known: t.Mapping[bytes, bytes]
) -> list[bytes]:
    """Return what a program says to a server: all that it sets, and all that it asks and is not known, in its order.

    :param program: its command line; it gets its environment here
    :param parameters: what a session of that server tells of itself
    :param known: messages that answer questions
    """
    if known:
        return _listen(program, endpoint, parameters, known)
    of_any = (*program, *parameters.items())
    if of_any not in _OF_ANY:
        _OF_ANY[of_any] = _listen(program, endpoint, parameters, {})
    return _OF_ANY[of_any]


def _listen(
    program: t.Sequence[str], endpoint: Endpoint, parameters: dict[bytes, bytes], known: t.Mapping[bytes, bytes]
) -> list[bytes]:
    empty = _EmptyDatabase(parameters, known)
    with serve(empty, endpoint) as entrance:
        subprocess.run(
            program, env=tool_environment(entrance), stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    return empty.said


class _EmptyDatabase:
    """A database that holds nothing but what is known."""

    def __init__(self, parameters: dict[bytes, bytes], known: t.Mapping[bytes, bytes]) -> None:
        self.said: list[bytes] = []
        self._parameters = parameters
        self._known = known

    def answer(self, query: bytes) -> bytes:
        if query in self._known and not read_setting(query):
            return self._known[query]
        self.said.append(query)
        command = _COMMAND.match(query)
        tag = command[1].upper() if command else b""
        if tag in (b"SELECT", b"WITH", b"EXECUTE"):
            return _NO_ROW if _FROM.search(query) or tag == b"EXECUTE" else _ONE_ROW
        return message(b"C", tag + b"\0")

    def parameters(self) -> dict[bytes, bytes]:
        return self._parameters

    def status(self) -> bytes:
        return b"T"
