# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Large objects: what there is, and how their bytes travel as rows of one COPY stream."""

from __future__ import annotations

import dataclasses
import typing as t

from psycopg import sql

from ..server.batches import Rows, Statement, execute_all, split
from ..server.endpoint import Session
from .checksums import digest

#: Of large objects, as `LIST` tells them.
Numbers: t.TypeAlias = Rows


@dataclasses.dataclass(frozen=True)
class LargeObject:
    """A large object: its OID is its name and is kept."""

    oid: int
    size: int
    comment: str | None
    checksum: str


#: The query for what there is.
LIST: t.Final = "SELECT oid FROM pg_catalog.pg_largeobject_metadata ORDER BY 1"

_CHUNK_BYTES: t.Final = 1 << 20
#: How many are opened at once: the server keeps each in the session's memory until it is closed.
_OPENED_AT_ONCE: t.Final = 1000

# lo_lseek64 tells the size of what lo_open opened for reading (x40000 is INV_READ). Each step is materialized: the
# planner would memoize lateral joins, and answer for a descriptor used again with the size of the object before. Where
# a piece is, is the seed of its hash.
_READ: t.Final = f"""
WITH opened AS MATERIALIZED (
    SELECT oid, pg_catalog.lo_open(oid, x'40000'::int) AS descriptor FROM unnest(%s::oid[]) oid
), sized AS MATERIALIZED (
    SELECT oid, descriptor, pg_catalog.lo_lseek64(descriptor, 0, 2) AS size FROM opened
), closed AS MATERIALIZED (
    SELECT oid, size, pg_catalog.lo_close(descriptor) AS status FROM sized
)
SELECT oid, size, pg_catalog.obj_description(oid, 'pg_largeobject'), (
    SELECT sum(hashtextextended(pg_catalog.lo_get(oid, start, {_CHUNK_BYTES})::text COLLATE "C", start))
    FROM pg_catalog.generate_series(0::bigint, greatest(size - 1, 0), {_CHUNK_BYTES}) start
)
FROM closed WHERE status = 0 ORDER BY oid
"""


def read_large_objects(session: Session) -> list[LargeObject]:
    """Return every large object, by OID. The session must be in a transaction: descriptors live no longer."""
    return read_listed(session, session.execute(LIST).fetchall())


def read_listed(session: Session, listed: Numbers) -> list[LargeObject]:
    """Return the large objects that `LIST` has told."""
    oids = [oid for (oid,) in listed]
    return [
        LargeObject(oid, size, comment, digest([int(hashes)]))
        for batch in split(oids, _OPENED_AT_ONCE)
        for oid, size, comment, hashes in session.execute(_READ, (batch,)).fetchall()
    ]


def piece_queries(objects: t.Sequence[LargeObject]) -> t.Iterator[sql.Composed]:
    """Yield queries for the large objects in pieces, one row a piece: OID, offset, bytes. Of an empty one it is empty.

    The objects and their sizes must be those of the session's snapshot.
    """
    for batch in split(objects, _OPENED_AT_ONCE):
        yield sql.SQL(
            "SELECT oid, start, pg_catalog.lo_get(oid, start, {chunk}) FROM unnest({oids}::oid[], {sizes}::bigint[])"
            " sized(oid, size)"
            " CROSS JOIN LATERAL pg_catalog.generate_series(0::bigint, greatest(size - 1, 0), {chunk}) start"
        ).format(
            oids=[large_object.oid for large_object in batch],
            sizes=[large_object.size for large_object in batch],
            chunk=_CHUNK_BYTES,
        )


def count_pieces(objects: t.Iterable[LargeObject]) -> int:
    """Return how many rows these queries yield."""
    return sum(max(large_object.size - 1, 0) // _CHUNK_BYTES + 1 for large_object in objects)


#: Where COPY puts the pieces before they become large objects; it goes with the transaction.
CREATE_PIECES: t.Final = "CREATE TEMPORARY TABLE pgconvoy_pieces (loid oid, start bigint, bytes bytea) ON COMMIT DROP"


def make_large_objects(session: Session, objects: t.Sequence[LargeObject]) -> None:
    """Turn the loaded pieces into large objects with their OIDs."""
    oids = [large_object.oid for large_object in objects]
    session.execute("SELECT pg_catalog.lo_create(oid) FROM pg_catalog.unnest(%s::oid[]) oid", (oids,))
    session.execute("SELECT pg_catalog.lo_put(loid, start, bytes) FROM pg_temp.pgconvoy_pieces")


def comment_on(session: Session, objects: t.Iterable[LargeObject]) -> None:
    """Give the large objects their comments; each is locked until the transaction ends.

    :raises MigrationError: when the server refuses one
    """
    comment = sql.SQL("COMMENT ON LARGE OBJECT {} IS {}")
    execute_all(
        session,
        [Statement(f"comment on large object {o.oid}", comment.format(o.oid, o.comment)) for o in objects if o.comment],
    )
