# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows leave the source: psql writes COPY to a pipe, and Python sees large chunks, never rows."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import tempfile
import typing as t

from psycopg import sql

from ..catalog.snapshot import GONE_SOURCES, ExportedSnapshot, tell_gone, tell_lockers
from ..errors import MigrationError
from ..redaction import read_messages
from ..server.client_tools import ClientTools
from ..server.endpoint import pin_settings, tool_environment
from .chunks import Chunks

_CHUNK_BYTES: t.Final = 1 << 20
#: A blank, the digits of 2^64, and a line's end.
_COUNT_BYTES: t.Final = 22
#: Verbose, so that the server's messages come with their SQLSTATE, by which it is told what of them may be shown.
_OPTIONS: t.Final = ("--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose")


class Sender:
    """A psql in the snapshot that writes one COPY after the other.

    After each COPY psql prints how many rows the server says it has sent, and a random word: only then is the stream
    whole. A psql that dies, whatever it has written and whatever its exit status, cannot look like an end of data.
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

    def stream(self, statement: sql.Composed) -> Chunks:
        """Yield what a COPY ... TO STDOUT writes; return the number of rows.

        :raises MigrationError: when the stream does not end well, with what psql said
        """
        word = secrets.token_hex(16).encode()
        # psql keeps the server's count only of a COPY whose output is not its own (HandleCopyResult, 15 to 18).
        self._command(
            statement.as_bytes(self._snapshot.session) + b" \\g /dev/stdout\n\\echo " + word + b" :ROW_COUNT\n"
        )
        assert self._psql.stdout
        # Nothing follows the count until the next command, so both can only stand at the end of what has been read.
        end, longest = re.compile(rb"%b (\d+)\n\Z" % word), len(word) + _COUNT_BYTES
        held = b""
        while not (ended := end.search(held)):
            chunk = os.read(self._psql.stdout.fileno(), _CHUNK_BYTES)
            if not chunk:
                raise self._failure()
            held += chunk
            sent, held = held[:-longest], held[-longest:]
            if sent:
                yield sent
        if ended.start():
            yield held[: ended.start()]
        return int(ended[1])

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
        if any(message.source_file.startswith(GONE_SOURCES) for message in messages):
            return MigrationError(tell_gone(self._snapshot.endpoint))
        # SQLSTATE of a lock that could not be had in time: lock_not_available.
        if any("55P03" in message.told for message in messages):
            said += f"; these keep readers out:{tell_lockers(self._snapshot.endpoint)}"
        ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return MigrationError(
            f"psql on the {self._snapshot.endpoint} {ended} in the middle: {said or 'it said nothing'}"
        )
