# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal of a schema in the live database itself, where no other can be made; nothing of it stays."""

from __future__ import annotations

import typing as t

from ..catalog.requirements import Extension
from ..schedule.progress import doing
from ..server.endpoint import Endpoint, connect
from ..staging.rehearsal import REHEARSAL, Rehearsed, Script, rehearse
from .clearing import clear, find_kept

#: How long each lock is waited for: meanwhile clients wait behind it, for a rehearsal only.
_PATIENCE: t.Final = "500ms"


def rehearse_in_live(live: Endpoint, script: Script, extensions: t.Iterable[Extension]) -> Rehearsed:
    """Clear the live database and make the schema there, in a transaction that is undone; its session is closed then.

    Clients wait at the tables until it is.

    :param extensions: those of the source
    :raises MigrationError: when a lock cannot be had soon, or the live database cannot be cleared
    """
    with doing(REHEARSAL), connect(live) as session, session.transaction(force_rollback=True):
        # A prepared plan would be one for tables that are no more.
        session.prepare_threshold = None
        kept = find_kept(session, extensions, script.source.has_public)
        clear(session, kept, script.source.has_public, _PATIENCE)
        return rehearse(live, session, script, created=kept.without)
