# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a source is still what a copy of it was made from, but for its rows."""

from __future__ import annotations

import pathlib

from ..archive.folder import read_manifest
from ..archive.schema import read_schema
from ..errors import MigrationError
from ..server.client_tools import ClientTools
from ..verdict.bindings import compare_bindings
from ..verdict.comparison import Verdict, compare_databases, compare_foreign_keys
from ..verdict.definitions import compare_schemas


def require_same_schema(before: pathlib.Path, now: pathlib.Path, tools: ClientTools) -> Verdict:
    """Return the verdict that all but the rows is the same in both archives or descriptions of the source.

    :raises MigrationError: when it is not, with what has changed
    """
    old, new = read_manifest(before), read_manifest(now)
    ours, theirs = (
        read_schema(tools, folder / manifest.schema.name) for folder, manifest in ((now, new), (before, old))
    )
    objects, differences = compare_schemas(ours, theirs)
    differences += compare_bindings(new.bindings, old.bindings, None, [one.object for one in differences])
    differences += compare_databases(new.database, old.database, with_settings=True)
    changed = [difference.object for difference in differences]
    changed += [d.object for d in compare_foreign_keys(new.content.foreign_keys, old.content.foreign_keys).differences]
    changed += [
        what
        for what, is_same in (
            ("the members of extensions", new.members == old.members),
            ("owners, grants or default privileges", new.privileges == old.privileges),
        )
        if not is_same
    ]
    if changed:
        raise MigrationError(
            "Since the copy was begun, clients have changed more of the source than its rows, and only rows can be "
            f"brought now: {', '.join(dict.fromkeys(changed))}. Run again, and let nobody alter the source meanwhile."
        )
    keys = compare_foreign_keys(new.content.foreign_keys, old.content.foreign_keys)
    return Verdict(objects=objects).joined(keys)
