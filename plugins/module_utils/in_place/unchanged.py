# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the live database still is what its backup holds: what clients have written since would be lost.

The backup is written without a lock, so that clients can go on while it is rehearsed. Only when everybody is kept out
of the tables can it be told whether it is still the undo.
"""

from __future__ import annotations

import pathlib
import typing as t

from psycopg import sql

from ..archive.folder import read_archive
from ..archive.manifest import Manifest
from ..archive.schema import read_schema
from ..catalog.database import read_database
from ..catalog.reading import Reading, read_content
from ..catalog.relations import list_relations
from ..catalog.selection import Name, Selection, select
from ..catalog.transaction import Transaction
from ..errors import MigrationError
from ..server.batches import execute_together
from ..server.client_tools import tools_for
from ..staging.row_security import owner_unbound
from ..verdict.comparison import Verdict, compare
from ..verdict.databases import compare_databases
from ..verdict.definitions import compare_schemas
from ..verdict.judge import Judge
from .clearing import is_empty
from .locks import LockMode, locking, telling_holders

#: How many objects a message names.
_NAMED: t.Final = 20

# An extension's tables go with it, or stay. Who may change all rows of a table may lock it, too (docs: LOCK, Notes).
# Those that hold large objects are the server's: to lock them is the only way to keep others from writing any.
TABLES: t.Final = """
SELECT n.nspname, c.relname,
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'),
       has_schema_privilege(n.oid, 'USAGE')
       AND (pg_has_role(c.relowner, 'USAGE') OR has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'pg_catalog', relname, true, bool_and(has_table_privilege(oid, 'UPDATE')) OVER ()
FROM pg_class WHERE oid IN ('pg_largeobject_metadata'::regclass, 'pg_largeobject'::regclass)
ORDER BY 1, 2
"""


def require_unchanged(transaction: Transaction, judge: Judge, backup: pathlib.Path | None) -> None:
    """Lock what will be replaced, and make sure that nobody has changed it since it was backed up.

    :param judge: with the patterns that select the tables
    :param backup: the backup's folder; None if the live database was empty
    :raises MigrationError: when a lock cannot be had, or naming what was changed
    """
    session = transaction.session
    selection = select(list_relations(session), judge.patterns) if backup and judge.patterns else None
    locks = keeping_out(transaction, selection, "ACCESS EXCLUSIVE")
    if locks:
        with telling_holders(session):
            execute_together(session, *locks)
    if backup is None:
        changed = [] if is_empty(session) else ["it was empty then"]
    else:
        changed = _find_changes(transaction, judge, backup, selection)
    if changed:
        named = ", ".join(changed[:_NAMED]) + (", ..." if len(changed) > _NAMED else "")
        raise MigrationError(
            f"Nothing was changed. Since the {judge.live} was backed up, clients have changed it, and what they wrote "
            f"would be lost: {named}. Run again, and stop them first if they write all the time."
        )


def keeping_out(transaction: Transaction, selection: Selection | None, mode: LockMode) -> list[sql.Composable]:
    """Return the statements that keep others out of the selected tables, or of all, until the transaction ends.

    They are to be executed by one who is `telling_holders`.

    :param transaction: one that has been asked for `TABLES` as it began, or is asked now
    :raises MigrationError: when a table cannot be locked
    """
    session, tables, large_objects, open_ = transaction.session, [], [], []
    listed = transaction.told[0] if transaction.told else session.execute(TABLES).fetchall()
    for schema, name, member, lockable in listed:
        table = (schema, name)
        if schema == "pg_catalog":
            large_objects += [table] if lockable and selection is None else []
        elif selection is None or table in selection:
            tables += [table] if lockable else []
            open_ += [".".join(table)] if not lockable and not member else []
    if open_:
        raise MigrationError(
            f"Nothing was changed. {session.info.user} may not lock {', '.join(open_[:_NAMED])}: what clients write to "
            f"it until it goes would be lost. Make {session.info.user} a member of its owner's role, or GRANT UPDATE."
        )
    return locking([(tables, mode), (large_objects, "EXCLUSIVE")])


def _find_changes(
    transaction: Transaction, judge: Judge, backup: pathlib.Path, selection: Selection | None
) -> list[str]:
    """Return the objects that are not what the backup holds, definitions first: they are read sooner than rows."""
    archive = read_archive(backup)
    manifest = archive.manifest
    tools = tools_for(transaction.session.info.server_version // 10000, judge.tools)
    _, differences = compare_schemas(read_schema(tools, archive.schema), judge.read_definitions(transaction), selection)
    verdict = Verdict(differences=differences)
    if selection is None:
        database = compare_databases(manifest.database, read_database(transaction.session), with_settings=True)
        verdict = verdict.joined(Verdict(differences=database))
    if verdict.equal:
        verdict = _compare_content(transaction, manifest, selection)
    return [difference.object for difference in verdict.differences]


def _compare_content(transaction: Transaction, manifest: Manifest, selection: Selection | None) -> Verdict:
    """Return the verdict on rows, sequences and large objects; a materialized view holds nothing of its own."""
    relations = [measured.relation for measured in manifest.content.relations]
    tables: list[Name] = [relation.full_name for relation in relations if relation.kind != "materialized view"]
    with owner_unbound(transaction.session, tables):
        found = read_content(Reading(transaction, 1, manifest.database.serving_path, relations, selection))
    verdict = compare(manifest.content, found)
    views = {f"materialized view {relation}" for relation in relations if relation.kind == "materialized view"}
    return Verdict(differences=tuple(d for d in verdict.differences if d.object not in views))
