# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network of our own between a run and a server: it reads the protocol, and fails at the very message a test names.

One thread serves all connections, so that what happens at a message has happened before any other byte moves.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import selectors
import socket
import struct
import threading
import typing as t

from tests.servers import PostgresServer

Origin = t.Literal["client", "server"]

_HOST: t.Final = "127.0.0.1"
_READ_BYTES: t.Final = 1 << 16
#: More than that is not taken from one side before the other has taken what is there.
_HELD_BYTES: t.Final = 1 << 20
#: What the kernel takes in for us is little, so that a sender has not sent all when a part has come by.
_RECEIVE_BUFFER: t.Final = 1 << 16
#: SO_LINGER with no time to linger: close() sends RST (man 7 socket).
_RESET: t.Final = struct.pack("ii", 1, 0)


@dataclasses.dataclass(frozen=True)
class Message:
    """A message on its way (docs: Message Formats)."""

    link: Link
    origin: Origin
    #: the type's letter; ``startup`` and ``cancel`` for the two that have none
    kind: str
    body: bytes
    #: the message as it stands on the wire
    raw: bytes = dataclasses.field(repr=False)

    def __str__(self) -> str:
        return f"{self.origin} {self.kind} in {self.link.database}: {self.link.statement[:100]!r}"


Watch = t.Callable[[Message], bool]
Act = t.Callable[[Message], None]


