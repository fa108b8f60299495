# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums of columns, which people who know the business can check."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.writer import write_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.relations import list_relations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import Patterns
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.sums import read_sums
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.comparison import Verdict
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests.case import execute, new_case
from tests.migration import endpoint, prepare
from tests.servers import Servers

_SCRIPT: t.Final = """
    CREATE DOMAIN price AS numeric(9, 2);
    CREATE DOMAIN "odd price" AS price CHECK (VALUE > 0);
    CREATE TABLE a (
        small smallint, big bigint, amount numeric, real float4, double float8, "odd ""column" "odd price",
        day date, moment timestamptz, local timestamp, span interval, name text, cash money, class regclass,
        list int[]);
    INSERT INTO a VALUES
        (1, 9223372036854775807, 1.10, 0.1, 0.1, 2.5, '2020-02-29', '2020-01-01 00:00+02', 'infinity', '1 day',
         'canary', 7, 'pg_class', '{1}'),
        (2, 9223372036854775807, 2.2, 0.2, 'NaN', NULL, '1999-12-31 BC', NULL, '2000-01-01', NULL,
         'canary', NULL, NULL, NULL);
    CREATE TABLE empty (id int, day date);
    CREATE TABLE names (name text);
    CREATE TABLE tree (id int) PARTITION BY RANGE (id);
    CREATE TABLE leaf PARTITION OF tree DEFAULT;
    INSERT INTO tree VALUES (5), (6);
    CREATE MATERIALIZED VIEW view AS SELECT id FROM tree;
"""
_EXPECTED: t.Final = {
    ("a", "small"): ("3", "1", "2"),
    ("a", "big"): ("18446744073709551614", "9223372036854775807", "9223372036854775807"),
    ("a", "amount"): ("3.30", "1.10", "2.2"),
    ("a", "real"): ("0.3", "0.1", "0.2"),
    ("a", "double"): ("NaN", "0.1", "NaN"),
    ("a", 'odd "column'): ("2.50", "2.50", "2.50"),
    ("a", "day"): (None, "1999-12-31 BC", "2020-02-29"),
    ("a", "moment"): (None, "2019-12-31 22:00:00+00", "2019-12-31 22:00:00+00"),
    ("a", "local"): (None, "2000-01-01 00:00:00", "infinity"),
    ("empty", "id"): (None, None, None),
    ("empty", "day"): (None, None, None),
    ("leaf", "id"): ("11", "5", "6"),
}


def _told(verdict: Verdict, side: str) -> dict[tuple[str, str], tuple[str | None, ...] | None]:
    told: dict[tuple[str, str], tuple[str | None, ...] | None] = {}
    for pair in verdict.sums:
        one = getattr(pair, side)
        told[pair.table, pair.column] = (one.sum, one.least, one.greatest) if one else None
    return told


def test_sums(servers: Servers, tmp_path: Path) -> None:
    """Of numbers and dates, domains over them too, exactly, on both sides; they judge nothing."""
    with new_case(servers.source(), servers.target(), _SCRIPT) as case:
        case.arrives()
        migration = prepare(case.source, case.name, case.target, case.name, tmp_path)
        migration.preflight()
        assert migration.tools
        judge = Judge(migration.target, staging=False, tools=migration.tools, jobs=2, summed=True)
        verdict = judge.judge_by_source(migration.source)
        assert verdict.equal
        assert _told(verdict, "source") == _told(verdict, "target") == _EXPECTED
        assert all(pair.equal for pair in verdict.sums)

        # An archive tells them if it was asked, also those of selected tables.
        a, b, c = (
            write_archive(migration.source, migration.tools, tmp_path / name, 2, patterns=patterns, summed=summed)
            for name, summed, patterns in (
                ("a", True, Patterns()),
                ("b", True, Patterns(("l*",))),
                ("c", False, Patterns()),
            )
        )
        execute(case.target, case.name, "UPDATE a SET small = 7 WHERE small = 2")
        verdict = judge.judge_by_archive(a)
        assert _told(verdict, "source") == _EXPECTED
        assert _told(verdict, "target") == {**_EXPECTED, ("a", "small"): ("8", "1", "7")}
        assert [pair.column for pair in verdict.sums if not pair.equal] == ["small"]
        assert {difference.object for difference in verdict.differences} == {"table public.a"}
        verdict = dataclasses.replace(judge, patterns=Patterns(("leaf",))).judge_by_archive(b)
        assert _told(verdict, "source") == {("leaf", "id"): ("11", "5", "6")}
        verdict = judge.judge_by_archive(c)
        assert set(_told(verdict, "source").values()) == {None}
        assert dataclasses.replace(judge, summed=False).judge_by_source(migration.source).sums == ()


def test_more_columns_than_a_query_may_ask_of(servers: Servers, tmp_path: Path) -> None:
    """A table may have 1,600 columns, a query 1,664 expressions."""
    columns = ", ".join(f"c{number} int" for number in range(1600))
    server = servers.source()
    with (
        new_case(server, server, f"CREATE TABLE wide ({columns})") as case,
        exported_snapshot(endpoint("source", server, case.name)) as snapshot,
    ):
        sums = read_sums(snapshot, list_relations(snapshot.session), 1, "public")
    assert len(sums) == 1600
