# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Large objects: what there is, and how their bytes travel as rows of one COPY stream."""

from __future__ import annotations

import dataclasses
import typing as t

from psycopg import sql

from ..endpoint import Session
from .checksums import digest


@dataclasses.dataclass(frozen=True)
class LargeObject:
    """A large object: its OID is its name and is kept."""

    oid: int
    size: int
    comment: str | None
    checksum: str


# lo_lseek64 tells the size of what lo_open opened for reading (x40000 is INV_READ). Each step is materialized: the
# planner would memoize lateral joins, and answer for a descriptor used again with the size of the object before.
_SIZES: t.Final = """
WITH opened AS MATERIALIZED (
    SELECT oid, pg_catalog.lo_open(oid, x'40000'::int) AS descriptor FROM pg_catalog.pg_largeobject_metadata
), sized AS MATERIALIZED (
    SELECT oid, descriptor, pg_catalog.lo_lseek64(descriptor, 0, 2) AS size FROM opened
), closed AS MATERIALIZED (
    SELECT oid, size, pg_catalog.lo_close(descriptor) AS status FROM sized
)
SELECT oid, size, pg_catalog.obj_description(oid, 'pg_largeobject') FROM closed WHERE status = 0 ORDER BY oid
"""

_CHUNK_BYTES: t.Final = 1 << 20

#: Every large object in pieces, one row a piece: OID, offset, bytes. An empty object has one empty piece.
COPY_QUERY: t.Final = f"""
SELECT sized.oid, piece.start, pg_catalog.lo_get(sized.oid, piece.start, {_CHUNK_BYTES})
FROM ({_SIZES}) sized(oid, size, comment)
CROSS JOIN LATERAL pg_catalog.generate_series(0::bigint, greatest(sized.size - 1, 0), {_CHUNK_BYTES}) piece(start)
"""


# Where a piece is, is the seed of its hash.
_CHECKSUMS: t.Final = f"""
SELECT oid, sum(hashtextextended(bytes::text COLLATE "C", start))
FROM ({COPY_QUERY}) piece(oid, start, bytes)
GROUP BY oid
"""


def read_large_objects(session: Session) -> list[LargeObject]:
    """Return every large object, by OID. The session must be in a transaction: descriptors live no longer."""
    described = session.execute(_SIZES).fetchall()
    sums = session.execute(_CHECKSUMS).fetchall()
    checksums = {oid: digest([int(hashes)]) for oid, hashes in sums}
    return [LargeObject(oid, size, comment, checksums[oid]) for oid, size, comment in described]


#: Where COPY puts the pieces before they become large objects; it goes with the transaction.
CREATE_PIECES: t.Final = "CREATE TEMPORARY TABLE pgconvoy_pieces (loid oid, start bigint, bytes bytea) ON COMMIT DROP"


def make_large_objects(session: Session, objects: t.Sequence[LargeObject]) -> None:
    """Turn the loaded pieces into large objects with their OIDs and comments."""
    oids = [large_object.oid for large_object in objects]
    session.execute("SELECT pg_catalog.lo_create(oid) FROM pg_catalog.unnest(%s::oid[]) oid", (oids,))
    session.execute("SELECT pg_catalog.lo_put(loid, start, bytes) FROM pg_temp.pgconvoy_pieces ORDER BY loid, start")
    for large_object in objects:
        if large_object.comment is not None:
            session.execute(sql.SQL("COMMENT ON LARGE OBJECT {} IS {}").format(large_object.oid, large_object.comment))
