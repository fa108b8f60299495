# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An open session that answers as a server: pg_dump uses it, and so sees just what that session sees.

What the program is going to ask is asked ahead, many questions with one message. Such an answer is given only to the
very same text, under the same settings; it comes from the same transaction, which can change nothing that is asked.
"""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import psycopg
from psycopg import pq

from ..errors import MigrationError, describe
from .answer_cache import CACHE
from .endpoint import Endpoint, Session, break_off
from .foresight import foresee
from .protocol import read_setting, serve
from .results import Answer, read_answer, tell_error
from .siblings import Siblings

_STATUS: t.Final[dict[int, bytes]] = {pq.TransactionStatus.IDLE: b"I", pq.TransactionStatus.INTRANS: b"T"}
#: What libpq wants to know of a session and its functions ask for.
_PARAMETERS: t.Final = (b"server_version", b"client_encoding", b"standard_conforming_strings", b"is_superuser")

_BEGIN: t.Final = [b"SAVEPOINT pgconvoy_program", b"SET TRANSACTION READ ONLY"]
# Prepared statements outlive even a rollback.
_UNDO: t.Final = [b"ROLLBACK TO SAVEPOINT pgconvoy_program", b"DEALLOCATE ALL"]
_AGAIN: t.Final = [*_UNDO, b"SET TRANSACTION READ ONLY"]
_END: t.Final = [*_UNDO, b"RELEASE SAVEPOINT pgconvoy_program"]
#: Around what nobody has asked for yet.
_TRY: t.Final = b"SAVEPOINT pgconvoy_alike"
_TRIED: t.Final = b"RELEASE SAVEPOINT pgconvoy_alike"
_FAILED: t.Final = [b"ROLLBACK TO SAVEPOINT pgconvoy_alike", _TRIED]

#: Settings by name, and a question.
_Asked = tuple[frozenset[tuple[bytes, bytes]], bytes]


@contextlib.contextmanager
def serve_session(session: Session, endpoint: Endpoint, program: t.Sequence[str]) -> t.Iterator[Endpoint]:
    """Give the endpoint by which a program enters the session; the session must not be used until the block ends.

    Whatever the program does to it is rolled back, to where it is in its transaction if it is in one.

    :param program: its command line, by which it is found out what it is going to ask
    :raises MigrationError: when the connection is lost before the program begins
    """
    backend = _SessionBackend(session)
    try:
        try:
            # What it asks of any database, and then, what it asks of one that holds what this one does.
            for _ in range(2):
                backend.ask_ahead(foresee(program, endpoint, backend.parameters(), backend.answers))
        except psycopg.Error as error:
            name = pathlib.Path(program[0]).name
            raise MigrationError(f"{name} of the {endpoint} failed: {describe(error)}") from None
        with serve(backend, endpoint) as entrance:
            try:
                yield entrance
            except BaseException:
                # Its query, if one is running, would keep the thread.
                break_off(session)
                raise
    except BaseException:
        with contextlib.suppress(psycopg.Error):
            backend.leave()
        raise
    backend.leave()


class _SessionBackend:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._major = session.info.server_version // 10000
        own = session.info.transaction_status == pq.TransactionStatus.IDLE
        self._begin = [b"BEGIN", *_BEGIN] if own else _BEGIN
        self._end = [b"ROLLBACK", b"DEALLOCATE ALL"] if own else _END
        self._known: dict[_Asked, bytes] = {}
        #: the same, whatever was set
        self.answers: dict[bytes, bytes] = {}
        #: what the program has set, each with its statement, and what is in force: they may be ahead of it, or behind
        self._set: dict[bytes, tuple[bytes, bytes]] = {}
        self._in_force: dict[bytes, bytes] = {}
        #: what it has said that is neither a setting nor a question
        self._commands: list[bytes] = []
        self._siblings = Siblings()

    def parameters(self) -> dict[bytes, bytes]:
        connection = self._session.pgconn
        told = {name: connection.parameter_status(name) for name in _PARAMETERS}
        return {name: value for name, value in told.items() if value is not None}

    def status(self) -> bytes:
        return _STATUS.get(self._session.pgconn.transaction_status, b"E")

    def ask_ahead(self, statements: t.Sequence[bytes]) -> None:
        """Send all that a program will say from its beginning; if any of it fails, none of it is answered by that."""
        condensed = [
            statement if read_setting(statement) else CACHE.condense(self._major, statement) for statement in statements
        ]
        begin, self._begin = self._begin, []
        try:
            results = self._send([*begin, _TRY, *condensed, _TRIED])[len(begin) + 1 : -1]
        except psycopg.Error:
            if self._session.broken:
                raise
            # At full length, then.
            condensed = [*statements]
            try:
                results = self._send([*_FAILED, *statements])[len(_FAILED) :]
            except psycopg.Error:
                if self._session.broken:
                    raise
                self._start_over()
                return
        if len(results) != len(statements):
            # One of them was several, and which answer is whose, nobody knows.
            self._start_over()
            return
        self._take(statements, condensed, results)

    def _take(
        self, statements: t.Sequence[bytes], asked: t.Sequence[bytes], results: t.Sequence[pq.abc.PGresult]
    ) -> None:
        """Know what was answered.

        :param asked: in what form each statement was sent
        """
        told: dict[bytes, bytes] = {}
        unheard: list[_Asked] = []
        for statement, said, result in zip(statements, asked, results, strict=True):
            if setting := read_setting(statement):
                told.update([setting])
                self._in_force.update([setting])
            # Else the session is ahead of where the program will be when it says this.
            if told == self._in_force:
                key = frozenset(told.items()), statement
                if said == statement:
                    self._hear(key, result)
                elif answer := CACHE.expand(self._major, statement, result):
                    self._note(key, answer)
                else:
                    unheard.append(key)
        # What differs from all that is known.
        whole = [key for key in unheard if key[0] == frozenset(self._in_force.items())]
        if whole:
            for key, result in zip(whole, self._send([statement for _, statement in whole]), strict=True):
                self._hear(key, result)

    def _hear(self, key: _Asked, result: pq.abc.PGresult) -> None:
        answer = read_answer(result)
        CACHE.note(self._major, key[1], answer)
        self._note(key, answer)

    def _note(self, key: _Asked, answer: Answer) -> None:
        """Know the answer to a question."""
        self._known[key] = self.answers[key[1]] = answer.tell()
        self._siblings.note(answer)

    def answer(self, query: bytes) -> bytes:
        try:
            return self._answer(query)
        except psycopg.Error as error:
            return tell_error(error)

    def leave(self) -> None:
        """Undo all that the program has done to the session."""
        self._send(self._end)

    def _answer(self, query: bytes) -> bytes:
        if setting := read_setting(query):
            self._set[setting[0]] = (setting[1], query)
        if (answer := self._known.get(self._asked(query))) is not None:
            return answer
        if self._in_force.keys() - self._set.keys():
            # It sets and asks otherwise than it was foreseen.
            self._start_over()
        late = [s for name, (value, s) in self._set.items() if self._in_force.get(name) != value and s != query]
        results = self._ask(late, query)
        self._in_force = {name: value for name, (value, _) in self._set.items()}
        if not setting and all(result.status == pq.ExecStatus.COMMAND_OK for result in results):
            self._commands.append(query)
        return b"".join(read_answer(result).tell() for result in results)

    def _ask(self, late: list[bytes], query: bytes) -> list[pq.abc.PGresult]:
        """Return the results of a query, before which some settings are to be made; note those of others like it."""
        if others := self._siblings.questions(query, lambda other: self._asked(other) in self._known):
            try:
                results = self._send([_TRY, *late, query, *others, _TRIED])[1 + len(late) : -1]
            except psycopg.Error:
                if self._session.broken:
                    raise
                # It may be one of the others, which nobody wants to know.
                self._send(_FAILED)
            else:
                if len(results) == 1 + len(others):
                    for other, result in zip(others, results[1:], strict=True):
                        self._known[self._asked(other)] = read_answer(result).tell()
                    return results[:1]
        return self._send([*late, query])[len(late) :]

    def _asked(self, query: bytes) -> _Asked:
        return frozenset((name, value) for name, (value, _) in self._set.items()), query

    def _start_over(self) -> None:
        """Forget what was foreseen, and bring the session to where the program is."""
        self._known.clear()
        self.answers.clear()
        self._send([*_AGAIN, *(statement for _, statement in self._set.values()), *self._commands])
        self._in_force = {name: value for name, (value, _) in self._set.items()}

    def _send(self, statements: t.Sequence[bytes]) -> list[pq.abc.PGresult]:
        """Send statements with one message and return their results; a statement may have several."""
        with self._session.cursor() as cursor:
            cursor.execute(b";\n".join(statements), prepare=False)
            results = [cursor.pgresult]
            while cursor.nextset():
                results.append(cursor.pgresult)
        return [result for result in results if result]
