# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true of a foreign key's rows, whatever the server says of it."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, describe
from ..schedule.progress import Step, doing
from ..schedule.threads import run_parallel
from ..server.batches import ask_all, split
from ..server.endpoint import Session, break_off
from ..server.shared_memory import read
from .foreign_keys import ForeignKey, Joined, list_joined
from .graph import find_ways_back
from .relations import Relation
from .snapshot import Snapshot
from .transaction import Transaction

#: How many orphans are named.
_EXAMPLES: t.Final = 5


@dataclasses.dataclass(frozen=True)
class Census:
    """What an anti-join tells of a foreign key.

    ``orphans`` are rows without the row that they refer to, ``examples`` some of them by their primary key or, in a
    table without one, by a part of their hash; ``null_rows`` refer to nothing. ``cycle`` are the tables by which the
    key leads back to its own, which is the last; empty if none do. A way over more than 20 tables is told by its ends,
    with ``...`` between them.
    """

    key: ForeignKey
    orphans: int
    examples: tuple[str, ...]
    null_rows: int
    cycle: tuple[str, ...]
    #: whether its table is partitioned
    partitioned: bool = False


def take_census(
    snapshot: Snapshot,
    jobs: int,
    search_path: str,
    only: t.Container[tuple[str, str]] | None = None,
    keys: t.Sequence[Joined] | None = None,
    relations: t.Iterable[Relation] = (),
) -> list[Census]:
    """Return what is true of every foreign key's rows, ``jobs`` keys at a time.

    :param search_path: the one that serves the database
    :param only: the tables, by schema and name, whose keys are looked at; all if None
    :param keys: the keys, where they are known
    :param relations: what there is, where that is known: of the keys of small tables it is asked together
    :raises MigrationError: when a table cannot be read, with the server's message
    """
    keys = list_joined(snapshot.session) if keys is None else keys
    edges: dict[str, set[str]] = {joined.key.references: set() for joined in keys}
    for joined in keys:
        edges.setdefault(joined.key.table, set()).add(joined.key.references)
    cycles = {key: way or (key[1], "...", key[0]) for key, way in find_ways_back(edges).items()}
    if not keys:
        return []
    asked = [joined for joined in keys if only is None or joined.link.referring in only]
    counted: dict[ForeignKey, Census] = {}
    if isinstance(snapshot, Transaction):
        # There is one session alone.
        with doing(_step(asked)):
            found = _ask_together(snapshot.session, asked, cycles, search_path)
        if found:
            return found

    @contextlib.contextmanager
    def open_counter() -> t.Iterator[_Counter]:
        with snapshot.another_session(search_path) as session:
            yield _Counter(session, cycles, counted)

    small = {table.full_name for table in relations if table.kind == "table" and table.size <= _SMALL}
    run_parallel(_group(asked, small), jobs, open_counter, "look for orphans", _step)
    return [counted[joined.key] for joined in asked]


#: How many keys are asked of with one message: until its end, their tables and the indexes of these are locked. And how
#: large a table may be for that (1 MiB).
_AT_ONCE: t.Final = 50
_SMALL: t.Final = 1 << 20


def _group(keys: t.Iterable[Joined], small: set[tuple[str, str]]) -> list[t.Sequence[Joined]]:
    """Return the keys, those between small tables many at a time; the others, which may take longer, come first."""
    alone, together = list[Joined](), list[Joined]()
    for joined in keys:
        (together if {joined.link.referring, joined.link.referenced} <= small else alone).append(joined)
    return [*([joined] for joined in alone), *split(together, _AT_ONCE)]


def _step(keys: t.Sequence[Joined]) -> Step:
    return Step(str(keys[0].key) if len(keys) == 1 else f"{len(keys)} foreign keys")


#: For a table and one that it refers to, the way back.
_Cycles = t.Mapping[tuple[str, str], tuple[str, ...]]


def _ask_together(
    session: Session, keys: t.Sequence[Joined], cycles: _Cycles, search_path: str | None = None
) -> list[Census]:
    """Ask of keys with one message; nothing comes of it if any has orphans.

    Nor if one cannot be checked: which, each must tell by itself.

    :param search_path: under which it is asked, if not under the session's own
    """
    try:
        numbers = ask_all(session, *map(_numbers, keys), search_path=search_path)
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.errors.QueryCanceled as error:
        raise MigrationError(f"Cannot check {_step(keys).title}: {describe(error)}") from None
    except psycopg.Error:
        return []
    if any(orphans for ((orphans, _),) in numbers):
        return []
    return [_tell(joined, 0, (), nulls, cycles) for joined, ((_, nulls),) in zip(keys, numbers, strict=True)]


def _tell(joined: Joined, orphans: int, examples: tuple[str, ...], null_rows: int, cycles: _Cycles) -> Census:
    key = joined.key
    cycle = cycles.get((key.table, key.references), ())
    return Census(key, orphans, examples, null_rows, cycle, joined.referring.has_children)


@dataclasses.dataclass(frozen=True)
class _Counter:
    session: Session
    cycles: _Cycles
    counted: dict[ForeignKey, Census]

    def run(self, keys: t.Sequence[Joined]) -> None:
        together = _ask_together(self.session, keys, self.cycles) if len(keys) > 1 else []
        for census in together or map(self._count, keys):
            self.counted[census.key] = census

    def _count(self, joined: Joined) -> Census:
        key = joined.key
        try:
            ((orphans, null_rows),) = read(self.session, _numbers(joined))
            examples = tuple(row for (row,) in read(self.session, _examples(joined))) if orphans else ()
        except psycopg.errors.LockNotAvailable:
            raise
        except psycopg.Error as error:
            raise MigrationError(f"Cannot check {key}: {describe(error, over_rows=True)}") from None
        return _tell(joined, orphans, examples, null_rows, self.cycles)

    def cancel(self) -> None:
        break_off(self.session)


def _numbers(joined: Joined) -> sql.Composed:
    """Return the query for the number of orphans, and of rows that refer to nothing."""
    # Two queries: FILTER would keep the anti-join from being planned as one.
    return sql.SQL("SELECT (SELECT count(*) FROM {0} WHERE {1}), (SELECT count(*) FROM {0} WHERE {2})").format(
        joined.referring.as_source("c"), _is_orphan(joined), _is_null(joined)
    )


def _is_orphan(joined: Joined) -> sql.Composed:
    """A row that refers to something that is not there; under MATCH FULL also one that is half NULL."""
    values = [sql.Identifier("c", column) for column in joined.referring.columns]
    whole = sql.SQL("{} AND NOT ({})").format(_all_null(joined, "IS NOT NULL"), joined.found(values))
    if not joined.match_full or len(joined.operators) == 1:
        return whole
    return sql.SQL("({} OR NOT ({} OR {}))").format(
        whole, _all_null(joined, "IS NULL"), _all_null(joined, "IS NOT NULL")
    )


def _is_null(joined: Joined) -> sql.Composed:
    """A row that refers to nothing."""
    if joined.match_full:
        return _all_null(joined, "IS NULL")
    return sql.SQL("NOT ({})").format(_all_null(joined, "IS NOT NULL"))


def _all_null(joined: Joined, test: t.Literal["IS NULL", "IS NOT NULL"]) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} {}").format(sql.Identifier("c", column), sql.SQL(test)) for column in joined.referring.columns
    )


def _examples(joined: Joined) -> sql.Composed:
    return sql.SQL("SELECT DISTINCT {} FROM {} WHERE {} ORDER BY 1 LIMIT {}").format(
        joined.row_name, joined.referring.as_source("c"), _is_orphan(joined), _EXAMPLES
    )
