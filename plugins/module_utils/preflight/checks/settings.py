# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the database that the copy takes along: whether the target's server accepts them."""

from __future__ import annotations

import re
import typing as t

from psycopg import sql

from ...catalog.database import DatabaseProperties
from ...redaction import HIDDEN
from ...server.endpoint import Session
from ...staging.properties import name_setting, set_clause, split_list
from ...verdict.findings import Finding
from .check import refusal_of


def check_settings(session: Session, source: DatabaseProperties, allowed: t.Mapping[str, str]) -> list[Finding]:
    """Return the settings of the database that the target's server refuses; no value is told.

    A role may make any setting of a database for itself as well, by the same rules; here it is undone at once.

    :param allowed: reasons for differences that are allowed, by object: a database's setting is then not carried over
    """
    findings = []
    for name, value in source.settings:
        object_ = name_setting(None, name)
        if object_ in allowed:
            message = f"it is not carried over. Allowed: {allowed[object_]}"
            findings.append(Finding("notice", "not-carried", object_, message))
            continue
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
                    object_,
                    f"the target's server refuses the setting of {name}: {_without(refusal, value)}.",
                    "Take it away on the source (ALTER ... RESET); or, if the right is all that lacks, use a superuser "
                    f"as target_user, or let one GRANT SET ON PARAMETER {name} to it.",
                )
            )
    return findings


def check_own_settings(
    own: t.Collection[str], user: str, source: DatabaseProperties, texts: t.Iterable[bytes]
) -> list[Finding]:
    """Return the settings that sessions of the target begin with and those of the source do not, if they are asked for.

    All others are given to the target's sessions as they are on the source; a setting cannot be taken from one.

    :param own: the names, in lower case, of those of the users' own that a session of the target begins with
    :param texts: what may ask for a setting
    """
    there = {name.lower() for name, _ in source.begun_with}
    only = [name for name in sorted(own) if name not in there]
    if not only:
        return []
    said = b"\n".join(texts).lower()
    return [
        Finding(
            "error",
            "own-setting",
            f"role {user} setting {name}",
            "the target's sessions begin with it, the source's do not, and definitions ask for it: what the target "
            "computes by them would be something else.",
            "Take it away on the target (ALTER ROLE ... RESET), or set it on the source as well.",
        )
        for name in only
        if f"'{name}'".encode() in said
    ]


def _without(refusal: str, value: str) -> str:
    """Return a refusal without the value, which some checks of values quote: a role's name, a library's.

    Values are short at times, and words have the same letters in them: "on" is in "permission".
    """
    for part in sorted({value, *split_list(value)}, key=len, reverse=True):
        refusal = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", HIDDEN, refusal) if part else refusal
    return refusal
