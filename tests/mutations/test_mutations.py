# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict cannot be fooled: each kind of single change to an equal copy is found and named, and nothing else is."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.database import split_setting
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.identity import read_identity
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.properties import set_statement
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.comparison import Verdict
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.schema import SchemaJudge
from psycopg import sql

from tests import corpus
from tests.case import execute
from tests.engine.test_corpus import create_roles
from tests.migration import Migration, prepare, run
from tests.mutations import incident, torture
from tests.mutations.catalogue import Batch, Mutation, batches
from tests.servers import PostgresServer, Servers

_SAMPLE: t.Final = Path(__file__).resolve().parents[2] / "roles" / "lab" / "files" / "sigmasight.sql"


@dataclasses.dataclass
class Copy:
    """A database on the source, and its copy on the target, of the same name."""

    source: PostgresServer
    target: PostgresServer
    name: str
    migration: Migration
    #: statements that take back what a database does to itself as it is changed
    tidy: str = ""
    verdicts: dict[Batch, Verdict] = dataclasses.field(default_factory=dict)

    def judge(self, dbname: str) -> Verdict:
        """Judge a database of the target, which bears the note that the copy was equal."""
        assert self.migration.tools
        judge = Judge(
            self.migration.target.at(dbname), staging=False, tools=self.migration.tools, jobs=2, trusts_note=True
        )
        return judge.judge_by_source(self.migration.source)

    def verdict_on(self, batch: Batch) -> Verdict:
        """Judge a duplicate of the copy in which the mutations have been made; once a batch."""
        if batch not in self.verdicts:
            with self.duplicate() as dbname:
                with self.target.connect(dbname) as connection:
                    # Neither triggers nor keys are in the way, and values are written as the server's default is.
                    connection.execute("SET session_replication_role = replica; SET DateStyle = 'ISO, MDY'")
                    for mutation in batch.mutations:
                        connection.execute(mutation.statements.encode())
                    connection.execute(self.tidy.encode())
                self.verdicts[batch] = self.judge(dbname)
        return self.verdicts[batch]

    @contextlib.contextmanager
    def duplicate(self) -> t.Iterator[str]:
        """Give a database that is the copy in everything; whatever is done to it is gone with it."""
        dbname = f"{self.name}_mutated"
        self.target.create_database(dbname, template=self.name)
        try:
            self._carry_over(sql.Identifier(dbname))
            yield dbname
        finally:
            self.target.drop_database(dbname)

    def _carry_over(self, duplicate: sql.Identifier) -> None:
        """Give it the settings and the comment, which belong to the server."""
        with self.target.connect() as connection:
            row = connection.execute(
                "SELECT (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0),"
                " shobj_description(oid, 'pg_database') FROM pg_database d WHERE datname = %s",
                (self.name,),
            ).fetchone()
            assert row is not None
            for name, value in map(split_setting, row[0] or ()):
                connection.execute(set_statement(duplicate, None, name, value))
            connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(duplicate, row[1]))


@contextlib.contextmanager
def equal_copy(
    source: PostgresServer, target: PostgresServer, name: str, folder: Path, tidy: str = ""
) -> t.Iterator[Copy]:
    """Migrate a database of the source, and give both; they go with the block."""
    copy = Copy(source, target, name, prepare(source, name, target, name, folder / "archive"), tidy)
    try:
        outcome = run(copy.migration)
        assert outcome.status == "migrated", outcome
        yield copy
    finally:
        # A database with a subscription cannot be dropped; one without a slot can just be left.
        execute(source, name, "DROP SUBSCRIPTION IF EXISTS sub_idle")
        for server in (source, target):
            server.drop_database(name)


@pytest.fixture(scope="module")
def torture_copy(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Copy]:
    """Give the corpus' database that holds everything."""
    source, target = servers.source("15"), servers.target("15")
    corpus.load(source, "torture", "mutations_torture")
    execute(source, "mutations_torture", torture.ADDITIONS)
    create_roles(source, target)
    with equal_copy(source, target, "mutations_torture", tmp_path_factory.mktemp("torture"), torture.TIDY) as copy:
        yield copy


@pytest.fixture(scope="module")
def incident_copy(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Copy]:
    """Give the incident's database, which needs nothing but what the wheels bring."""
    source, target = servers.source(), servers.target()
    source.create_database("mutations_incident", template="template0")
    source.run_sql_file(_SAMPLE, "mutations_incident")
    execute(source, "mutations_incident", incident.ADDITIONS)
    with equal_copy(source, target, "mutations_incident", tmp_path_factory.mktemp("incident")) as copy:
        yield copy


