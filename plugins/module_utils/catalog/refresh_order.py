# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which materialized views are refreshed: each after those that it reads."""

from __future__ import annotations

import typing as t

from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer, one_line
from .graph import find_components

# A view depends on others through its rules, of which one holds its query.
_VIEWS: t.Final = """
SELECT n.nspname, c.relname, c.relkind = 'm', c.relispopulated,
       ARRAY(SELECT DISTINCT ARRAY[rn.nspname::text, read.relname::text]
             FROM pg_catalog.pg_rewrite r
             JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
                  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> c.oid
             JOIN pg_catalog.pg_class read ON read.oid = d.refobjid AND read.relkind IN ('v', 'm')
             JOIN pg_catalog.pg_namespace rn ON rn.oid = read.relnamespace
             WHERE r.ev_class = c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm')
"""


def read_refresh_order(session: Session) -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    """Return the populated materialized views by (schema, name), each after those that it reads, which are told.

    Those that are read by way of plain views are among them.
    """
    return answer(session, ask_refresh_order())


def ask_refresh_order() -> Inquiry[dict[tuple[str, str], tuple[tuple[str, str], ...]]]:
    """Ask for the populated materialized views; see `read_refresh_order`."""
    (rows,) = yield [one_line(_VIEWS)]
    materialized = {(schema, name) for schema, name, is_materialized, *_ in rows if is_materialized}
    populated = {(schema, name) for schema, name, _, is_populated, _ in rows if is_populated} & materialized
    edges = {(schema, name): {tuple(relation) for relation in read} for schema, name, *_, read in rows}
    read: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for component in find_components(edges):
        next_ = set().union(*(edges[view] for view in component))
        reached = next_.union(*(read.get(view, ()) for view in next_))
        read |= dict.fromkeys(component, reached)
    order = sorted(populated, key=lambda view: (len(read[view] & materialized), view))
    return {view: tuple(sorted(read[view] & materialized)) for view in order}
