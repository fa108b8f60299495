# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a snapshot has shown the tables as they were at its instant."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ..errors import MigrationError
from ..server.inquiry import Inquiry
from .relations import Relation

# A query sees pg_class as it was at the snapshot's instant, the functions see it as it is now. Name and schema are
# looked for at once: of all schemas' tables of one name, all would be gone through for each.
_REWRITTEN: t.Final = """
SELECT read.schema || '.' || read.name
FROM unnest({schemas}::text[], {names}::text[]) read(schema, name)
JOIN pg_class c ON c.relname = read.name
    AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = read.schema)
WHERE c.relkind = 'r' AND (
    pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode
    OR to_regclass(format('%I.%I', read.schema, read.name)) IS DISTINCT FROM c.oid)
ORDER BY 1
"""


def ask_rewritten(relations: t.Collection[Relation]) -> Inquiry[None]:
    """Make sure that the snapshot has shown the tables as they were at its instant, and that their names are theirs.

    One that was truncated or rewritten since then looks empty in it (docs: 13.6 Caveats, of Concurrency Control); one
    that was dropped may have a successor of its name, which does so, too. Tables that are locked cannot.
    """
    schemas, names = [relation.schema for relation in relations], [relation.name for relation in relations]
    (rewritten,) = yield [sql.SQL(_REWRITTEN).format(schemas=schemas, names=names)]
    if rewritten:
        raise MigrationError(
            "While it was read, somebody truncated, rewrote or dropped (TRUNCATE, ALTER TABLE, VACUUM FULL, CLUSTER, "
            f"DROP) {', '.join(name for (name,) in rewritten)}: what was there at the copy's instant can no longer be "
            "seen. Run again."
        )
