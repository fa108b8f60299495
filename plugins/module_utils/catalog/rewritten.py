# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot does not show every table as it was."""

from __future__ import annotations

import typing as t

from ..errors import MigrationError
from ..server.endpoint import Session
from .relations import Relation

# A query sees pg_class as it was at the snapshot's instant, the functions see it as it is now.
_REWRITTEN: t.Final = """
SELECT n.nspname || '.' || c.relname
FROM unnest(%s::text[], %s::text[]) read(schema, name)
JOIN pg_namespace n ON n.nspname = read.schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = read.name
WHERE c.relkind = 'r' AND (
    pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode
    OR to_regclass(format('%%I.%%I', n.nspname, c.relname)) IS DISTINCT FROM c.oid)
ORDER BY 1
"""


def check_not_rewritten(session: Session, relations: t.Collection[Relation]) -> None:
    """Make sure that the snapshot has shown the tables as they were at its instant, and that their names are theirs.

    One that was truncated or rewritten since then looks empty in it (docs: 13.6 Caveats, of Concurrency Control); one
    that was dropped may have a successor of its name, which does so, too. Tables that are locked cannot.

    :raises MigrationError: naming those that are not
    """
    names = [relation.schema for relation in relations], [relation.name for relation in relations]
    rewritten = [name for (name,) in session.execute(_REWRITTEN, names).fetchall()]
    if rewritten:
        raise MigrationError(
            "While it was read, somebody truncated, rewrote or dropped (TRUNCATE, ALTER TABLE, VACUUM FULL, CLUSTER, "
            f"DROP) {', '.join(rewritten)}: what was there at the copy's instant can no longer be seen. Run again."
        )
