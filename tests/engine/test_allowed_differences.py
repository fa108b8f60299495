# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences that the user allows, each in one object and with a reason; and foreign keys with orphans above all."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.comparison import Verdict

from tests.case import Case, execute, new_case
from tests.migration import Migration, Outcome, endpoint, run
from tests.servers import Servers

KEY: t.Final = "fk constraint public.c k"
REASON: t.Final = "the parents were deleted in 2019"
ORPHANS: t.Final = """
    CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int CONSTRAINT k REFERENCES p);
    CREATE TABLE d (p int CONSTRAINT l REFERENCES p); CREATE TABLE t (id int PRIMARY KEY, v text);
    INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1); INSERT INTO d VALUES (1); INSERT INTO t VALUES (1, 'a');
    SET session_replication_role = replica; INSERT INTO c VALUES (2, 98), (3, 99), (4, 99)
"""


@pytest.fixture
def case(servers: Servers) -> t.Iterator[Case]:
    with new_case(servers.source(), servers.target(), ORPHANS) as new:
        yield new


@pytest.fixture
def allowing(case: Case, tmp_path: Path) -> t.Callable[..., Migration]:
    """Give a maker of migrations of the case, by the differences that are allowed."""
    source, target = endpoint("source", case.source, case.name), endpoint("target", case.target, case.name)
    return lambda **allowed: Migration(source, target, tmp_path / "archive", allowed=allowed["allowed"])


Allow = t.Callable[..., Migration]


def migrate(case: Case, allow: Allow, allowed: t.Mapping[str, str]) -> Outcome:
    """Migrate; the archive of an earlier run is out of the way."""
    migration = allow(allowed=allowed)
    migration.archive = migration.archive.with_name(migration.run_id)
    return run(migration)


def compare(allow: Allow, allowed: t.Mapping[str, str]) -> Verdict:
    migration = allow(allowed=allowed)
    migration.preflight()
    return migration.compare()


def told(verdict: Verdict) -> tuple[list[str], list[tuple[str, str]]]:
    differences = sorted({difference.object for difference in verdict.differences})
    return differences, sorted({(one.object, one.reason) for one in verdict.allowed})


def test_orphans_are_refused_before_anything_is_changed(case: Case, allowing: Allow) -> None:
    outcome = migrate(case, allowing, {})
    assert outcome.status == "refused"
    assert outcome.refusals == {("orphans", KEY)}
    (finding,) = [finding for finding in outcome.findings if finding.code == "orphans"]
    assert "3 rows refer to a row of public.p that is not there, " in str(finding)
    assert "allowed_differences" in str(finding)


def test_allowed_orphans_arrive_under_a_key_that_says_so(case: Case, allowing: Allow) -> None:
    allowed = {KEY: REASON}
    outcome = migrate(case, allowing, allowed)
    assert outcome.status == "migrated", outcome
    assert "orphans-allowed" in {finding.code for finding in outcome.findings}
    assert outcome.verdict
    assert told(outcome.verdict) == ([], [(KEY, REASON)])
    assert case.equal_answers("SELECT count(*) FROM c WHERE p > 1") == 3
    assert case.ask("SELECT array_agg(conname || convalidated ORDER BY 1) FROM pg_constraint WHERE contype = 'f'") == [
        "kfalse",
        "ltrue",
    ]
    # New rows are checked.
    assert case.ask("SELECT bool_and(tgenabled = 'O') FROM pg_trigger")
    assert migrate(case, allowing, allowed).status == "unchanged"
    # Without the reason it is a difference: no note says that there was none.
    assert told(compare(allowing, {})) == ([KEY], [])
    assert case.ask("SELECT current_setting('pgconvoy.unchanged', true) IS NULL")


@pytest.mark.parametrize(
    "other", ["fk constraint public.c", "fk constraint public.c K", "k", "fk constraint public.d l"]
)
def test_another_object_allows_nothing(case: Case, allowing: Allow, other: str) -> None:
    outcome = migrate(case, allowing, {other: REASON})
    assert (outcome.status, outcome.refusals) == ("refused", {("orphans", KEY)})


