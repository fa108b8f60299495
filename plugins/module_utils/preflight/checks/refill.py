# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the live database's own tables can be emptied and filled again, its schema being kept."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ...catalog.database import DatabaseProperties
from ...catalog.foreign_keys import ask_joined, list_joined
from ...catalog.relations import Relation, ask_relations, list_relations
from ...catalog.requirements import Requirements
from ...catalog.search_path import read_serving_path
from ...catalog.selection import Selection
from ...in_place.order import LoadOrder, order_selected
from ...server.batches import Rows
from ...server.endpoint import Session
from ...server.inquiry import Inquiry, answer, ask, together
from ...verdict.findings import Finding
from ..missing_parents import find_missing_parents
from .check import is_superuser
from .far_trees import check_far_trees
from .in_place import (
    FOREIGN_LARGE_OBJECTS,
    ask_clients_in_place,
    ask_replacement_locks,
    ask_subscriptions,
    ask_unlockable,
)
from .target import check_versions

#: How tables are filled whose foreign keys are there: ``post_data`` is to have the schema replaced, keys last.
FkStrategy = t.Literal["post_data", "dependency_order", "disable_triggers"]


def choose_strategy(wanted: str, partial: bool, load_mode: str = "auto") -> FkStrategy:
    """Return the strategy.

    :param wanted: a strategy or ``auto``
    :param partial: whether tables are selected
    """
    if wanted == "auto":
        return "dependency_order" if partial or load_mode == "sync" else "post_data"
    return t.cast(FkStrategy, wanted)


def check_strategy(strategy: FkStrategy, partial: bool) -> list[Finding]:
    """Return what contradicts itself in what is asked for."""
    if not partial or strategy != "post_data":
        return []
    return [
        Finding(
            "error",
            "selection-post-data",
            "fk_strategy post_data",
            "it replaces the whole schema, and tables are selected: the others would be lost.",
            "Leave out fk_strategy, or set it to dependency_order or disable_triggers.",
        )
    ]


def check_sync(strategy: FkStrategy, is_live: bool) -> list[Finding]:
    """Return what contradicts itself where only what differs is to be brought.

    :param is_live: whether the source takes part, and not an archive in its stead; or what a run has changed is known
    """
    name, findings = "load_mode sync", []
    if not is_live:
        message = "rows are compared with the source's by the source's server, and an archive stands for it."
        remedy = "Leave out load_mode, or use playbooks/migrate.yml, which reads the source."
        findings.append(Finding("error", "sync-archive", name, message, remedy))
    if strategy == "post_data":
        message = "fk_strategy post_data replaces the whole schema, and of a schema that is kept the rows alone change."
        remedy = "Leave out fk_strategy, or set it to dependency_order or disable_triggers."
        findings.append(Finding("error", "sync-post-data", name, message, remedy))
    return findings


def check_kept_schema(strategy: FkStrategy, partial: bool) -> list[Finding]:
    """Return why no copy can take the live database's place where its schema is kept."""
    remedy = "Leave out load_mode, or set it to in_place."
    if partial:
        message = "a copy that takes the live database's place would hold the selected tables' rows alone."
        return [Finding("error", "selection-swap", "include_tables and exclude_tables", message, remedy)]
    if strategy != "post_data":
        message = "it fills the live database's own tables, and a copy beside it would not be filled so."
        return [Finding("error", "strategy-swap", f"fk_strategy {strategy}", message, remedy)]
    return []


def ask_load_order(selection: Selection | None) -> Inquiry[tuple[LoadOrder, list[Relation]]]:
    """Ask what there is, and in which order it can be filled. The session's search_path must be empty."""
    relations, keys = yield from together(ask_relations(), ask_joined())
    return order_selected(relations, [joined.link for joined in keys], selection), relations


