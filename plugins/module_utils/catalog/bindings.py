# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operators and functions the expressions of a database are bound to.

A definition's text does not tell: that of IS DISTINCT FROM names no operator, and the same words mean citext's = under
one search_path and text's under another. The server has settled it once and for all, and noted it as a dependency,
but for what every server has (docs: 53.18 pg_depend). An object that is bound to an operator of the user's in one place
may be bound to the server's own of that name in another: that, the expressions' trees tell.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer, one_line


@dataclasses.dataclass(frozen=True)
class Binding:
    """An object, the relation as ``schema.name`` that it is part of, if any, and what it is bound to, sorted.

    ``operators``: which of those operators its expressions use, and of others of the same names, and how; None where an
    older archive does not tell.
    """

    object: str
    relation: str | None
    uses: tuple[str, ...]
    operators: tuple[str, ...] | None = None


# What belongs to an extension is the extension's, which may be of another version there; so may be the arguments of its
# functions. Copies of a key on partitions have names of their own on each server. A view is known by its name, not by
# that of its rule. Unqualified names are pg_catalog's: the session's search_path leads there first.
_BINDINGS: t.Final = r"""
WITH member AS MATERIALIZED (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), bound AS MATERIALIZED (
    SELECT DISTINCT d.classid, d.objid, d.refclassid, d.refobjid FROM pg_depend d
    WHERE d.refclassid IN ('pg_operator'::regclass, 'pg_proc'::regclass)
      AND d.refobjid >= 16384 AND d.objid >= 16384 AND d.deptype IN ('n', 'a')
      AND d.classid = ANY ('{pg_attrdef,pg_class,pg_constraint,pg_policy,pg_proc,pg_publication_rel,pg_rewrite,
        pg_statistic_ext,pg_trigger,pg_type}'::regclass[])
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.oid = d.objid AND k.conparentid <> 0
                      AND d.classid = 'pg_constraint'::regclass)
), named AS (
    SELECT b.*, i.type || ' ' || CASE WHEN i.type <> 'operator' AND (b.refclassid, b.refobjid) IN (TABLE member)
                                      THEN split_part(i.identity, '(', 1) ELSE i.identity END AS uses
    FROM bound b CROSS JOIN LATERAL pg_identify_object(b.refclassid, b.refobjid, 0) i
), tree(classid, objid, nodes) AS (
    SELECT tableoid, oid, adbin::text FROM pg_attrdef
    UNION ALL SELECT 'pg_class'::regclass, indexrelid, concat(indexprs, indpred) FROM pg_index
    UNION ALL SELECT 'pg_class'::regclass, partrelid, partexprs::text FROM pg_partitioned_table
    UNION ALL SELECT tableoid, oid, conbin::text FROM pg_constraint
    UNION ALL SELECT tableoid, oid, concat(polqual, polwithcheck) FROM pg_policy
    UNION ALL SELECT tableoid, oid, concat(prosqlbody, proargdefaults) FROM pg_proc
    UNION ALL SELECT tableoid, oid, prqual::text FROM pg_publication_rel
    UNION ALL SELECT tableoid, oid, concat(ev_qual, ev_action) FROM pg_rewrite
    UNION ALL SELECT tableoid, oid, stxexprs::text FROM pg_statistic_ext
    UNION ALL SELECT tableoid, oid, tgqual::text FROM pg_trigger
    UNION ALL SELECT tableoid, oid, typdefaultbin::text FROM pg_type
), object AS MATERIALIZED (
    SELECT b.classid, b.objid, array_agg(DISTINCT uses ORDER BY uses) AS uses,
           array_agg(oprname) FILTER (WHERE oprname IS NOT NULL) AS operators,
           (SELECT d.refobjid FROM pg_depend d
            WHERE d.classid = b.classid AND d.objid = b.objid AND d.deptype IN ('a', 'i')
              AND d.refclassid = 'pg_class'::regclass ORDER BY d.deptype DESC LIMIT 1) AS owner
    FROM named b LEFT JOIN pg_operator ON refclassid = 'pg_operator'::regclass AND oid = refobjid
    WHERE (b.classid, b.objid) NOT IN (TABLE member)
    GROUP BY b.classid, b.objid
)
SELECT CASE WHEN w.oid IS NULL THEN i.type || ' ' || i.identity
            ELSE CASE c.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || n.nspname || '.' || c.relname
       END,
       n.nspname || '.' || c.relname, o.uses, ARRAY(
    SELECT DISTINCT
        CASE node[1] WHEN 'DISTINCTEXPR' THEN 'IS DISTINCT FROM by ' WHEN 'NULLIFEXPR' THEN 'NULLIF by ' ELSE '' END
        || 'operator ' || (pg_identify_object('pg_operator'::regclass, node[2]::oid, 0)).identity
    FROM tree CROSS JOIN regexp_matches(nodes, '[{](\w+) :opno (\d+)', 'g') node
    WHERE o.operators IS NOT NULL AND tree.classid = o.classid AND tree.objid = o.objid
      AND (SELECT oprname FROM pg_operator WHERE oid = node[2]::oid) = ANY (o.operators) ORDER BY 1)
FROM object o
CROSS JOIN LATERAL pg_identify_object(o.classid, o.objid, 0) i
LEFT JOIN pg_rewrite w ON w.oid = o.objid AND w.rulename = '_RETURN'
    AND o.classid = 'pg_rewrite'::regclass
LEFT JOIN pg_class c ON c.oid = coalesce(
    CASE WHEN o.classid = 'pg_class'::regclass THEN coalesce(o.owner, o.objid) END, o.owner)
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE o.owner IS NULL OR ('pg_class'::regclass, o.owner) NOT IN (TABLE member)
ORDER BY 1
"""


def read_bindings(session: Session) -> tuple[Binding, ...]:
    """Return all objects that are bound to anything but what every server has, by name."""
    return answer(session, ask_bindings())


def ask_bindings() -> Inquiry[tuple[Binding, ...]]:
    """Ask for all objects that are bound to anything but what every server has, by name."""
    (rows,) = yield [one_line(_BINDINGS)]
    return tuple(Binding(name, relation, tuple(uses), tuple(operators)) for name, relation, uses, operators in rows)