@dataclasses.dataclass(frozen=True)
class Trial:
    """A mutation in the batch in which it is tried; one that is tried alone may draw other objects along."""

    fixture: str
    batch: Batch
    mutation: Mutation


ALONE: t.Final = tuple(("torture_copy", Batch((mutation,))) for mutation in torture.ALONE)
BATCHES: t.Final = (
    *(("torture_copy", batch) for batch in batches([*torture.OBJECTS, *torture.VALUES])),
    *(("incident_copy", batch) for batch in batches(incident.MUTATIONS)),
)


def _trials() -> list[t.Any]:
    return [
        pytest.param(Trial(fixture, batch, mutation), id=f"{fixture.removesuffix('_copy')}: {mutation}")
        for fixture, batch in (*BATCHES, *ALONE)
        for mutation in batch.mutations
    ]


def _batches() -> list[t.Any]:
    return [
        pytest.param(fixture, batch, id=f"{fixture.removesuffix('_copy')}: {batch.mutations[0]} and others")
        for fixture, batch in BATCHES
    ]


def test_kinds_are_told_apart() -> None:
    kinds = [(fixture, mutation.kind) for fixture, batch in (*BATCHES, *ALONE) for mutation in batch.mutations]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("name", ["torture_copy", "incident_copy"])
def test_equal_before(request: pytest.FixtureRequest, name: str) -> None:
    """Neither the copy differs nor a duplicate of it, in which nothing was changed."""
    copy: Copy = request.getfixturevalue(name)
    assert copy.judge(copy.name).differences == ()
    assert copy.verdict_on(Batch(())).differences == ()


@pytest.mark.parametrize("trial", _trials())
def test_mutation(request: pytest.FixtureRequest, trial: Trial) -> None:
    """Each change is named."""
    copy: Copy = request.getfixturevalue(trial.fixture)
    verdict = copy.verdict_on(trial.batch)
    assert not verdict.equal
    assert trial.mutation.objects <= {difference.object for difference in verdict.differences}


@pytest.mark.parametrize(("name", "batch"), _batches())
def test_nothing_else_is_named(request: pytest.FixtureRequest, name: str, batch: Batch) -> None:
    copy: Copy = request.getfixturevalue(name)
    differences = copy.verdict_on(batch).differences
    assert [str(difference) for difference in differences if difference.object not in batch.objects] == []


@pytest.mark.parametrize("name", ["torture_copy", "incident_copy"])
def test_no_mutation_escapes_the_note(
    request: pytest.FixtureRequest, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by itself is seen by the identity of the catalogs or else, while definitions are not read, named."""
    copy: Copy = request.getfixturevalue(name)
    batches = [batch for fixture, batch in (*BATCHES, *ALONE) if fixture == name]
    unseen = find_unseen(copy, [mutation for batch in batches for mutation in batch.mutations])
    assert unseen
    # Only what is not read can be the note's.
    monkeypatch.delattr(SchemaJudge, "read_definitions")
    assert copy.judge(copy.name).differences == ()
    named = {difference.object for difference in copy.verdict_on(Batch(tuple(unseen))).differences}
    assert [str(mutation) for mutation in unseen if not mutation.objects <= named] == []


def find_unseen(copy: Copy, mutations: t.Iterable[Mutation]) -> list[Mutation]:
    """Return the mutations after which a duplicate's catalogs have the same identity; each is undone at once."""
    unseen = []
    with copy.duplicate() as dbname, copy.target.connect(dbname) as session:
        session.execute("SET DateStyle = 'ISO, MDY'")
        before = read_identity(session)
        for mutation in mutations:
            with session.transaction(force_rollback=True):
                session.execute("SET LOCAL session_replication_role = replica")
                session.execute(mutation.statements.encode())
                if read_identity(session) == before:
                    unseen.append(mutation)
    return unseen


@pytest.mark.parametrize("name", ["torture_copy", "incident_copy"])
def test_equal_after(request: pytest.FixtureRequest, name: str) -> None:
    """No trial has left anything behind."""
    copy: Copy = request.getfixturevalue(name)
    assert copy.judge(copy.name).differences == ()
