# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a source is still what a copy of it was made from, but for its rows."""

from __future__ import annotations

from ..archive.archive import Archive
from ..archive.schema import read_schema
from ..errors import MigrationError
from ..privileges.catalog import Privileges
from ..privileges.wanted import Policy
from ..server.client_tools import ClientTools
from ..verdict.bindings import compare_bindings
from ..verdict.comparison import Verdict, compare_foreign_keys
from ..verdict.databases import compare_databases
from ..verdict.definitions import compare_schemas
from ..verdict.extensions import judge_members
from ..verdict.unsaid import compare_unsaid


def require_same_schema(before: Archive, now: Archive, tools: ClientTools, policy: Policy) -> Verdict:
    """Return the verdict that all but the rows is the same in both archives or descriptions of the source.

    :param policy: whether owners and grants of the source matter
    :raises MigrationError: when it is not, with what has changed
    """
    old, new = before.manifest, now.manifest
    then = read_schema(tools, before.schema)
    today = then if old.schema == new.schema else read_schema(tools, now.schema)
    objects, definitions = compare_schemas(today, then)
    keys = compare_foreign_keys(new.content.foreign_keys, old.content.foreign_keys)
    differences = [
        *definitions,
        *compare_bindings(new.bindings, old.bindings, None, [one.object for one in definitions]),
        *compare_unsaid(new.unsaid, old.unsaid),
        *compare_databases(new.database, old.database, with_settings=True),
        *keys.differences,
    ]
    if new.members and old.members:
        differences += judge_members(new.members, old.members).differences
    changed = [difference.object for difference in differences]
    if policy.needs_source:
        changed += compare_privileges(old.require_privileges(True), new.require_privileges(True))
    if changed:
        raise MigrationError(
            "Since the copy was begun, clients have changed more of the source than its rows, and only rows can be "
            f"brought now: {', '.join(dict.fromkeys(changed))}. Run again, and let nobody alter the source meanwhile."
        )
    return Verdict(objects=objects).joined(keys)


def compare_privileges(old: Privileges | None, new: Privileges | None) -> list[str]:
    """Return what has another owner or other grants; large objects come and go as rows do."""
    then, today = (
        {str(one): one for one in (*side.objects, *side.defaults) if getattr(one, "kind", "") != "LARGE OBJECT"}
        for side in (old, new)
        if side
    )
    names = sorted(then.keys() | today.keys())
    return [f"owner or grants of {name}" for name in names if then.get(name) != today.get(name)]
