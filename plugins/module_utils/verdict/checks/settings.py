# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that the copy takes along: whether the target's server accepts them."""

from __future__ import annotations

from ...catalog.database import DatabaseProperties
from ...endpoint import Session
from ..findings import Finding


def check_settings(session: Session, source: DatabaseProperties, superuser: bool) -> list[Finding]:
    known: dict[str, str] = dict(session.execute("SELECT lower(name), context FROM pg_settings").fetchall())
    findings = []
    for name, value in source.settings:
        context = known.get(name.lower(), "user" if "." in name else "")
        if context not in ("user", "superuser", "backend", "superuser-backend"):
            message = "the target's server does not know it." if not context else "a database cannot set it there."
        elif context.startswith("superuser") and not superuser:
            message = "only a superuser may set it, and the target user is none."
        else:
            continue
        findings.append(
            Finding(
                "error",
                "setting",
                f"database setting {name} = {value}",
                message,
                f'ALTER DATABASE "{source.name}" RESET {name}; on the source if it is not needed.',
            )
        )
    return findings
