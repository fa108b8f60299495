# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a relation's rows are what they must be: those of the source or, of a materialized view, made anew."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.content import Measured, Rows
from ..catalog.selection import Name
from .findings import Difference, Finding

#: What was compared of a relation: its ``rows`` with the source's; with what its own ``query`` yields on the target,
#: where the source's does not tell; what its rows were ``given``, of which its server computes the rest; their
#: ``count`` alone; those of the ``tree`` that it is part of; or ``nothing``.
Compared = t.Literal["rows", "query", "given", "count", "tree", "nothing"]


@dataclasses.dataclass(frozen=True)
class TableVerdict:
    """One relation on both sides; rows and checksum are None where it is missing, has no data or other columns.

    Of an equal one they are also None as far as they say nothing, since something else was ``compared``.
    """

    schema: str
    name: str
    kind: str
    source_rows: int | None
    target_rows: int | None
    source_checksum: str | None
    target_checksum: str | None
    equal: bool
    compared: Compared = "rows"


class _Judgement(t.NamedTuple):
    """What is wrong with a relation, or nothing; and what was compared to learn it."""

    message: str
    compared: Compared = "rows"


def compare_relations(
    source: t.Iterable[Measured], target: t.Iterable[Measured], computed: t.Collection[Name] = ()
) -> tuple[list[TableVerdict], list[Difference], list[Finding]]:
    """Return a verdict on each relation, the differences, and what is good to know of what servers compute.

    :param computed: the target's tables whose generated columns hold what its server makes of their rows
    """
    ours, theirs = _by_name(source), _by_name(target)
    doubtful = _doubtful(ours)
    tables, differences, notices = [], [], []
    for name in sorted(ours.keys() | theirs.keys()):
        expected, found = ours.get(name), theirs.get(name)
        kind = (expected or theirs[name]).relation.kind
        judgement = _judge(expected, found, doubtful, computed)
        if judgement.message:
            differences.append(Difference(f"{kind} {'.'.join(name)}", judgement.message))
        elif expected:
            notices += _tell(expected, judgement.compared, elsewhere=name not in doubtful)
        tables.append(_enter(name, kind, expected, found, judgement))
    return tables, differences, notices


def find_recomputed(source: t.Iterable[Measured], target: t.Iterable[Measured]) -> frozenset[Name]:
    """Return the target's tables that differ in their generated columns alone, as a whole or within a tree.

    Text search has other dictionaries in another version, and locales another order: what a column holds must be what
    its own server makes of the row, as it looks for it by the same.
    """
    ours, theirs = _by_name(source), _by_name(target)
    differing = [found for name, found in theirs.items() if name in ours and _is_recomputed(ours[name], found)]
    return frozenset(name for found in differing for name in found.relation.stored_in)


def _is_recomputed(expected: Measured, found: Measured) -> bool:
    ours, theirs = expected.rows, found.rows
    return bool(
        ours and theirs and ours != theirs and ours.count == theirs.count and ours.given == theirs.given and ours.given
    )


def find_undecided(
    source: t.Iterable[Measured], target: t.Iterable[Measured], computed: t.Collection[Name] = ()
) -> frozenset[Name]:
    """Return the materialized views of the target that must be compared with what their own queries yield there.

    These are the doubtful ones and, where every table is equal, those that differ all the same: what a query yields may
    depend on the order of rows, on the plan, and on what a server says of itself.
    """
    ours, theirs = _by_name(source), _by_name(target)
    doubtful = _doubtful(ours)
    differing = {
        name for name in ours.keys() | theirs.keys() if _judge(ours.get(name), theirs.get(name), (), computed).message
    }
    views = {name for name, found in theirs.items() if found.relation.kind == "materialized view" and found.rows}
    return frozenset(views & (doubtful if differing - views else doubtful | differing))


def _by_name(relations: t.Iterable[Measured]) -> dict[Name, Measured]:
    return {measured.relation.full_name: measured for measured in relations}


def _doubtful(source: t.Mapping[Name, Measured]) -> set[Name]:
    """Return the views of which the source does not tell what a copy must hold.

    No reader could evaluate them; they ask for the time; or they read one, directly or not, that does not hold there
    what it will elsewhere.
    """
    doubtful = {name for name, view in source.items() if view.untold or view.timed}
    unlike = doubtful | {name for name, view in source.items() if view.stale}
    while True:
        reached = {name for name, view in source.items() if unlike & {*view.read, *view.relation.reads}}
        if reached <= doubtful:
            return doubtful
        doubtful |= reached
        unlike |= reached


#: Checksums are of the columns by name and type: over others, two of them cannot be compared.
_OTHER_COLUMNS: t.Final = "its columns are not the same on both sides"


