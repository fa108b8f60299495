# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of both sides when a person is to be asked whether the live database may be replaced."""

from __future__ import annotations

import contextlib

from ..archive.manifest import Manifest
from ..container.route import open_route
from ..errors import MigrationError
from ..server.endpoint import Endpoint, connect
from ..staging.names import Generations
from .checks.live import name_clients, read_clients
from .examination import Examination
from .goals import GOALS
from .question import Standing
from .request import Request
from .row_counts import Counts, archived_counts, count_rows


def look_around(request: Request, found: Examination, target: Endpoint, archived: Manifest | None) -> Standing:
    """Count rows on both sides, and gather what the examination has found."""
    theirs, clients = _look_there(found, target) if found.target_exists else ({}, "")
    return Standing(
        live=target.dbname,
        exists=found.target_exists,
        theirs=theirs,
        ours=_count_here(request, found, archived) if GOALS[request.goal].fills else "the previous database returns.",
        clients=clients,
        undo=_tell_undo(request, found, target),
        size=found.source.size if found.source else None,
        load_mode=found.load_mode or "swap",
        copies=GOALS[request.goal].fills,
    )


def _look_there(found: Examination, target: Endpoint) -> tuple[Counts | str, str]:
    """Return the live database's rows, and who else is in it, however it will get its new content."""
    with contextlib.ExitStack() as stack:
        try:
            session = found.live_session or stack.enter_context(connect(target))
            session.rollback()
        except MigrationError as error:
            return str(error), "who is connected is not known"
        clients = [one for one in read_clients(session, target.dbname) if not one.application.startswith("pgconvoy")]
        return count_rows(session, found.selection), name_clients(clients) if clients else ""


def _count_here(request: Request, found: Examination, archived: Manifest | None) -> Counts | str:
    if archived:
        return archived_counts(archived, found.selection)
    assert request.source
    try:
        with open_route(request.source) as source, connect(source) as session:
            return count_rows(session, found.selection)
    except MigrationError as error:
        return str(error)


def _tell_undo(request: Request, found: Examination, target: Endpoint) -> str:
    names = Generations(target.dbname)
    if not found.target_exists:
        return "none is needed: nothing is replaced"
    if not GOALS[request.goal].fills:
        return f'what is live now becomes "{names.previous}", and the same command brings it back'
    if found.load_mode == "sync":
        return "what is replaced is written into an archive before; playbooks/rollback.yml brings it back"
    if found.in_place:
        return "a backup is written first; playbooks/rollback.yml brings it back"
    return f'what is live now stays on the server as "{names.previous}"; playbooks/rollback.yml brings it back'
