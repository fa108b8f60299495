# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that no COPY can write."""

from __future__ import annotations

import typing as t

from ...catalog.relations import Relation
from ...catalog.wide_rows import LIMIT, find_too_wide
from ...server.endpoint import Session
from ...verdict.findings import Finding


def check_wide_rows(session: Session, relations: t.Iterable[Relation]) -> list[Finding]:
    """Return the tables of which a row is too long to be copied; the session's user must be able to read them."""
    return [
        Finding(
            "error",
            "too-large",
            f"table {relation}",
            f"a row of it is longer than COPY can write: {LIMIT:,} bytes, two for each byte of a bytea unless all "
            "columns are of the server's own types, or made of them.",
            "Divide the value on the source, or keep it as a large object.",
        )
        for relation in find_too_wide(session, relations)
    ]
