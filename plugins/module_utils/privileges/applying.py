# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners and grants are given to a copy: read what it has, decide, say it."""

from __future__ import annotations

import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, describe
from ..server.batches import change
from ..server.endpoint import Session
from .catalog import Privileges
from .plan import Command, commands
from .reading import read_privileges
from .wanted import Policy, want

#: How many statements travel together; the locks of a transaction are as many (docs: max_locks_per_transaction).
_BATCH: t.Final = 200


def carry_privileges(
    session: Session,
    policy: Policy,
    live: Privileges | None,
    source: Privileges | None,
    left_out: t.Container[str] = (),
) -> int:
    """Give the session's database the owners and grants that it shall have; return how many statements that took.

    :param live: the live database's as they were before, if there is one
    :param source: the source's
    :param left_out: objects whose owner and grants are not touched
    :raises MigrationError: naming the object that failed, with the server's message
    """
    here = read_privileges(session, like=source if policy.grants == "source" else live)
    wishes = want(policy, here, live, source)
    said = [s for s in commands(here, wishes, session.info.dbname) if f"privileges of {s.object}" not in left_out]
    for start in range(0, len(said), _BATCH):
        _say(session, said[start : start + _BATCH])
    return len(said)


def _say(session: Session, batch: t.Sequence[Command]) -> None:
    try:
        change(session, sql.SQL(";\n").join(command.words for command in batch).as_bytes(session))
    except psycopg.Error as error:
        if session.closed:
            raise MigrationError(f"Cannot give {batch[0].object} its owner and grants: {describe(error)}") from None
        # All of it was undone. Which object it was, the server does not say.
        for command in batch:
            _say_one(session, command)


def _say_one(session: Session, command: Command) -> None:
    try:
        try:
            change(session, command.words.as_bytes(session))
        except psycopg.errors.InsufficientPrivilege:
            if command.otherwise is None:
                raise
            change(session, command.otherwise.as_bytes(session))
    except psycopg.Error as error:
        raise MigrationError(f"Cannot give {command.object} its owner and grants: {describe(error)}") from None
