# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One transaction on the live database, in which it is replaced; nobody else sees any of it before the commit."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, Outcome, describe
from ..server.batches import Question, Rows, execute_together
from ..server.endpoint import UNTIMED, Endpoint, Session, connect, connect_unpinned, pin_settings, pinning
from ..server.session_server import serve_session
from .snapshot import Snapshot


@dataclasses.dataclass(frozen=True)
class Transaction(Snapshot):
    """What the transaction has made so far, for its readers; and for those that make it, the one session there is.

    It reads what is committed (READ COMMITTED): what somebody else adds meanwhile, the verdict must see.
    """

    #: the answers to what was asked as it began
    told: tuple[Rows, ...] = ()

    @contextlib.contextmanager
    def open_session(self) -> t.Iterator[Session]:
        """Give the session to change the database by; its ``session.transaction()`` is a savepoint."""
        yield self.session
        self.session.execute(pin_settings(self.endpoint))

    @contextlib.contextmanager
    def another_session(self, search_path: str = "") -> t.Iterator[Session]:
        """Give the session to read by, under a search_path; it cannot write, and what it sets is undone.

        It is one at a time: read with one job.
        """
        try:
            begin = sql.SQL(
                "SAVEPOINT reader; SET TRANSACTION READ ONLY; SELECT pg_catalog.set_config('search_path', {}, true)"
            )
            self.session.execute(begin.format(search_path))
            yield self.session
        finally:
            # Where Ctrl-C came instead of an answer, the session may be in the middle of one.
            with contextlib.suppress(psycopg.Error):
                self.session.execute("ROLLBACK TO SAVEPOINT reader; RELEASE SAVEPOINT reader")

    @contextlib.contextmanager
    def entrance(self, program: t.Sequence[str]) -> t.Iterator[Endpoint]:
        """Give where pg_dump connects to, to see the same; what serves it undoes all that it does."""
        with serve_session(self.session, self.endpoint, program) as server:
            yield server


#: How long a server is asked what became of a commit whose connection broke.
_PATIENCE_SECONDS: t.Final = 30
_PAUSE_SECONDS: t.Final = 0.2


@contextlib.contextmanager
def begin(
    live: Endpoint, committed: t.Callable[[], None] = lambda: None, asked: t.Sequence[Question] = ()
) -> t.Iterator[Transaction]:
    """Give a transaction on the live database that is committed if the block ends well, else rolled back.

    :param committed: called as soon as it is committed, without a moment between in which an interruption is lost
    :param asked: what is asked with the message by which it begins
    :raises MigrationError: when it cannot be begun or committed
    """
    with connect_unpinned(live) as session:
        # A prepared plan would be one for tables that are no more.
        session.prepare_threshold = None
        with pinning(live, session):
            told = execute_together(session, UNTIMED, _BEGIN, pin_settings(live), *_BEGUN, *asked)
        *_, ((number,),) = told[: len(told) - len(asked)]
        yield Transaction(live, session, tuple(told[len(told) - len(asked) :]))
        _commit(live, session, number, committed)


# Whatever the user's sessions begin with: settings are pinned within.
_BEGIN: t.Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_BEGUN: t.Final = (
    # Whatever the server is set to: what was committed is not undone by a crash (docs: 28.4 Asynchronous Commit).
    "SET LOCAL synchronous_commit = on",
    "SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text",
)


def _commit(live: Endpoint, session: Session, number: str, committed: t.Callable[[], None]) -> None:
    """Commit; where the answer is lost, on its way or to Ctrl-C, the server is asked again what became of it.

    :param number: the transaction's
    """
    try:
        session.execute("COMMIT")
        committed()
    except BaseException as error:
        told = describe(error) if isinstance(error, psycopg.Error) else "the run was interrupted"
        if _was_committed(live, number, told):
            committed()
            # It may still wait for the answer, and could not be left otherwise.
            session.close()
            return
        if isinstance(error, psycopg.Error):
            raise MigrationError(f"The commit failed, and the live database is as it was: {told}") from None
        raise


def _was_committed(live: Endpoint, transaction: str, told: str) -> bool:
    """Return what became of a transaction.

    :param told: what the commit ended with
    :raises MigrationError: when the server does not tell
    """
    answer = ""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    try:
        while time.monotonic() < deadline:
            try:
                with connect(live) as session:
                    row = session.execute("SELECT pg_catalog.pg_xact_status(%s::xid8)", (transaction,)).fetchone()
                answer = row[0] if row else ""
                if answer in ("committed", "aborted"):
                    return answer == "committed"
            except (MigrationError, psycopg.OperationalError) as error:
                answer = str(error)
            time.sleep(_PAUSE_SECONDS)
    except KeyboardInterrupt:
        answer = "nobody waited for the answer"
    raise MigrationError(
        f"The connection broke at the commit ({told}), and whether the {live} holds the new content or the old is not "
        f"known: {answer}\nRun playbooks/verify.yml as soon as the server answers.",
        Outcome(uncertain=True),
    )
