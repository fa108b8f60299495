# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rows of a table have changed on the source since the target was its copy: the source knows what it has written.

Each row tells the transaction that wrote it (docs: 5.6 System Columns). That is a hint, and no more is made of it: what
is found so is all that differs only if the target's checksum, with these rows exchanged, is the source's. A row that
was deleted has left nothing to be found; then all rows are compared. Where nobody knows since when the target is no
copy any more, the few rows are looked at that were written last.
"""

from __future__ import annotations

import itertools
import typing as t

import psycopg
from psycopg import sql

from ..catalog.checksums import digest
from ..catalog.content import Rows
from ..catalog.relations import Relation
from ..server.endpoint import Session
from .differing import Differing, Places, find_differing, is_any, key_hash, pair_rows, read_rows

#: Of more rows, all are compared: their keys would be too long a list.
_MOST: t.Final = 100_000
#: Smaller tables (16 MiB) are gone through again.
_LARGE_PAGES: t.Final = 1 << 11
#: How many rows are looked at on trial: to name them costs less than the sums of the first groups.
_LAST: t.Final = 1_000

# A row may tell the number of a transaction long ago, which comes again after 2^32 others; then it is taken for one
# that was written since. So is one of a transaction that was under way at the time, and that the copy holds.
_WRITTEN: t.Final = "pg_catalog.age(xmin) BETWEEN 0 AND pg_catalog.age({}::pg_catalog.xid)"

# Of each transaction, all rows or none.
_WRITTEN_LAST: t.Final = """
pg_catalog.age(xmin) < (
    SELECT pg_catalog.max(age) FROM (SELECT pg_catalog.age(xmin) FROM {} ORDER BY 1 LIMIT {}) last_written(age))
"""


class Found(t.NamedTuple):
    """What differs, in the order of the keys' hashes; and where rows lie on both sides, if that was noted."""

    rows: t.Iterable[Differing]
    here: Places | None = None
    there: Places | None = None


def find_changed(
    source: Session, target: Session, relation: Relation, ours: Rows, theirs: Rows, since: int | None
) -> Found:
    """Return what differs. Both sessions must be in a transaction.

    :param relation: of the source; the target's has the same columns
    :param ours: the source's rows
    :param theirs: the target's
    :param since: the number of the source's transaction before which the target was its copy; None if it never was
    """
    # To go through it again is what a large table costs; and it is one table, with all that lies in it.
    noted = relation.kind == "table" and relation.pages >= _LARGE_PAGES and not relation.condition
    places = (Places(), Places()) if noted else (None, None)
    found = None if relation.is_far else _find_written(source, target, relation, since, *places)
    if found is not None and _exchanged(theirs, found) == ours:
        return Found(found, *places)
    # Of many that are looked at, few differ: where all of them lie is more to tell than it spares.
    return Found(find_differing(source, target, relation))


def _find_written(
    source: Session,
    target: Session,
    relation: Relation,
    since: int | None,
    at_source: Places | None,
    at_target: Places | None,
) -> list[Differing] | None:
    if since is None:
        condition = sql.SQL(_WRITTEN_LAST).format(relation.own_rows, _LAST + 1)
    else:
        condition = sql.SQL(_WRITTEN).format(str(since % 2**32))
    try:
        with source.transaction():
            here = list(itertools.islice(read_rows(source, relation, condition, places=at_source), _MOST + 1))
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.InternalError_):
        # An extension's way of storing rows need not note who wrote them (docs: Table Access Method Interface).
        return None
    if not here or len(here) > _MOST:
        return None
    keys = [key for key, _ in itertools.groupby(here, key=lambda row: row[0])]
    # Of a primary key there is one row on the target, but for keys whose hash is the same by chance.
    most = len(keys) if relation.key else None
    there = read_rows(target, relation, is_any(key_hash(relation), keys), most, at_target)
    return list(pair_rows(iter(here), there))


def _exchanged(theirs: Rows, found: t.Iterable[Differing]) -> Rows:
    """Return what the target's rows would be without those that the source lacks, and with those that it has."""
    count, hashes = theirs.count, int(theirs.checksum, 16)
    for rows in found:
        for some, sign in ((rows.missing, 1), (rows.extra, -1)):
            count += sign * some.total()
            hashes += sign * sum(row * times for row, times in some.items())
    return Rows(count, digest([hashes]))
