# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables that refer to each other at random, with other rows on either side, are made equal by what differs.

A run costs the same for many tables as for one: each tries twenty. FUZZ_EXAMPLES says how many runs.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import oracle
from tests.case import execute, new_case
from tests.refilling import make_target
from tests.servers import Servers
from tests.syncing import counts, sync_target

#: With twenty tables each, these are two hundred.
_RUNS: t.Final = int(os.environ.get("FUZZ_EXAMPLES", 10))
_TABLES: t.Final = 20
_IDS: t.Final = st.sets(st.integers(1, 9), max_size=6).map(sorted)
#: Types of keys, and how an id is one on the source and on the target: equal, if not always the same.
_KEYS: t.Final = {
    "int": ("{}", "{}"),
    "bigint GENERATED ALWAYS AS IDENTITY": ("{}", "{}"),
    "text": ("'k{}'", "'k{}'"),
    "numeric": ("{}.0", "{}.00"),
    "uuid": ("lpad('{}', 32, '0')::uuid", "lpad('{}', 32, '0')::uuid"),
}


@dataclasses.dataclass(frozen=True)
class Rows:
    """A table's rows on one side: ids, the same in another order for a unique column, notes, and what they refer to."""

    ids: list[int]
    ranks: list[int]
    notes: list[int | None]
    choices: list[int | None]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table; ``parent`` is the one that it refers to, which may be itself."""

    key: str
    primary: bool
    parent: int | None
    action: str
    deferrable: bool
    source: Rows
    target: Rows


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    ids = draw(_IDS)
    some = st.lists(st.none() | st.integers(0, 8), min_size=len(ids), max_size=len(ids))
    return Rows(ids, draw(st.permutations(ids)), draw(some), draw(some))


@st.composite
def tables(draw: st.DrawFn) -> list[Table]:
    primary = [draw(st.booleans()) or draw(st.booleans()) for _ in range(_TABLES)]
    parents = st.none() | st.sampled_from([None, *(number for number in range(_TABLES) if primary[number])])
    return [
        Table(
            draw(st.sampled_from(sorted(_KEYS))),
            is_keyed,
            draw(parents),
            draw(st.sampled_from(["NO ACTION", "RESTRICT", "CASCADE", "SET NULL"])),
            draw(st.booleans()),
            draw(rows()),
            draw(rows()),
        )
        for is_keyed in primary
    ]


def schema(made: list[Table]) -> str:
    """Return what makes the tables, their keys and an index that keeps ranks apart; the keys come last."""
    script = []
    for number, table in enumerate(made):
        primary = " PRIMARY KEY" if table.primary else ""
        parent = _type(made[table.parent].key) if table.parent is not None else "int"
        script.append(
            f"CREATE TABLE t{number} (id {table.key}{primary}, rank int UNIQUE, note text, parent {parent},"
            " loud text GENERATED ALWAYS AS (upper(note)) STORED);"
        )
    return "\n".join(script)


def keys(made: list[Table]) -> str:
    script = []
    for number, table in enumerate(made):
        if table.parent is not None:
            deferrable = " DEFERRABLE INITIALLY DEFERRED" if table.deferrable and table.action != "RESTRICT" else ""
            script.append(
                f"ALTER TABLE t{number} ADD FOREIGN KEY (parent) REFERENCES t{table.parent} ON DELETE {table.action}"
                f" ON UPDATE {table.action}{deferrable};"
            )
    return "\n".join(script)


def fill(made: list[Table], side: t.Literal["source", "target"]) -> str:
    script = []
    for number, table in enumerate(made):
        own: Rows = getattr(table, side)
        for id_, rank, note, choice in zip(own.ids, own.ranks, own.notes, own.choices, strict=True):
            parent = "NULL"
            if table.parent is not None and choice is not None:
                there: Rows = getattr(made[table.parent], side)
                if there.ids:
                    parent = _value(made[table.parent].key, there.ids[choice % len(there.ids)], side)
            said = "NULL" if note is None else f"'n{note}'"
            key = _value(table.key, id_, side)
            script.append(
                f"INSERT INTO t{number} (id, rank, note, parent) OVERRIDING SYSTEM VALUE"
                f" VALUES ({key}, {rank}, {said}, {parent});"
            )
    return "\n".join(script)


def _type(key: str) -> str:
    return key.partition(" ")[0]


def _value(key: str, id_: int, side: str) -> str:
    return _KEYS[key][side == "target"].format(id_)


@settings(
    max_examples=_RUNS,
    derandomize=_RUNS <= 10,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(made=tables())
def test_random_tables(servers: Servers, made: list[Table]) -> None:
    script = schema(made)
    with new_case(servers.source(), servers.target(), script) as case:
        make_target(case, script)
        execute(case.source, case.name, fill(made, "source") + keys(made))
        execute(case.target, case.name, fill(made, "target") + keys(made))
        sync_target(case)
        oracle.assert_equal(case.source, case.name, case.target, case.name)
        assert not counts(sync_target(case))
