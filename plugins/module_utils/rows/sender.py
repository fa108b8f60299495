# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows leave the source: psql writes COPY to a pipe, and Python sees large chunks, never rows."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import typing as t

from psycopg import sql

from ..catalog.snapshot import ExportedSnapshot, tell_lockers
from ..errors import MigrationError
from ..redaction import read_messages
from ..server.client_tools import ClientTools
from ..server.endpoint import pin_settings, tool_environment

_CHUNK_BYTES: t.Final = 1 << 20
#: Verbose, so that the server's messages come with their SQLSTATE, by which it is told what of them may be shown.
_OPTIONS: t.Final = ("--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose")


class Sender:
    """A psql in the snapshot that writes one COPY after the other.

    After each COPY psql prints a random word: only then is the stream whole. A psql that dies, whatever it has written
    and whatever its exit status, cannot look like an end of data.
    """

    def __init__(self, snapshot: ExportedSnapshot, tools: ClientTools) -> None:
        self._snapshot = snapshot
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as psql may write to it
        self._psql = subprocess.Popen(
            [tools.program("psql"), "--no-psqlrc", *_OPTIONS],
            env=tool_environment(snapshot.endpoint),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )

    def __enter__(self) -> Sender:
        pin = pin_settings(self._snapshot.endpoint).as_bytes(self._snapshot.session)
        begin = self._snapshot.import_statements.as_bytes(self._snapshot.session)
        self._command(pin + b"\n\\g /dev/null\n" + begin + b";\n")
        return self

    def __exit__(self, *exception: object) -> None:
        self.cancel()
        self._psql.communicate()
        self._errors.close()

    def cancel(self) -> None:
        """End psql; a running stream then fails."""
        self._psql.kill()

    def stream(self, statement: sql.Composed) -> t.Iterator[bytes]:
        """Yield what a COPY ... TO STDOUT writes.

        :raises MigrationError: when the stream does not end well, with what psql said
        """
        word = secrets.token_hex(16).encode()
        end = word + b"\n"
        self._command(statement.as_bytes(self._snapshot.session) + b";\n\\echo " + end)
        assert self._psql.stdout
        held = b""
        # Nothing follows the word until the next command, so it can only stand at the end of what has been read.
        while not held.endswith(end):
            chunk = os.read(self._psql.stdout.fileno(), _CHUNK_BYTES)
            if not chunk:
                raise self._failure()
            held += chunk
            sent, held = held[: -len(end)], held[-len(end) :]
            if sent:
                yield sent

    def _command(self, text: bytes) -> None:
        assert self._psql.stdin
        try:
            self._psql.stdin.write(text)
        except BrokenPipeError:
            raise self._failure() from None

    def _failure(self) -> MigrationError:
        status = self._psql.wait()
        self._errors.seek(0)
        own, messages = read_messages(self._errors.read().decode(errors="replace"))
        said = "\n".join([*([own] if own else []), *(message.told for message in messages)])
        # SQLSTATE of a lock that could not be had in time: lock_not_available.
        if any("55P03" in message.told for message in messages):
            said += f"; these keep readers out:{tell_lockers(self._snapshot.endpoint)}"
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return MigrationError(
            f"psql on the {self._snapshot.endpoint} {ended} in the middle: {said or 'it said nothing'}"
        )
