# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_dump says of no object, or so that a restore makes something else of it.

Where a copy's own dump has the same words, these do not tell that it was made otherwise; so it is compared by itself.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer, one_line
from .facets import IDENTITY


@dataclasses.dataclass(frozen=True, order=True)
class Unsaid:
    """What is so of an object; ``relation`` is the one that it is part of, if any, as ``schema.name``."""

    object: str
    says: str
    relation: str | None = None


#: A restore makes an heir's column NOT NULL where its parent's is, and servers from 18 on know nothing else.
MAY_BE_NULL: t.Final = "it may be null, and its parent may not"
#: To delete published rows makes DEFAULT of it, as a restore does.
LOST_IDENTITY: t.Final = "its replica identity is an index that was dropped"


# An heir is made with its parent's storage, compression and NOT NULL (MergeAttributes in tablecmds.c), and pg_dump says
# them only where they are not the type's own. Of constraints that are inherited, and of triggers that are a partition's
# copy, it says nothing; of aggregates not what extension they depend on, of a constraint that its trigger is disabled.
# One of 18 does not say the statistics of a constraint's index, and none the type of an identity column's sequence.
# What an extension brings, it may bring otherwise there; what a session has for itself is not carried.
# Unqualified names are pg_catalog's: the session's search_path leads there first.
_UNSAID: t.Final = f"""
SELECT DISTINCT {IDENTITY}, f.says, n.nspname || '.' || c.relname
FROM (
    SELECT 'pg_class'::regclass, a.attrelid, a.attnum, a.attrelid, of.says
    FROM pg_inherits h
    JOIN pg_attribute p ON p.attrelid = h.inhparent AND p.attnum > 0
    JOIN pg_attribute a ON a.attrelid = h.inhrelid AND a.attname = p.attname
    CROSS JOIN LATERAL (VALUES
        (a.attstorage <> p.attstorage, 'its storage is not its parent''s'),
        (a.attcompression <> p.attcompression, 'its compression is not its parent''s'),
        (p.attnotnull AND NOT a.attnotnull, '{MAY_BE_NULL}')) of(other, says)
    WHERE of.other
    UNION ALL
    SELECT p.tableoid, k.oid, 0, k.conrelid, 'it is validated, unlike its parent''s'
    FROM pg_constraint p CROSS JOIN LATERAL (
        SELECT * FROM pg_constraint k WHERE k.conparentid = p.oid
        UNION ALL
        SELECT k.* FROM pg_inherits h JOIN pg_constraint k ON k.conrelid = h.inhrelid AND k.conname = p.conname
        WHERE h.inhparent = p.conrelid AND k.contype = 'c' AND p.contype = 'c') k
    WHERE NOT p.convalidated AND k.convalidated
    UNION ALL
    SELECT k.tableoid, k.oid, 0, k.conrelid, CASE t.tgenabled WHEN 'D' THEN 'its trigger is disabled'
           WHEN 'R' THEN 'its trigger is enabled for replicas' ELSE 'its trigger is enabled always' END
    FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint
    WHERE t.tgisinternal AND (t.tgenabled = 'A' OR (t.tgenabled <> 'O' AND k.contype <> 'f'))
    UNION ALL
    SELECT d.classid, d.objid, 0, t.tgrelid, format('it depends on extension %s', e.extname)
    FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    LEFT JOIN pg_trigger t ON t.oid = d.objid AND t.tableoid = d.classid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x'
    UNION ALL
    SELECT 'pg_class'::regclass, a.attrelid, a.attnum, k.conrelid,
           format('its statistics target is %s', a.attstattarget)
    FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conindid AND a.attstattarget >= 0
    WHERE k.contype = 'x' AND a.attnum > 0
    UNION ALL
    SELECT c.tableoid, c.oid, 0, c.oid, '{LOST_IDENTITY}'
    FROM pg_class c
    WHERE c.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisreplident)
    UNION ALL
    SELECT d.classid, s.seqrelid, 0, a.attrelid, 'it is not of its column''s type'
    FROM pg_sequence s JOIN pg_depend d ON d.objid = s.seqrelid AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE s.seqtypid <> a.atttypid
) f(classid, objid, part, relation, says)
CROSS JOIN LATERAL pg_identify_object(f.classid, f.objid, f.part) i
LEFT JOIN pg_class c ON c.oid = f.relation
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE f.objid >= 16384 AND c.relpersistence IS DISTINCT FROM 't' AND NOT EXISTS (
    SELECT FROM pg_depend e WHERE e.deptype = 'e' AND e.objid = coalesce(f.relation, f.objid)
    AND e.classid = CASE WHEN f.relation IS NULL THEN f.classid ELSE 'pg_class'::regclass END)
ORDER BY 1, 2
"""


def read_unsaid(session: Session) -> tuple[Unsaid, ...]:
    """Return what pg_dump does not say of a database's objects."""
    return answer(session, ask_unsaid())


def ask_unsaid() -> Inquiry[tuple[Unsaid, ...]]:
    """Ask what pg_dump does not say of a database's objects."""
    (rows,) = yield [one_line(_UNSAID)]
    return tuple(Unsaid(*row) for row in rows)
