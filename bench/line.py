# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line to a server on this machine, as long and as thin as wanted, that counts what crosses it.

Connections, bytes each way and turns do not depend on the machine. See bench/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import signal
import threading
import time
import typing as t

from bench.frontend import Frontend, summarize

_HOST: t.Final = "127.0.0.1"
_CHUNK: t.Final = 65536
#: How many chunks may be on their way at once, in each direction of a connection.
_IN_FLIGHT: t.Final = 64
#: How long connections may take to end by themselves when the line is taken down.
_END_SECONDS: t.Final = 5.0


@dataclasses.dataclass(frozen=True)
class Counts:
    """What crossed a line. A turn: the client speaks, at first or after it has heard something of the server.

    A person far away waits for each turn, and once more for each connection: TCP's own greeting is no turn.
    """

    connections: int = 0
    turns: int = 0
    #: bytes from the client
    up: int = 0
    #: bytes from the server
    down: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(a - b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    def __str__(self) -> str:
        return f"{self.connections} connections, {self.turns} turns, {self.up:,} bytes up, {self.down:,} bytes down"


@dataclasses.dataclass
class Turn:
    """What a client said before it heard anything again."""

    connection: int
    #: when it began to speak, as time.time()
    at: float
    messages: list[str] = dataclasses.field(default_factory=list)
    #: bytes of what it heard then
    down: int = 0

    def __str__(self) -> str:
        return f"#{self.connection} {self.down:8,} {summarize(self.messages)}"


class Connection:
    """What has crossed one connection so far."""

    def __init__(self, number: int, *, traced: bool) -> None:
        """Begin with a client that has not spoken yet."""
        self.number = number
        self.counts = Counts(connections=1)
        #: only where it is traced
        self.turns: list[Turn] = []
        self._frontend = Frontend() if traced else None
        self._heard = True

    def speak(self, data: bytes) -> None:
        """Count what the client has said."""
        self.counts += Counts(turns=int(self._heard), up=len(data))
        if self._frontend:
            if self._heard:
                self.turns.append(Turn(self.number, time.time()))
            self.turns[-1].messages += self._frontend.feed(data)
        self._heard = False

    def hear(self, data: bytes) -> None:
        """Count what has reached the client."""
        self.counts += Counts(down=len(data))
        if self.turns:
            self.turns[-1].down += len(data)
        self._heard = True


class Line:
    """A port of this machine that leads to another one by a long way; to be used as a context manager, in any thread.

    :param one_way: seconds that everything takes in each direction, and thrice that before a connection's first byte
        arrives: TCP's greeting
    :param rate: bytes a second in each direction that all connections share; None is no limit
    :param traced: keep what was said at each turn, for `turns`; connections must not be encrypted
    """

    def __init__(
        self, target: int, *, port: int = 0, one_way: float = 0.0, rate: float | None = None, traced: bool = False
    ) -> None:
        """Take a free port where none is named; nobody listens yet."""
        self.port = port
        self.connections: list[Connection] = []
        self._target = target
        self._one_way = one_way
        self._rate = rate
        self._traced = traced
        # When the line is free again, in each direction.
        self._free = {"up": 0.0, "down": 0.0}
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def counts(self) -> Counts:
        """What has crossed the line so far; subtract an earlier one for what crossed it since."""
        return sum((connection.counts for connection in list(self.connections)), Counts())

    @property
    def turns(self) -> list[Turn]:
        """Return every turn of every connection, in the order of time."""
        found = [turn for connection in list(self.connections) for turn in list(connection.turns)]
        return sorted(found, key=lambda turn: turn.at)

    def __enter__(self) -> t.Self:
        """Begin to listen."""
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, _HOST, self.port))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        """Take no more connections, let the others end, and break off those that do not."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: t.Coroutine[t.Any, t.Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _end(self) -> None:
        self._server.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_END_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        connection = Connection(len(self.connections) + 1, traced=self._traced)
        self.connections.append(connection)
        writers = [writer]
        try:
            await asyncio.sleep(2 * self._one_way)
            # Without a server, or when one side breaks off, the other sees its connection end.
            with contextlib.suppress(OSError):
                answers, forward = await asyncio.open_connection(_HOST, self._target)
                writers.append(forward)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._carry("up", reader, forward, connection))
                    both.create_task(self._carry("down", answers, writer, connection))
        except* OSError:
            pass
        finally:
            for end in writers:
                end.close()
            self._tasks.discard(task)

    async def _carry(
        self, way: t.Literal["up", "down"], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, of: Connection
    ) -> None:
        """Bring one direction's bytes, and its end, to the other side when they are due."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT)

        async def deliver() -> None:
            data = b"-"
            while data:
                due, data = await waiting.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if data:
                    if way == "down":
                        of.hear(data)
                    writer.write(data)
                    await writer.drain()
                else:
                    writer.write_eof()

        async def collect() -> None:
            data = b"-"
            while data:
                data = await reader.read(_CHUNK)
                if way == "up" and data:
                    of.speak(data)
                await waiting.put((self._due(way, len(data)), data))

        async with asyncio.TaskGroup() as both:
            both.create_task(collect())
            both.create_task(deliver())

    def _due(self, way: t.Literal["up", "down"], size: int) -> float:
        """Return when bytes that are sent now are there."""
        now = self._loop.time()
        if self._rate:
            now = self._free[way] = max(self._free[way], now) + size / self._rate
        return now + self._one_way


Result = t.TypeVar("Result")


def tell(turns: t.Sequence[Turn]) -> t.Iterator[str]:
    """Give a line for every turn, with the seconds since the first, and the bytes that it brought."""
    for turn in turns:
        yield f"{turn.at - turns[0].at:9.3f} {turn}"


def tell_often(turns: t.Iterable[Turn], most: int = 50) -> t.Iterator[str]:
    """Give a line for what was said at a turn, the most frequent first, with how often it was."""
    often = collections.Counter(summarize(turn.messages) for turn in turns)
    for said, count in often.most_common(most):
        yield f"{count:6} {said}"


def main() -> None:
    """Hold a line until Ctrl-C or SIGTERM, then tell what crossed it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("listen", type=int, help="the port to listen on")
    parser.add_argument("target", type=int, help="the server's port on this machine")
    parser.add_argument("--round-trip", type=float, default=0.0, metavar="MS", help="there and back, in milliseconds")
    parser.add_argument("--rate", type=float, metavar="MB/S", help="megabytes a second, each way")
    parser.add_argument("--trace", action="store_true", help="tell what was said at each turn")
    options = parser.parse_args()
    # Blocked before the line's thread begins, which inherits it: they wait for sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    rate = options.rate and options.rate * 1e6
    with Line(
        options.target, port=options.listen, one_way=options.round_trip / 2000, rate=rate, traced=options.trace
    ) as line:
        signal.sigwait((signal.SIGINT, signal.SIGTERM))
    for connection in line.connections:
        print(f"#{connection.number}: {connection.counts}")
    print(f"sum: {line.counts}")
    if options.trace:
        print("\n".join([*tell(line.turns), "Most often:", *tell_often(line.turns)]))


if __name__ == "__main__":
    main()
