# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No plan of the engine's queries goes through all objects for each of them: the servers tell what their plans did."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import typing as t
from pathlib import Path

from tests.case import new_case
from tests.migration import prepare, run
from tests.servers import PostgresServer, Servers

#: So many of each kind.
COUNT: t.Final = 120

SCRIPT: t.Final = """
do $$ begin for i in 1..{n} loop
    execute format('create schema s%s', i);
    execute format('create type s%1$s.color as enum (''red'', ''blue'')', i);
    execute format('create type s%1$s.pair as (a int, b s%1$s.color)', i);
    execute format('create domain s%1$s.number as int check (value > 0)', i);
    execute format('create function s%1$s.twice(int) returns int immutable language sql as ''select 2 * $1''', i);
    execute format('create table s%1$s.t (id serial primary key, a s%1$s.color unique, b s%1$s.pair,'
                   ' c s%1$s.number[] default ''{}'', d int references s%2$s.t,'
                   ' check (s%1$s.twice(d) <> id))', i, greatest(i - 1, 1));
    execute format('create index on s%1$s.t (s%1$s.twice(id))', i);
    execute format('create operator s%1$s.# (procedure = s%1$s.twice, rightarg = int)', i);
    execute format('create view s%1$s.v as select s%1$s.twice(id), operator(s%1$s.#) d as d, a from s%1$s.t', i);
    execute format('create materialized view s%1$s.m as select * from s%1$s.v', i);
    execute format('create policy p on s%1$s.t using (s%1$s.twice(id) > 0)', i);
    execute format('create statistics s%1$s.st on id, d from s%1$s.t', i);
    execute format('grant select (a) on s%1$s.t to public', i);
    execute format('insert into s%1$s.t (a) values (''red'')', i);
    perform lo_from_bytea(100000 + i, 'x');
end loop; end $$;
"""

_SETTINGS: t.Final = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    # It is the planner's choice for what is small, even in loops; what has no index is gone through nevertheless.
    "enable_seqscan": "off",
}
#: What tells a node from others.
_TOLD: t.Final = ("Node Type", "Relation Name", "CTE Name", "Alias", "Index Cond", "Join Filter", "Filter")


def test_no_plan_is_square(servers: Servers, tmp_path: Path) -> None:
    """Whatever the planner expects of catalogs that nobody has analyzed: a migration, and a look for more to do."""
    source, target = servers.source("15"), servers.target()
    with new_case(source, target, SCRIPT.replace("{n}", str(COUNT))) as case:
        migration = prepare(source, case.name, target, case.name, tmp_path / "archive")
        with explained(source) as on_source, explained(target) as on_target:
            outcome = run(migration)
            migration.preflight()
            steps = [*read_steps(on_source()), *read_steps(on_target())]
    assert outcome.status == "migrated", outcome
    assert len(steps) > 1000
    square = {step for step in steps if step.rows >= COUNT**2}
    assert not square, "\n".join(map(str, sorted(square, key=lambda step: -step.rows)))


@dataclasses.dataclass(frozen=True)
class Step:
    """A node of a plan, and how many rows it went through, all its loops together."""

    rows: float
    node: str


@contextlib.contextmanager
def explained(server: PostgresServer) -> t.Iterator[t.Callable[[], str]]:
    """Have the server log the plans of all its new sessions, and give what returns the log since then."""
    log = server.server.folder / "log"
    with server.connect() as connection:
        # Its settings are known to a session that has it.
        connection.execute("LOAD 'auto_explain'")
        try:
            for name, value in _SETTINGS.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            connection.execute("SELECT pg_reload_conf()")
            begin = log.stat().st_size
            yield lambda: log.read_bytes()[begin:].decode()
        finally:
            for name in _SETTINGS:
                connection.execute(f"ALTER SYSTEM RESET {name}")
            connection.execute("SELECT pg_reload_conf()")


def read_steps(log: str) -> t.Iterator[Step]:
    """Give what plans did again and again, or compared row by row."""
    for told in re.findall(r" plan:\n(.*(?:\n\t.*)*)", log):
        plan = json.loads(told)
        yield from _walk(plan["Plan"])


def _walk(node: dict[str, t.Any]) -> t.Iterator[Step]:
    loops = node["Actual Loops"]
    removed = sum(node.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Join Filter", "Index Recheck"))
    if loops > 1 or "Rows Removed by Join Filter" in node:
        told = ", ".join(str(node[what]) for what in _TOLD if what in node)
        yield Step((node["Actual Rows"] + removed) * loops, told)
    for below in node.get("Plans", ()):
        yield from _walk(below)
