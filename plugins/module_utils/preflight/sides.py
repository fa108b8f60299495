# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to the two sides, as far as they are open."""

from __future__ import annotations

import contextlib
import typing as t

from ..container.engine import ContainerError
from ..errors import MigrationError
from ..schedule.beside import begin_beside
from ..server.endpoint import Endpoint, Session, connect
from ..staging.databases import database_exists, maintenance_session
from ..staging.names import Generations
from ..verdict.findings import Finding
from .checks.load_mode import check_swap
from .examination import Examination

Opened = t.TypeVar("Opened")


def enter(
    stack: contextlib.ExitStack,
    found: Examination,
    opener: t.Callable[[Endpoint], contextlib.AbstractContextManager[Opened]],
    endpoint: Endpoint,
) -> Opened | None:
    """Open a way or a session for the examination; a refusal is a finding like any other."""
    try:
        return stack.enter_context(opener(endpoint))
    except ContainerError as error:
        name = f"container {endpoint.container}"
        found.findings.append(Finding("error", error.code, name, error.message, error.remedy))
        return None
    except MigrationError as error:
        found.findings.append(Finding("error", "no-connection", endpoint.side, str(error)))
        return None


def enter_server(
    stack: contextlib.ExitStack, found: Examination, target: Endpoint, *, inside: bool = False
) -> Session | None:
    """Open a session outside the live database or, where the user may enter no other, in it.

    :param inside: to open it in the live database, if that is there: it will not be exchanged, and one session does
    """
    if inside:
        with contextlib.suppress(MigrationError):
            return stack.enter_context(contextlib.closing(connect(target)))
    try:
        return stack.enter_context(maintenance_session(target))
    except MigrationError as error:
        outside = Finding("error", "no-connection", target.side, str(error))
    try:
        session = None if inside else stack.enter_context(connect(target))
    except MigrationError:
        session = None
    (found.obstacles if session else found.findings).append(outside)
    return session


def begin_to_enter(stack: contextlib.ExitStack, endpoint: Endpoint) -> t.Callable[[], Session]:
    """Begin to open a session beside what else is done; return what waits for it, and raises why there is none."""
    opened = begin_beside(lambda: connect(endpoint))

    def close() -> None:
        with contextlib.suppress(MigrationError):
            opened().close()

    stack.callback(close)
    return opened


def can_return(target: Endpoint) -> bool:
    """Return whether the previous database is there and can become the live one again."""
    try:
        with maintenance_session(target) as session:
            return database_exists(session, Generations(target.dbname).previous) and not check_swap(
                session, target.dbname
            )
    except MigrationError:
        return False
