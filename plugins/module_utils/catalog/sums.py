# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums, least and greatest of columns: what a person who knows the business can check, as no checksum can be."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

import psycopg
from psycopg import sql

from ..errors import MigrationError, describe
from ..schedule.progress import Step
from ..schedule.threads import run_parallel
from ..server.batches import split
from ..server.endpoint import Session, break_off, use_search_path
from ..server.shared_memory import read
from .checksums import HashedColumn
from .relations import Relation
from .snapshot import Snapshot

_NUMBERS: t.Final = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8"})
_DATES: t.Final = frozenset({"date", "timestamp", "timestamptz"})
#: Columns that one query is about: it has three expressions for each, and may have 1,664 (docs: Appendix K).
_TOGETHER: t.Final = 500


@dataclasses.dataclass(frozen=True)
class ColumnSum:
    """A column's sum, least and greatest value as the server prints them; None without values. Dates have no sum."""

    schema: str
    table: str
    column: str
    sum: str | None
    least: str | None
    greatest: str | None


def read_sums(
    snapshot: Snapshot, relations: t.Iterable[Relation], jobs: int, search_path: str
) -> tuple[ColumnSum, ...]:
    """Return the sums of all columns of tables that are numbers or dates, by name; each table is read once more.

    :raises MigrationError: when a table cannot be read, with the server's message
    """
    summed = [relation for relation in relations if relation.kind == "table" and any(map(_type, relation.hashed))]
    sums: list[ColumnSum] = []

    @contextlib.contextmanager
    def open_summer() -> t.Iterator[_Summer]:
        with snapshot.another_session() as session:
            use_search_path(session, search_path)
            yield _Summer(session, sums)

    largest_first = sorted(summed, key=lambda relation: -relation.size)
    run_parallel(largest_first, jobs, open_summer, "sum up columns", lambda r: Step(str(r), r.size))
    return tuple(sorted(sums, key=lambda one: (one.schema, one.table, one.column)))


@dataclasses.dataclass(frozen=True)
class _Summer:
    session: Session
    sums: list[ColumnSum]

    def run(self, relation: Relation) -> None:
        columns = [column for column in relation.hashed if _type(column)]
        for some in split(columns, _TOGETHER):
            query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(map(_expressions, some)), relation.own_rows)
            try:
                (row,) = read(self.session, query)
            except psycopg.errors.LockNotAvailable:
                # The snapshot tells who stands in the way.
                raise
            except psycopg.Error as error:
                raise MigrationError(
                    f"Cannot sum up the columns of table {relation}: {describe(error, over_rows=True)}"
                ) from None
            self.sums.extend(
                ColumnSum(relation.schema, relation.name, column.name, *row[place : place + 3])
                for place, column in zip(range(0, len(row), 3), some, strict=True)
            )

    def cancel(self) -> None:
        break_off(self.session)


def _type(column: HashedColumn) -> str:
    """Return the name of a column's type, that of a domain's base type, if it is a number or a date, else nothing."""
    schema, name = column.base or tuple(column.type.split(".", 1))
    return name if schema == "pg_catalog" and name in _NUMBERS | _DATES else ""


def _expressions(column: HashedColumn) -> sql.Composed:
    """Return the sum, the least and the greatest value.

    A sum of floating-point numbers depends on the order of the rows, one of numerics does not.
    """
    type_ = _type(column)
    value = sql.SQL("CAST({} AS {})").format(sql.Identifier(column.name), sql.Identifier("pg_catalog", type_))
    total = sql.SQL("pg_catalog.sum(CAST({} AS pg_catalog.numeric))").format(value) if type_ in _NUMBERS else sql.NULL
    return sql.SQL(
        "CAST({} AS pg_catalog.text), CAST(pg_catalog.min({value}) AS pg_catalog.text), "
        "CAST(pg_catalog.max({value}) AS pg_catalog.text)"
    ).format(total, value=value)