class Link:
    """One connection of a client, and ours to the server."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy = proxy
        self.database = ""
        #: the server's process behind it
        self.backend_pid = 0
        #: what the client has had the server do
        self.statements: list[bytes] = []
        #: how many parts of the last of them are done, and how many bytes of rows have gone since
        self.done = 0
        self.copied = 0
        self.started = False
        self.open = True
        self.ends: dict[Origin, _End] = {"client": _End(client), "server": _End(server)}

    @property
    def statement(self) -> bytes:
        """The last statement; our clients never send one before they have the answer to the one before."""
        return self.statements[-1] if self.statements else b""

    @property
    def part(self) -> bytes:
        """What of it is under way, where it is several statements."""
        parts = self.statement.split(b";\n")
        return parts[min(self.done, len(parts) - 1)]

    def reset(self) -> None:
        """Cut it, as a machine does that has forgotten the connection: RST to both sides."""
        for end in self.ends.values():
            end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        """Close it, as a program does that ends: FIN to both sides."""
        self.stall()
        for end in self.ends.values():
            end.socket.close()

    def stall(self) -> None:
        """Move nothing any more, in no direction, and tell nobody."""
        self.open = False
        for end in self.ends.values():
            with contextlib.suppress(KeyError, ValueError):
                self.proxy.selector.unregister(end.socket)


class _End:
    """One side of a link: what has come from it and is no whole message yet, and what waits to go to it."""

    def __init__(self, own: socket.socket) -> None:
        own.setblocking(False)
        self.socket = own
        self.came = bytearray()
        self.waiting = bytearray()
        self.ended = False


class Proxy:
    """A port that leads to a server, for as long as nothing that is watched for comes by."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._listener = socket.create_server((_HOST, 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._watched: list[tuple[Watch, Act, bool]] = []
        self._orders: collections.deque[t.Callable[[], None]] = collections.deque()
        self._wake_reader, self._wake_writer = os.pipe()
        self._stopping = False
        self.links: list[Link] = []
        #: whether a new connection is served; what happens to it otherwise is that nobody answers, or RST
        self.network: t.Literal["up", "stalled", "down"] = "up"
        #: what the watches and acts raised: a fault that could not be made is no test
        self.errors: list[BaseException] = []
        self.selector = selectors.DefaultSelector()
        self.selector.register(self._listener, selectors.EVENT_READ)
        self.selector.register(self._wake_reader, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port to connect to."""
        return int(self._listener.getsockname()[1])

    def at(self, watch: Watch, act: Act, *, once: bool = True) -> None:
        """Do something when a message comes by, before it goes on; if the act cuts the link, it does not go on."""
        self._watched.append((watch, act, once))

    @property
    def awaits(self) -> bool:
        """Whether something is still to be done, since what it was to be done at has not come by."""
        return any(once for _, _, once in self._watched)

    def go_down(self) -> None:
        """Cut all connections and refuse new ones; for acts."""
        self.network = "down"
        for link in self.links:
            link.reset()

    def heal(self) -> None:
        """Forget all that is watched for; connections that were stalled end, new ones are served."""
        healed = threading.Event()

        def order() -> None:
            self._watched.clear()
            self.network = "up"
            for link in [link for link in self.links if not link.open]:
                link.close()
            self.links = [link for link in self.links if link.open]
            healed.set()

        self._orders.append(order)
        os.write(self._wake_writer, b"!")
        assert healed.wait(10), self.errors

    def stop(self) -> None:
        """End all connections."""
        self._stopping = True
        os.write(self._wake_writer, b"!")
        self._thread.join(10)
        for link in self.links:
            link.close()
        self._listener.close()
        self.selector.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _serve(self) -> None:
        while not self._stopping:
            for key, _ in self.selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fd == self._wake_reader:
                    os.read(self._wake_reader, 1)
                    while self._orders:
                        self._orders.popleft()()
                else:
                    link, origin = key.data
                    if link.open:
                        self._move(link, origin)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self.network == "down":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
            return
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        try:
            server.connect((self._server.host, self._server.port))
        except OSError:
            server.close()
            client.close()
            return
        link = Link(self, client, server)
        self.links.append(link)
        if self.network == "stalled":
            link.open = False
            return
        for origin, end in link.ends.items():
            self.selector.register(end.socket, selectors.EVENT_READ, (link, origin))

    def _move(self, link: Link, origin: Origin) -> None:
        """Take what an end has, look at it message by message, and send what waits for it."""
        here = link.ends[origin]
        there = link.ends["server" if origin == "client" else "client"]
        try:
            if here.waiting:
                del here.waiting[: here.socket.send(here.waiting)]
            if not here.ended and len(there.waiting) < _HELD_BYTES:
                with contextlib.suppress(BlockingIOError):
                    chunk = here.socket.recv(_READ_BYTES)
                    here.ended = not chunk
                    here.came += chunk
                    for message in self._messages(link, origin):
                        self._look_at(message)
                        if not link.open:
                            return
                        there.waiting += message.raw
                if there.waiting:
                    with contextlib.suppress(BlockingIOError):
                        del there.waiting[: there.socket.send(there.waiting)]
        except ConnectionResetError:
            link.reset()
            return
        except OSError:
            link.close()
            return
        if (here.ended and not there.waiting) or (there.ended and not here.waiting):
            link.close()
            self.links.remove(link)
            return
        for end, other, its in ((here, there, origin), (there, here, "server" if origin == "client" else "client")):
            reads = selectors.EVENT_READ if not end.ended and len(other.waiting) < _HELD_BYTES else 0
            writes = selectors.EVENT_WRITE if end.waiting else 0
            self._listen(end.socket, reads | writes, (link, its))

    def _listen(self, end: socket.socket, events: int, data: tuple[Link, str]) -> None:
        if end in self.selector.get_map():
            if events:
                self.selector.modify(end, events, data)
            else:
                self.selector.unregister(end)
        elif events:
            self.selector.register(end, events, data)

    def _messages(self, link: Link, origin: Origin) -> t.Iterator[Message]:
        came = link.ends[origin].came
        while True:
            typed = origin == "server" or link.started
            if len(came) < 4 + typed:
                return
            (length,) = struct.unpack_from("!I", came, int(typed))
            if len(came) < length + typed:
                return
            raw = bytes(came[: length + typed])
            del came[: length + typed]
            kind, body = (chr(raw[0]), raw[5:]) if typed else (_untyped(raw), raw[4:])
            _learn(link, origin, kind, body)
            yield Message(link, origin, kind, body, raw)
            if kind == "d":
                link.copied += len(body)
            elif origin == "server" and kind == "C":
                link.done, link.copied = link.done + 1, 0

    def _look_at(self, message: Message) -> None:
        if message.kind == "D":
            return  # the rows of queries: most of all messages, and nothing happens at them
        for entry in list(self._watched):
            watch, act, once = entry
            try:
                if watch(message):
                    if once:
                        self._watched.remove(entry)
                    act(message)
            except BaseException as error:  # noqa: BLE001 - the test looks at them, in its own thread
                self.errors.append(error)


def _untyped(raw: bytes) -> str:
    (code,) = struct.unpack_from("!I", raw, 4)
    kinds = {80877102: "cancel"}
    assert code in kinds or code >> 16 == 3, "the tests' servers have no TLS"
    return kinds.get(code, "startup")


def _learn(link: Link, origin: Origin, kind: str, body: bytes) -> None:
    """Keep in mind what later messages do not repeat."""
    if kind == "startup":
        link.started = True
        words = body[4:].split(b"\0")
        link.database = dict(zip(words[::2], words[1::2], strict=False)).get(b"database", b"").decode()
    elif origin == "client" and kind in "QP":
        # Parse has the prepared statement's name first.
        link.statements.append(body.partition(b"\0")[2 if kind == "P" else 0].partition(b"\0")[0])
        link.done = link.copied = 0
    elif origin == "server" and kind == "K":
        (link.backend_pid,) = struct.unpack_from("!I", body)