def test_only_what_is_named_may_differ(case: Case, allowing: Allow) -> None:
    assert migrate(case, allowing, {KEY: REASON}).status == "migrated"
    execute(case.target, case.name, "UPDATE t SET v = 'b'; DELETE FROM d; DROP TABLE c")
    verdict = compare(allowing, {KEY: REASON, "table public.t": "tried by hand"})
    differing, allowed = told(verdict)
    assert allowed == [(KEY, REASON), ("table public.t", "tried by hand")]
    assert differing == ["constraint public.c c_pkey", "table public.c", "table public.d"]
    (table,) = [table for table in verdict.tables if table.name == "t"]
    assert not table.equal


def test_missing_table(case: Case, allowing: Allow) -> None:
    """One that is allowed to be missing is no reason to migrate; any other one is, and then nothing more is asked."""
    assert migrate(case, allowing, {KEY: REASON}).status == "migrated"
    execute(case.target, case.name, "DROP TABLE d")
    allowed = {KEY: REASON, "table public.d": REASON, "fk constraint public.d l": REASON}
    assert migrate(case, allowing, allowed).status == "unchanged"
    _, verdict = allowing(allowed={KEY: REASON}).look_ahead()
    assert verdict
    assert told(verdict) == (["table public.d"], [])


def test_allowed_and_not_there(case: Case, allowing: Allow) -> None:
    """A reason for an object that does not differ, or does not exist, does no harm."""
    execute(case.source, case.name, "DELETE FROM c WHERE p > 1")
    outcome = migrate(case, allowing, {"table public.nowhere": REASON, "table public.t": REASON})
    assert outcome.status == "migrated", outcome
    assert outcome.verdict
    assert told(outcome.verdict) == ([], [])


#: The key of a partitioned table, and a row that breaks it.
TREE: t.Final = """
    CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1);
    CREATE TABLE c (id int, p int) PARTITION BY RANGE (id);
    CREATE TABLE c1 PARTITION OF c FOR VALUES FROM (0) TO (100);
    ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p; INSERT INTO c VALUES (1, 1);
    SET session_replication_role = replica; INSERT INTO c VALUES (2, 99)
"""


def test_orphans_under_the_key_of_a_partitioned_table(servers: Servers, tmp_path: Path) -> None:
    """No server before 18 takes it as NOT VALID: said before anything is read. Without orphans it is validated."""
    with new_case(servers.source("15"), servers.target("15"), TREE) as case:
        source, target = endpoint("source", case.source, case.name), endpoint("target", case.target, case.name)
        outcome = run(Migration(source, target, tmp_path / "one", allowed={KEY: REASON}))
        assert outcome.refusals == {("key-partitioned", KEY)}
        assert "orphans-allowed" not in {finding.code for finding in outcome.findings}
        outcome = run(Migration(source, target, tmp_path / "two"))
        (finding,) = [finding for finding in outcome.findings if finding.code == "orphans"]
        assert "allowed_differences" not in finding.remedy
        case.run("DELETE FROM c WHERE p = 99")
        outcome = run(Migration(source, target, tmp_path / "three", allowed={KEY: REASON}))
        assert outcome.status == "migrated", outcome.findings
        assert case.ask("SELECT bool_and(convalidated) FROM pg_constraint WHERE contype = 'f'")


def test_newer_servers_take_the_key_of_a_partitioned_table(servers: Servers, tmp_path: Path) -> None:
    with new_case(servers.source("15"), servers.target(), TREE) as case:
        source, target = endpoint("source", case.source, case.name), endpoint("target", case.target, case.name)
        assert run(Migration(source, target, tmp_path / "archive", allowed={KEY: REASON})).status == "migrated"
        assert case.ask("SELECT string_agg(convalidated::text, ',') FROM pg_constraint WHERE conrelid = 'c'::regclass")
        assert case.ask("SELECT count(*) FROM c") == 2