def plan_refill(
    session: Session,
    source: DatabaseProperties,
    needs: Requirements,
    selection: Selection | None,
    strategy: FkStrategy,
    own: int = 0,
) -> tuple[LoadOrder, list[Finding]]:
    """Return in which order tables of the session's database are emptied and filled, and what stands in the way.

    :param own: the server process of another session of ours in it, if there is one
    """
    # To have its definitions reworded, all of it is made anew and undone.
    locks = [ask_replacement_locks(needs)] if selection is None else []
    (order, relations), foreign, subscriptions, clients, unlockable, *others = answer(
        session,
        together(
            ask_load_order(selection),
            ask(_FOREIGN, FOREIGN_LARGE_OBJECTS),
            ask_subscriptions(),
            ask_clients_in_place(session.info.dbname, own),
            ask_unlockable(session),
            *locks,
        ),
    )
    owners = _tell_owners(session, selection, order, *foreign)
    told = {finding.object for finding in owners}
    findings = [
        *check_far_trees("the live database", relations, selection),
        *check_versions(session, source),
        *_check_superuser(session, strategy),
        *owners,
        *(
            finding
            for finding in unlockable
            if finding.object not in told
            and (selection is None or finding.object.removeprefix("table ") in selection.labels)
        ),
        *_check_leading_out(order),
        *subscriptions,
        *(finding for some in others for finding in some),
        *clients,
    ]
    return order, findings


def _check_superuser(session: Session, strategy: FkStrategy) -> list[Finding]:
    if strategy != "disable_triggers" or is_superuser(session):
        return []
    return [
        Finding(
            "error",
            "triggers-superuser",
            "fk_strategy disable_triggers",
            f"only a superuser may disable the triggers that check foreign keys, and {session.info.user} is none.",
            "Set fk_strategy to dependency_order, which any owner of the tables may do.",
        )
    ]


_FOREIGN: t.Final = """
SELECT n.nspname, c.relname, CASE c.relkind WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'table' END,
       pg_get_userbyid(c.relowner)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'S') AND c.relpersistence <> 't' AND NOT pg_has_role(c.relowner, 'USAGE')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
"""


def _tell_owners(
    session: Session, selection: Selection | None, order: LoadOrder, relations: Rows, large_objects: Rows
) -> list[Finding]:
    """Return what is somebody else's: to truncate and lock a table would do with a grant, to alter it would not."""
    altered = {link.referring for link in order.leading_in}
    found = [
        (f"{kind} {schema}.{name}", owner)
        for schema, name, kind, owner in relations
        if selection is None or (schema, name) in selection or (schema, name) in altered
    ]
    found += large_objects if selection is None else []
    return [
        Finding(
            "error",
            "not-owner",
            name,
            f"it is in the live database and belongs to {owner}: {session.info.user} may not alter it, as filling it "
            "again, or tables that it refers to, requires.",
            f"Use {sql.Identifier(owner).as_string(session)} as target_user, or a member of that role.",
        )
        for name, owner in found
    ]


def check_parents(source: Session, live: Session, order: LoadOrder) -> list[Finding]:
    """Return the keys by which the source's rows refer to rows that the target does not have and will not get.

    Where some partitions of a table are selected and others are not, it is left to the run.

    :param live: a session of the live database, whose schema must be the source's
    """
    search_path = read_serving_path(source)
    selected, keys = set(order.tables), {joined.key: joined for joined in list_joined(live)}
    trees = {relation.full_name: relation.partitions for relation in list_relations(live)}
    findings = []
    for link in order.leading_out:
        if link.referring not in selected or selected.intersection(trees.get(link.referenced, ())):
            continue
        if missing := find_missing_parents(source, live, keys[link.key], search_path):
            findings.append(
                Finding(
                    "error",
                    "parent-missing",
                    str(link.key),
                    f"rows of the source refer to rows of {link.key.references} that the target does not have, and "
                    f"that table is not selected. Such rows are {', '.join(missing)}.",
                    f"Complete {link.key.references} on the target, or have it brought, too: name it in include_tables "
                    "or, for a repair, verify anew.",
                )
            )
    return findings


def _check_leading_out(order: LoadOrder) -> list[Finding]:
    return [
        Finding(
            "warning",
            "key-leads-out",
            str(link.key),
            f"{link.key.references} is not selected, so its rows are not copied: a row of {link.key.table} that refers "
            "to one which the target does not have fails the run.",
            f"Unless the target has what is referred to, have {link.key.references} brought, too: name it in "
            "include_tables or, for a repair, verify anew.",
        )
        for link in order.leading_out
    ]
