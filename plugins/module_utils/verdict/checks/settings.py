# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the database that the copy takes along: whether the target's server accepts them."""

from __future__ import annotations

from psycopg import sql

from ...catalog.database import DatabaseProperties
from ...endpoint import Session
from ...staging.properties import set_clause, split_list
from ..findings import Finding
from .asking import refusal_of


def check_settings(session: Session, source: DatabaseProperties) -> list[Finding]:
    """Return the settings of the database that the target's server refuses.

    A role may make any setting of a database for itself as well, by the same rules; here it is undone at once.
    """
    findings = []
    for name, value in source.settings:
        refusal = refusal_of(session, sql.SQL("ALTER ROLE CURRENT_USER ") + set_clause(name, value))
        if refusal is None and name == "session_preload_libraries":
            # The server takes any name, and then refuses every session for want of the library.
            libraries = [sql.SQL("LOAD {}").format(library) for library in split_list(value)]
            refusal = next((said for load in libraries if (said := refusal_of(session, load))), None)
        if refusal is not None:
            findings.append(
                Finding(
                    "error",
                    "setting",
                    f"database setting {name} = {value}",
                    f"the target's server refuses the setting of {name}: {refusal}.",
                    "Take it away on the source (ALTER ... RESET), or use a superuser as target_user if that is all "
                    "that it lacks.",
                )
            )
    return findings
