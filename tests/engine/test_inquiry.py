# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What travels together is answered one by one, in order, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import typing as t

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.batches import ask_all, find_refusal
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Session, connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.inquiry import Inquiry, answer, ask, together
from psycopg import pq

from tests.migration import endpoint
from tests.servers import Servers


@pytest.fixture(params=["autocommit", "transaction"])
def session(request: pytest.FixtureRequest, servers: Servers) -> t.Iterator[Session]:
    """Give a session, also one in the middle of a transaction."""
    with contextlib.closing(connect(endpoint("target", servers.target(), "postgres"))) as opened:
        if request.param == "transaction":
            opened.execute("BEGIN")
        yield opened


def test_answers_come_in_order(session: Session) -> None:
    """Also rows without a column, statements that answer nothing, and no row at all."""
    questions = ["SELECT 1", "SELECT FROM pg_class LIMIT 2", "SET LOCAL jit = on", "SELECT 3 WHERE false"]
    assert ask_all(session, *questions) == [[(1,)], [(), ()], [], []]
    assert ask_all(session) == []


def test_nothing_stays(session: Session) -> None:
    """Neither what is made and set, nor a failure."""
    before = session.info.transaction_status
    ask_all(session, "CREATE TABLE public.made (a int)", "SELECT set_config('jit', 'on', false)")
    with pytest.raises(psycopg.errors.DivisionByZero):
        ask_all(session, "CREATE TABLE public.made (a int)", "SELECT 1 / 0", "SELECT 2")
    refusal = find_refusal(session, "CREATE TABLE public.made (a int)", "SELECT 1 / 0")
    assert isinstance(refusal, psycopg.errors.DivisionByZero)
    assert find_refusal(session, "CREATE SCHEMA made") is None
    assert session.info.transaction_status == before
    assert session.execute(
        "SELECT to_regclass('made'), to_regnamespace('made'), current_setting('jit')"
    ).fetchall() == [(None, None, "off")]
    assert before in (pq.TransactionStatus.IDLE, pq.TransactionStatus.INTRANS)


def test_what_comes_first_stays(session: Session) -> None:
    """It travels with the first questions alone, and within the session's transaction."""
    if session.info.transaction_status == pq.TransactionStatus.IDLE:
        session.execute("BEGIN")

    def ask_twice() -> Inquiry[list[t.Any]]:
        seen = yield from ask("SELECT count(*) FROM public.first", "INSERT INTO public.first VALUES (2)")
        return [*seen, *(yield from ask("SELECT count(*) FROM public.first"))]

    first = ["CREATE TABLE public.first (a int)", "INSERT INTO public.first VALUES (1)"]
    assert answer(session, ask_twice(), first) == [[(1,)], [], [(1,)]]
    session.rollback()
    assert session.execute("SELECT to_regclass('public.first')").fetchall() == [(None,)]


def test_who_asks_longer_waits_for_nobody(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message holds what all ask at that time."""
    sent = []

    def count(number: int) -> Inquiry[int]:
        said = 0
        for step in range(number):
            (((said,),),) = yield [f"SELECT {said + step}"]
        return said

    original = psycopg.Cursor.execute

    def execute(cursor: t.Any, query: t.Any, *rest: t.Any, **more: t.Any) -> t.Any:
        sent.append(query)
        return original(cursor, query, *rest, **more)

    monkeypatch.setattr(psycopg.Cursor, "execute", execute)
    assert answer(session, together(count(3), count(0), ask("SELECT 7"), count(1))) == [3, 0, [[(7,)]], 0]
    assert len(sent) == 3
