# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operators and functions the expressions of a database are bound to.

A definition's text does not tell: that of IS DISTINCT FROM names no operator, and the same words mean citext's = under
one search_path and text's under another. The server has settled it once and for all, and noted it as a dependency,
but for what every server has (docs: 53.18 pg_depend).
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer


@dataclasses.dataclass(frozen=True)
class Binding:
    """An object, the relation as ``schema.name`` that it is part of, if any, and what it is bound to, sorted."""

    object: str
    relation: str | None
    uses: tuple[str, ...]


# What belongs to an extension is the extension's, which may be of another version there; so may be the arguments of its
# functions. Copies of a key on partitions have names of their own on each server. A view is known by its name, not by
# that of its rule.
_BINDINGS: t.Final = """
WITH member AS MATERIALIZED (
    SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'
), bound AS MATERIALIZED (
    SELECT DISTINCT d.classid, d.objid, d.refclassid, d.refobjid FROM pg_catalog.pg_depend d
    WHERE d.refclassid IN ('pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
      AND d.refobjid >= 16384 AND d.objid >= 16384 AND d.deptype IN ('n', 'a')
      AND d.classid IN (
        'pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass,
        'pg_catalog.pg_constraint'::pg_catalog.regclass, 'pg_catalog.pg_policy'::pg_catalog.regclass,
        'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_publication_rel'::pg_catalog.regclass,
        'pg_catalog.pg_rewrite'::pg_catalog.regclass, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass,
        'pg_catalog.pg_trigger'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = d.objid AND k.conparentid <> 0
                      AND d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass)
), used AS MATERIALIZED (
    SELECT u.refclassid, u.refobjid,
           i.type || ' ' || CASE WHEN i.type <> 'operator' AND (u.refclassid, u.refobjid) IN (TABLE member)
                                 THEN pg_catalog.split_part(i.identity, '(', 1) ELSE i.identity END AS name
    FROM (SELECT DISTINCT refclassid, refobjid FROM bound) u
    CROSS JOIN LATERAL pg_catalog.pg_identify_object(u.refclassid, u.refobjid, 0) i
), object AS MATERIALIZED (
    SELECT b.classid, b.objid, pg_catalog.array_agg(DISTINCT used.name ORDER BY used.name) AS uses,
           (SELECT d.refobjid FROM pg_catalog.pg_depend d
            WHERE d.classid = b.classid AND d.objid = b.objid AND d.deptype IN ('a', 'i')
              AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass ORDER BY d.deptype DESC LIMIT 1) AS owner
    FROM bound b JOIN used USING (refclassid, refobjid)
    WHERE (b.classid, b.objid) NOT IN (TABLE member)
    GROUP BY b.classid, b.objid
)
SELECT CASE WHEN w.oid IS NULL THEN i.type || ' ' || i.identity
            ELSE CASE c.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || n.nspname || '.' || c.relname
       END,
       n.nspname || '.' || c.relname, o.uses
FROM object o
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
LEFT JOIN pg_catalog.pg_rewrite w ON w.oid = o.objid AND w.rulename = '_RETURN'
    AND o.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_class c ON c.oid = coalesce(
    CASE WHEN o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN coalesce(o.owner, o.objid) END, o.owner)
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE o.owner IS NULL OR ('pg_catalog.pg_class'::pg_catalog.regclass, o.owner) NOT IN (TABLE member)
ORDER BY 1
"""


def read_bindings(session: Session) -> tuple[Binding, ...]:
    """Return all objects that are bound to anything but what every server has, by name."""
    return answer(session, ask_bindings())


def ask_bindings() -> Inquiry[tuple[Binding, ...]]:
    """Ask for all objects that are bound to anything but what every server has, by name."""
    (rows,) = yield [_BINDINGS]
    return tuple(Binding(name, relation, tuple(uses)) for name, relation, uses in rows)
