# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own questions: what they must answer, on the target or on both sides, and that a failure is no answer."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.writer import write_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.queries import Query, ask
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge

from tests import corpus
from tests.case import Case, execute, new_case
from tests.migration import Migration, endpoint, prepare
from tests.playbooks import ROOT
from tests.servers import Servers

SCRIPT: t.Final = """
    CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, E'x\\ty\\n');
    CREATE FUNCTION visible() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM t); END'
"""


@pytest.fixture
def case(servers: Servers) -> t.Iterator[Case]:
    """Give an equal copy."""
    with new_case(servers.source(), servers.target(), SCRIPT) as new:
        assert new.migrate().status == "migrated"
        yield new


def told(case: Case, *queries: Query) -> list[str]:
    """Return the live verdict's differences."""
    migration = prepared(case)
    assert migration.tools
    judge = Judge(migration.target, staging=False, tools=migration.tools, jobs=2, queries=queries)
    return [str(difference) for difference in judge.judge_by_source(migration.source).differences]


def prepared(case: Case) -> Migration:
    migration = prepare(case.source, case.name, case.target, case.name, Path("unused"))
    migration.preflight()
    return migration


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("SELECT count(*) FROM t", "3"),
        ("  SELECT 1;\n", "1"),
        ("TABLE t ORDER BY id", "1\ta\n2\t\\N\n3\tx\\ty\\n"),
        ("SELECT FROM t WHERE false", ""),
        ("VALUES (true, 1.50, '2020-01-31'::date, '1 mon'::interval)", "t\t1.50\t2020-01-31\t1 mon"),
        ("WITH w AS (SELECT 'é' AS v) SELECT v FROM w", "é"),
        # Through functions, as the database's clients see it.
        ("SELECT visible()", "3"),
    ],
)
def test_answers(case: Case, query: str, answer: str) -> None:
    with exported_snapshot(endpoint("source", case.source, case.name)) as snapshot:
        assert ask(snapshot, [Query("q", query, "same")], '"$user", public') == {"q": answer}


def test_expected_value(case: Case) -> None:
    assert told(case, Query("rows", "SELECT count(*) FROM t", "3")) == []
    assert told(case, Query("rows", "SELECT count(*) FROM t", "4")) == ["query rows: '4' expected, '3' on the target"]
    # The source has no say in it.
    execute(case.source, case.name, "DELETE FROM t")
    assert "query rows" not in str(told(case, Query("rows", "SELECT count(*) FROM t", "3")))


def test_same_on_both_sides(case: Case) -> None:
    query = Query("biggest", "SELECT max(id) FROM t", "same")
    assert told(case, query) == []
    execute(case.target, case.name, "UPDATE t SET id = 30 WHERE id = 3")
    assert "query biggest: '3' expected, '30' on the target" in told(case, query)


def test_each_query_on_its_own(case: Case) -> None:
    queries = [Query(str(number), f"SELECT {number}", "2") for number in range(1, 4)]
    assert told(case, *queries) == [
        "query 1: '2' expected, '1' on the target",
        "query 3: '2' expected, '3' on the target",
    ]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT count(*) FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELECT 1 / 0", "division by zero"),
        ("", "syntax error"),
        ("DELETE FROM t RETURNING id", "read-only transaction"),
    ],
)
def test_a_query_that_fails_is_no_answer(case: Case, query: str, reason: str) -> None:
    with pytest.raises(MigrationError) as caught:
        told(case, Query("bad one", query, "same"))
    assert 'The query "bad one" of verify_queries failed on the source database' in str(caught.value)
    assert reason in str(caught.value)
    assert case.equal_answers("SELECT count(*) FROM t") == 3


def test_a_query_that_fails_on_the_target_alone(case: Case) -> None:
    execute(case.target, case.name, "ALTER TABLE t RENAME TO u")
    with pytest.raises(MigrationError, match='"rows" of verify_queries failed on the target database'):
        told(case, Query("rows", "SELECT count(*) FROM t", "same"))


def test_answers_in_an_archive(case: Case, tmp_path: Path) -> None:
    """The archive keeps the answers of its instant; a query that it was not asked has none."""
    migration = prepared(case)
    assert migration.tools
    asked, other = Query("rows", "SELECT count(*) FROM t", "same"), Query("other", "SELECT 1", "same")
    archive = write_archive(migration.source, migration.tools, tmp_path / "archive", 2, [asked])
    execute(case.source, case.name, "DELETE FROM t")
    judge = Judge(migration.target, staging=False, tools=migration.tools, jobs=2, queries=(asked,))
    assert judge.judge_by_archive(archive).equal
    differences = dataclasses.replace(judge, queries=(asked, other)).judge_by_archive(archive).differences
    assert [difference.object for difference in differences] == ["query other"]
    assert "the archive holds no answer" in differences[0].message


def test_questions_of_the_default_inventory(servers: Servers) -> None:
    """They can be asked of the incident's database, and tell when its rows are not what they should be."""
    inventory = yaml.safe_load((ROOT / "group_vars/all/main.yml").read_text(encoding="utf-8"))
    queries = [Query(q["name"], q["sql"], str(q["expect"])) for q in inventory["verify_queries"]]
    server = servers.source()
    name = corpus.shared(server, "sigmasight_gen")
    with exported_snapshot(endpoint("source", server, name)) as snapshot:
        answers = ask(snapshot, queries, '"$user", public')
    positions, *others = (answers[query.name] for query in queries)
    assert sum(int(line.rsplit("\t", 1)[1]) for line in positions.splitlines()) == 76
    assert others == [query.expect for query in queries[1:]] == ["0", "0"]
    with server.connect(name) as connection, connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("DELETE FROM positions WHERE id = (SELECT min(id::text)::uuid FROM positions)")
        connection.execute(
            "UPDATE positions SET portfolio_id = gen_random_uuid() WHERE id = (SELECT id FROM positions LIMIT 1)"
        )
        broken = [connection.execute(query.sql.encode()).fetchall() for query in queries]
    assert sum(row[2] for row in broken[0]) == 74
    assert broken[1][0][0] > 0
    assert broken[2] == [(1,)]
