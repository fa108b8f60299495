# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A socket on this machine whose connections lead to the server inside a container, each through a relay of its own.

The socket is in a directory that only its owner may enter, for the server inside may trust whoever comes this way. The
engine's program gets each accepted connection as its stdin and stdout: no byte passes through Python, and whichever end
closes first, the others follow.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import threading
import time
import typing as t

from ..work_folder import WorkFolder
from .engine import Container
from .relay_programs import Relay

#: How long execs may take to end once their connections are closed.
_PATIENCE_SECONDS: t.Final = 5


class Tunnel:
    """A listening socket as libpq looks for it, open as long as the block lasts."""

    def __init__(self, container: Container, relay: Relay, port: int) -> None:
        self._command = container.command(relay.argv)
        self._folder = WorkFolder()
        self._path = str(self._folder.path / f".s.PGSQL.{port}")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as an exec may write to it
        self._listener = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._execs: list[subprocess.Popen[bytes]] = []
        self._closing = False

    @property
    def host(self) -> str:
        """The directory of the socket, which libpq takes as the host."""
        return str(self._folder.path)

    def __enter__(self) -> Tunnel:
        self._listener.bind(self._path)
        self._listener.listen(128)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing = True
        # The accepting thread is woken by a last connection.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as last:
            last.connect(self._path)
        self._thread.join()
        self._listener.close()
        self._end_execs()
        self._errors.close()
        self._folder.remove()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._closing:
                    return
                # Without a program the connection is closed at once, and the client says so.
                with contextlib.suppress(OSError):
                    self._execs = [process for process in self._execs if process.poll() is None]
                    file = connection.fileno()
                    self._execs.append(subprocess.Popen(self._command, stdin=file, stdout=file, stderr=self._errors))

    def said(self) -> str:
        """Return what the engine's program and the relays have complained about."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()

    def _end_execs(self) -> None:
        """Wait for the execs, whose connections are closed by now; end those that hang."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for process in self._execs:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
