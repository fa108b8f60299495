# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions of several askers that travel together: each says what it asks next, and all are asked at once.

By a long line it is not the questions that cost time, but waiting for each answer before the next one is asked.
"""

from __future__ import annotations

import typing as t

from .batches import Question, Rows, ask_all
from .endpoint import Session

T = t.TypeVar("T")
#: One who yields questions that do not wait for each other, is sent the rows of each, and returns what they tell.
Inquiry = t.Generator[t.Sequence[Question], t.Sequence[Rows], T]


def answer(session: Session, inquiry: Inquiry[T], first: t.Sequence[Question] = ()) -> T:
    """Let a session answer all that an inquiry asks; each time it asks is one message. What it sets is undone.

    :param first: statements of one result each that travel with the first message, and are not undone: the session is
        in a transaction, and the inquiry asks something at once
    :raises psycopg.Error: when a question fails
    """
    try:
        questions = next(inquiry)
        while True:
            answers = ask_all(session, *questions, first=first) if questions else []
            first = ()
            questions = inquiry.send(answers)
    except StopIteration as end:
        return t.cast(T, end.value)


def one_line(query: t.LiteralString) -> t.LiteralString:
    """Return a query without its indentation, which a far server need not be sent.

    :param query: has no comment, and no literal in which two spaces or a line's end count
    """
    return " ".join(query.split())


def ask(*questions: Question) -> Inquiry[t.Sequence[Rows]]:
    """Ask questions, and return the rows of each."""
    return (yield questions)


def together(*inquiries: Inquiry[t.Any]) -> Inquiry[list[t.Any]]:
    """Ask what several inquiries ask, those that ask at the same time with one message; return what each returns."""
    outcomes: list[t.Any] = [None] * len(inquiries)
    asking: dict[int, t.Sequence[Question]] = {}

    def step(place: int, rows: t.Sequence[Rows] | None) -> None:
        try:
            asking[place] = next(inquiries[place]) if rows is None else inquiries[place].send(rows)
        except StopIteration as end:
            asking.pop(place, None)
            outcomes[place] = end.value

    for place in range(len(inquiries)):
        step(place, None)
    while asking:
        asked = dict(asking)
        rows = iter((yield [question for questions in asked.values() for question in questions]))
        for place, questions in asked.items():
            step(place, [next(rows) for _ in questions])
    return outcomes
