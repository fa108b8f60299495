# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign keys whose rows break them: what becomes of each on the target."""

from __future__ import annotations

import typing as t

from ...catalog.foreign_keys import FIRST_NOT_VALID_TREES
from ...catalog.orphans import Census
from ...verdict.findings import Finding


def check_foreign_keys(
    census: t.Iterable[Census], allowed: t.Mapping[str, str], target_major: int | None
) -> list[Finding]:
    """Return the foreign keys whose rows break them: a copy cannot be given such a key, the server would refuse.

    :param allowed: the user's reasons to copy all the same; the key is then added NOT VALID
    """
    findings = []
    for counted in census:
        name = str(counted.key)
        strict = counted.partitioned and target_major is not None and target_major < FIRST_NOT_VALID_TREES
        if strict and (not counted.key.validated or (counted.orphans and name in allowed)):
            findings.append(_tell_partitioned(counted, f"PostgreSQL {target_major}"))
        elif counted.orphans:
            findings.append(_tell_orphans(counted, allowed.get(name), strict))
    return findings


def _tell_orphans(counted: Census, reason: str | None, strict: bool) -> Finding:
    name, examples = str(counted.key), ", ".join(counted.examples)
    message = (
        f"{counted.orphans:,} rows refer to a row of {counted.key.references} that is not there, "
        f"{examples} for instance."
    )
    if not counted.key.validated:
        state = "NOT ENFORCED" if counted.key.definition.endswith("NOT ENFORCED") else "NOT VALID"
        return Finding("notice", "orphans-not-valid", name, f"{message} The key is {state} and stays so.")
    if reason is not None:
        return Finding("notice", "orphans-allowed", name, f"{message} Allowed: {reason}")
    remedy = "Delete or complete these rows on the source"
    if not strict:
        remedy += "; or name the key in allowed_differences, with a reason, to have it copied as NOT VALID"
    return Finding(
        "error", "orphans", name, f"{message} The source's server believes the key to be valid.", f"{remedy}."
    )


def _tell_partitioned(counted: Census, server: str) -> Finding:
    why = f"{counted.orphans:,} rows break it" if counted.key.validated else "it is NOT VALID"
    return Finding(
        "error",
        "key-partitioned",
        str(counted.key),
        f"{why}, so that it can only be copied as NOT VALID, and {counted.key.table} is partitioned: {server} adds no "
        f"such key to a partitioned table, {FIRST_NOT_VALID_TREES} does.",
        "On the source, delete or complete the rows that break it, and validate it; or drop it there and give each "
        f"partition a key of its own. Or take a target with PostgreSQL {FIRST_NOT_VALID_TREES}.",
    )