def _judge(
    expected: Measured | None, found: Measured | None, doubtful: t.Container[Name], computed: t.Container[Name]
) -> _Judgement:
    if found is None:
        return _Judgement("missing on the target")
    if expected is None:
        return _Judgement("only on the target")
    if expected.relation.kind != found.relation.kind:
        return _Judgement(f"a {expected.relation.kind} on the source, a {found.relation.kind} on the target")
    if [(c.name, c.type) for c in expected.relation.hashed] != [(c.name, c.type) for c in found.relation.hashed]:
        return _Judgement(_OTHER_COLUMNS)
    if expected.relation.load_through:
        # A row may lie in another partition of the same tree there; the tree as a whole is compared.
        return _Judgement("", "rows" if found.rows == expected.rows else "tree")
    wanted = expected.fresh or expected.rows
    if found.rows is None or wanted is None:
        return _Judgement(
            ""
            if found.rows == wanted
            else f"{_populated(wanted)} on the source, {_populated(found.rows)} on the target"
        )
    if expected.relation.full_name in doubtful:
        return _judge_by_query(expected, found, wanted, found.rows)
    if found.rows == wanted:
        return _Judgement("")
    if _is_recomputed(expected, found) and all(name in computed for name in found.relation.stored_in):
        return _Judgement("", "given")
    if expected.volatile:
        return _judge_count(wanted, expected.again, found.rows)
    if found.fresh == found.rows:
        return _Judgement("", "query")
    if found.fresh and found.volatile:
        return _judge_count(found.fresh, found.again, found.rows)
    if found.rows.count != wanted.count:
        return _Judgement(f"{wanted.count:,} rows on the source, {found.rows.count:,} on the target")
    return _Judgement(f"{wanted.count:,} rows on both sides, but not the same ones")


def _judge_by_query(expected: Measured, found: Measured, wanted: Rows, held: Rows) -> _Judgement:
    """A view that reads one that is stale on the source, directly or not, cannot be what it is there."""
    if found.fresh is None:
        # The target's reader may not run the query either.
        if held == wanted:
            return _Judgement("")
        if expected.fresh is None:
            # Nobody can tell whether it was stale on the source.
            return _Judgement("", "count" if held.count == wanted.count else "nothing")
        return _judge_count(wanted, expected.again, held)
    if held == found.fresh:
        return _Judgement("", "rows" if held == expected.fresh else "query")
    if expected.timed and held == expected.fresh:
        return _Judgement("")
    if found.volatile:
        return _judge_count(found.fresh, found.again, held)
    if expected.timed:
        # Since it was refreshed the time has gone by, its database has got another name, or objects have been added.
        return _Judgement("", "count" if held.count == found.fresh.count else "nothing")
    return _Judgement("it does not hold what its query yields on the target", "query")


def _judge_count(wanted: Rows, again: Rows | None, held: Rows) -> _Judgement:
    """Of what is never the same twice there may be the same number, unless that changes, too."""
    if again and again.count != wanted.count:
        return _Judgement("", "nothing")
    if held.count != wanted.count:
        return _Judgement(f"{wanted.count:,} rows expected, {held.count:,} on the target", "count")
    return _Judgement("", "count")


def _populated(rows: Rows | None) -> str:
    return "without data" if rows is None else f"{rows.count:,} rows"


def _enter(
    name: Name, kind: str, expected: Measured | None, found: Measured | None, judgement: _Judgement
) -> TableVerdict:
    """Return the entry of a relation; nothing stands beside "equal" that is not, or was not compared."""
    wanted, there = expected and (expected.fresh or expected.rows), found and found.rows
    equal = not judgement.message
    hashed = judgement.message != _OTHER_COLUMNS and (judgement.compared == "rows" or not equal)
    counted = not equal or not wanted or not there or wanted.count == there.count
    return TableVerdict(
        *name,
        kind,
        source_rows=wanted.count if wanted and counted else None,
        target_rows=there.count if there else None,
        source_checksum=wanted.checksum if wanted and hashed else None,
        target_checksum=there.checksum if there and hashed else None,
        equal=equal,
        compared=judgement.compared,
    )


def _tell(expected: Measured, compared: Compared, *, elsewhere: bool) -> list[Finding]:
    if compared == "given":
        columns = ", ".join(expected.relation.generated)
        message = (
            f"of the same rows, the target's server makes something else than the source holds in what is generated "
            f"({columns}), as text search or a locale of another version does; they hold what it makes of them there."
        )
        return [Finding("notice", "generated-elsewhere", f"{expected.relation.kind} {expected.relation}", message)]
    name = f"materialized view {expected.relation}"
    if compared in ("count", "nothing"):
        what = "the number of its rows" if compared == "count" else "nothing of it, not even the number of its rows,"
        why = "its query yields something else each time"
        if expected.untold or expected.timed:
            moved = (
                "its query asks for the time, for the database's name or for what catalogs hold, "
                "which were others when it was refreshed"
            )
            why = "no reader may run its query" if expected.untold else moved
        return [Finding("notice", "matview-volatile", name, f"{why}: {what} was compared.")]
    if compared == "query" and elsewhere:
        message = (
            "over the same rows, its query yields something else on the target than on the source, as what depends on "
            "their order, on the plan or on the server's own names and numbers does; it holds what it yields there."
        )
        return [Finding("notice", "matview-elsewhere", name, message)]
    if expected.stale:
        message = "it was stale on the source; the copy holds what its query yields on the copied rows."
        return [Finding("notice", "matview-stale", name, message)]
    return []
