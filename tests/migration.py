# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole migration in this process: the engine's stages as playbooks/migrate.yml orders them, and no Ansible."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import tempfile
import typing as t
from pathlib import Path

import psycopg
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.archive import Archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.compression import Compression
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.folder import check_archive, read_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.manifest import Manifest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.origin import Origin
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.streams import open_streams
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.writer import write_archive, write_description
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import EVERYTHING
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import imported_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.transaction import begin
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError, describe
from ansible_collections.pgconvoy.migrate.plugins.module_utils.filling.notes import Notes
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.backup import back_up
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.replacement import replace
from ansible_collections.pgconvoy.migrate.plugins.module_utils.in_place.unchanged import require_unchanged
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examination import Examination
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.examine import examine
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.outlook import look_ahead
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.request import Request
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.settings import Settings
from ansible_collections.pgconvoy.migrate.plugins.module_utils.privileges.proof import read_before
from ansible_collections.pgconvoy.migrate.plugins.module_utils.privileges.reading import read_privileges
from ansible_collections.pgconvoy.migrate.plugins.module_utils.privileges.wanted import AS_BEFORE, Policy
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.background import end_background
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.held_snapshot import hold_snapshot
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import ClientTools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint, Session, connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.carriage import Carriage, ask_live
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.databases import (
    create_staging,
    drop_leftovers,
    dropped_on_failure,
    maintenance_session,
    staging_session,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.names import Generations
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.restore import restore_data, restore_schema
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.resume import describe_origin, take_over
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.switch import Switched, switch
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.comparison import Verdict
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.findings import Finding
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.judge import Judge
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.words import Words

from tests.servers import PostgresServer

#: A role and its password; None is the server's superuser.
Credentials = tuple[str, str] | None


@dataclasses.dataclass
class Outcome:
    """How a migration ended, and what it learned on the way."""

    status: t.Literal["migrated", "unchanged", "refused", "failed"] = "failed"
    #: the message of the stage that failed
    error: str = ""
    findings: tuple[Finding, ...] = ()
    manifest: Manifest | None = None
    #: the rows that the target received, by schema and table; empty tables are not sent
    received: dict[tuple[str, str], int] = dataclasses.field(default_factory=dict)
    verdict: Verdict | None = None
    #: the run that was killed whose staging database was filled on
    resumed_from: str | None = None

    @property
    def refusals(self) -> set[tuple[str, str]]:
        """What preflight refused: code and object."""
        return {(finding.code, finding.object) for finding in self.findings if finding.severity == "error"}

    @property
    def codes(self) -> set[str]:
        """The codes alone of what preflight refused."""
        return {code for code, _ in self.refusals}

    def __str__(self) -> str:
        resumed = f"resumed from {self.resumed_from}" if self.resumed_from else ""
        told = [self.status, self.error, resumed, *(f"{finding.code} {finding}" for finding in self.findings)]
        return "\n".join(line for line in told if line)


@dataclasses.dataclass
class Migration:
    """The stages, one method each, for tests that do something between two of them."""

    source: Endpoint
    target: Endpoint
    archive: Path
    jobs: int = 2
    client_bindir: str = ""
    disconnect_clients: bool = False
    keep_previous: int = 1
    load_mode: str = "auto"
    transfer: t.Literal["archive", "stream"] = "archive"
    compression: Compression = "none"
    #: allowed_differences: reasons by object
    allowed: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    policy: Policy = AS_BEFORE
    run_id: str = dataclasses.field(default_factory=lambda: secrets.token_hex(4))
    tools: ClientTools | None = None
    #: what the target's server makes of the source's definitions, where preflight has asked it
    words: Words | None = None
    #: the name of what is streamed
    snapshot: str = ""
    #: the run that was killed whose staging database is filled on
    resumed_from: str | None = None

    @property
    def generations(self) -> Generations:
        """The target's live database and its neighbours."""
        return Generations(self.target.dbname)

    @property
    def lock_file(self) -> Path:
        """The file that the process locks which holds the snapshot of what is streamed."""
        return self.archive.with_name(f"{self.archive.name}-snapshot")

    def close(self) -> None:
        """End that process, if there is one."""
        if self.lock_file.exists():
            end_background(self.lock_file)
            self.lock_file.unlink()

    @contextlib.contextmanager
    def origin(self, archive: Archive) -> t.Iterator[Origin]:
        """Give what the rows come from."""
        if self.transfer == "archive":
            yield archive
        else:
            with open_streams(self.source, self.snapshot, self._tools(), archive.manifest) as streams:
                yield streams

    @property
    def staging(self) -> Endpoint:
        """The copy being built."""
        return self.target.at(self.generations.staging)

    def open_session(self) -> Session:
        """Open one more session of that copy."""
        return connect(self.staging)

    def preflight(self) -> Examination:
        """Examine both sides and look ahead, and settle the tools."""
        return self.look_ahead()[0]

    def look_ahead(self) -> tuple[Examination, Verdict | None]:
        """Do what the module preflight does; return what it finds, and whether there is anything to do."""
        settings = Settings(allowed=self.allowed, policy=self.policy, may_disconnect=self.disconnect_clients)
        found = examine(
            Request(
                self.source,
                self.target,
                client_bindir=self.client_bindir,
                load_mode=self.load_mode,
                settings=settings,
            )
        )
        self.tools = found.tools
        if found.tools is None:
            return found, None
        judge = dataclasses.replace(self._judge(staging=False), trusts_note=True)
        verdict = look_ahead(found, judge, lambda: contextlib.nullcontext(self.source))
        self.words = found.words
        return found, verdict

    def compare(self, *, stop_early: bool = False) -> Verdict:
        """Compare the live database with the source, as preflight does to see whether there is anything to do."""
        return self._judge(staging=False).judge_by_source(self.source, stop_early)

    def dump(self) -> Manifest:
        """Write the archive, or take a snapshot and describe what will be streamed."""
        if self.transfer == "archive":
            written = write_archive(self.source, self._tools(), self.archive, self.jobs, compression=self.compression)
            return written.manifest
        self.lock_file.parent.mkdir(parents=True, exist_ok=True)
        self.snapshot = hold_snapshot(self.source, EVERYTHING, self.lock_file, os.getpid())
        with imported_snapshot(self.source, self.snapshot) as snapshot:
            return write_description(snapshot, self._tools(), self.archive, self.jobs).manifest

    def restore_schema(self) -> None:
        """Make the staging database and what must be in it before the rows."""
        archive = check_archive(self.archive)
        with dropped_on_failure(self.target, self.generations, self.run_id):
            origin = describe_origin(archive, self._tools(), self.target, self.allowed)
            with maintenance_session(self.target) as session:
                self.resumed_from = take_over(session, self.target, self.run_id, origin, archive.manifest)
                if self.resumed_from:
                    drop_leftovers(session, self.generations, kept=[self.generations.staging])
                    return
                create_staging(session, self.generations, archive.manifest.database.locale, self.run_id)
            with connect(self.staging) as session:
                notes = Notes(self.run_id).begin(origin)
                restore_schema(session, self._tools(), archive, notes)

    def restore_data(self) -> dict[tuple[str, str], int]:
        """Fill it; return the rows received."""
        archive = read_archive(self.archive)
        with dropped_on_failure(self.target, self.generations, self.run_id), self.origin(archive) as origin:
            source = archive.manifest.require_privileges(self.policy.needs_source)
            with staging_session(self.target, self.generations, self.run_id):
                live = ask_live(self.target, read_privileges)
            carriage = Carriage(self.policy, live, source, self.allowed)
            received = restore_data(
                self.open_session,
                self._tools(),
                archive,
                self.jobs,
                self.allowed,
                carriage.finish,
                origin,
                Notes(self.run_id),
            )
        return {(table.schema, table.name): rows for table, rows in received}

    def verify(self) -> Verdict:
        """Compare it with the archive; a difference fails the run."""
        with dropped_on_failure(self.target, self.generations, self.run_id):
            with staging_session(self.target, self.generations, self.run_id) as session:
                before = ask_live(self.target, read_before)
                judge = dataclasses.replace(self._judge(staging=True), before=before, words=self.words)
                verdict = judge.judge_by_archive(read_archive(self.archive), session=session)
            if not verdict.equal:
                raise MigrationError("The copy differs:\n" + "\n".join(map(str, verdict.differences)))
        return verdict

    def switch(self) -> Switched:
        """Make it the live database."""
        source = read_archive(self.archive).manifest.database
        with dropped_on_failure(self.target, self.generations, self.run_id):
            return switch(
                self.target,
                source,
                self.run_id,
                self.disconnect_clients,
                self.keep_previous,
                with_grants=self.policy.grants != "source",
            )

    def replace(self) -> tuple[dict[tuple[str, str], int], Verdict]:
        """Back up the live database and fill it; return the rows received and the verdict, which is equal."""
        archive = check_archive(self.archive)
        backup = self.archive.with_name(f"{self.archive.name}-backup")
        backed_up = back_up(self.target, self._tools(), backup, self.jobs, compression=self.compression)
        with self.origin(archive) as origin, begin(self.target) as transaction:
            require_unchanged(transaction, self._judge(staging=False), backup if backed_up else None)
            replaced = replace(transaction, self._judge(staging=False), archive, origin)
            if not replaced.verdict.equal:
                raise MigrationError("The copy differs:\n" + "\n".join(map(str, replaced.verdict.differences)))
        return {(table.schema, table.name): rows for table, rows in replaced.received}, replaced.verdict

    def _judge(self, *, staging: bool) -> Judge:
        return Judge(self.target, staging, self._tools(), self.jobs, allowed=self.allowed, policy=self.policy)

    def _tools(self) -> ClientTools:
        assert self.tools, "preflight settles the tools"
        return self.tools


def endpoint(
    side: t.Literal["source", "target"], server: PostgresServer, dbname: str, user: Credentials = None
) -> Endpoint:
    """Return a database of a test server as the engine knows it."""
    role, password = user or (server.user, server.password)
    return Endpoint(side, server.host, server.port, dbname, role, password, sslmode="disable")


def prepare(
    source_server: PostgresServer,
    source_db: str,
    target_server: PostgresServer,
    target_db: str,
    archive: Path,
    *,
    source_user: Credentials = None,
    target_user: Credentials = None,
    jobs: int = 2,
    client_bindir: str = "",
    policy: Policy = AS_BEFORE,
    transfer: t.Literal["archive", "stream"] = "archive",
) -> Migration:
    """Return a migration whose stages the test runs itself."""
    return Migration(
        endpoint("source", source_server, source_db, source_user),
        endpoint("target", target_server, target_db, target_user),
        archive,
        jobs=jobs,
        client_bindir=client_bindir,
        policy=policy,
        transfer=transfer,
    )


def run(migration: Migration) -> Outcome:
    """Run the stages in order; what a module would report as its failure is the outcome's error."""
    outcome = Outcome()
    try:
        found, present = migration.look_ahead()
        outcome.findings = tuple(found.findings)
        if outcome.codes:
            outcome.status = "refused"
            return outcome
        if present and present.equal:
            with maintenance_session(migration.target) as session:
                drop_leftovers(session, migration.generations)
            outcome.status = "unchanged"
            return outcome
        there = migration.transfer == "archive" and migration.archive.exists()
        outcome.manifest = check_archive(migration.archive).manifest if there else migration.dump()
        if found.load_mode == "in_place":
            outcome.received, outcome.verdict = migration.replace()
            outcome.status = "migrated"
            return outcome
        migration.restore_schema()
        outcome.resumed_from = migration.resumed_from
        outcome.received = migration.restore_data()
        outcome.verdict = migration.verify()
        migration.switch()
        outcome.status = "migrated"
    except MigrationError as error:
        outcome.error = str(error)
    except psycopg.Error as error:
        outcome.error = describe(error)
    finally:
        migration.close()
    return outcome


def migrate(
    source_server: PostgresServer,
    source_db: str,
    target_server: PostgresServer,
    target_db: str,
    *,
    source_user: Credentials = None,
    target_user: Credentials = None,
    jobs: int = 2,
    client_bindir: str = "",
    policy: Policy = AS_BEFORE,
    transfer: t.Literal["archive", "stream"] = "archive",
) -> Outcome:
    """Migrate a database of one server to the other; the archive is gone when this returns."""
    with tempfile.TemporaryDirectory(prefix="pgconvoy-test-") as folder:
        return run(
            prepare(
                source_server,
                source_db,
                target_server,
                target_db,
                Path(folder) / "archive",
                source_user=source_user,
                target_user=target_user,
                jobs=jobs,
                client_bindir=client_bindir,
                policy=policy,
                transfer=transfer,
            )
        )
