# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a target: what must be there, by an archive or a live source, and what is there at one instant."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
import typing as t

from ..archive.folder import read_manifest
from ..archive.manifest import Manifest
from ..archive.schema import Entry, dump_schema, read_schema
from ..catalog.content import read_content
from ..catalog.database import DatabaseProperties, read_database
from ..catalog.queries import Query, ask
from ..catalog.relations import Relation, list_relations
from ..catalog.requirements import Extension, read_default_versions, read_extensions
from ..catalog.selection import EVERYTHING, Patterns, Selection, select
from ..catalog.snapshot import Snapshot, exported_snapshot
from ..endpoint import Endpoint
from ..privileges.catalog import Privileges
from ..privileges.proof import Before
from ..privileges.reading import read_privileges
from ..privileges.wanted import UNTOUCHED, Policy
from ..staging.names import Generations
from ..staging.scratch import reword_schema
from ..tools import ClientTools, tools_for
from ..work_folder import WorkFolder
from .comparison import (
    TableVerdict,
    Verdict,
    compare,
    compare_answers,
    compare_databases,
    compare_extensions,
    compare_schemas,
    same_objects,
)
from .privileges import judge_privileges
from .rows import find_row_differences


@dataclasses.dataclass(frozen=True)
class _Source:
    """What the target's definitions must be like: those of a source, live or archived; ``schema`` is pg_dump's file."""

    database: DatabaseProperties
    extensions: tuple[Extension, ...]
    schema: pathlib.Path
    selection: Selection | None


@dataclasses.dataclass(frozen=True)
class Judge:
    """What every verdict needs: the live database, whether its staging copy is judged in its stead, and the means."""

    live: Endpoint
    staging: bool
    tools: ClientTools
    jobs: int
    queries: tuple[Query, ...] = ()
    #: reasons for differences that are allowed, by object
    allowed: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: the source's schema in the words of the target's server, where they are known; else a scratch database tells them
    reworded: t.Sequence[Entry] = ()
    #: which tables are judged, with all that is part of them; of the others, nothing is said
    patterns: Patterns = EVERYTHING
    #: what owners and grants must be
    policy: Policy = UNTOUCHED
    #: what they were in the live database, where the target is what takes its place
    before: Before | None = None

    @property
    def target(self) -> Endpoint:
        """The database that is judged."""
        return self.live.at(Generations(self.live.dbname).staging) if self.staging else self.live

    def judge_by_archive(self, folder: pathlib.Path) -> Verdict:
        """Return the verdict on the target, which must hold what the archive holds.

        :raises MigrationError: when anything cannot be read
        """
        with exported_snapshot(self.target) as there:
            return self.judge_snapshot(there, folder)

    def judge_snapshot(self, there: Snapshot, folder: pathlib.Path) -> Verdict:
        """Return the verdict on one state of the target, which must hold what the archive holds.

        :raises MigrationError: when anything cannot be read
        """
        manifest = read_manifest(folder)
        selection = manifest.select(self.patterns)
        schema = self.judge_definitions(there, folder, manifest, selection)
        if selection is None:
            schema = schema.joined(self._judge_privileges(there, manifest.require_privileges(self.policy.needs_source)))
        return schema.joined(self.judge_content(there, manifest, selection))

    def judge_definitions(
        self, there: Snapshot, folder: pathlib.Path, manifest: Manifest, selection: Selection | None
    ) -> Verdict:
        """Return the verdict on all that is not content.

        :raises MigrationError: when anything cannot be read
        """
        source = _Source(manifest.database, manifest.requirements.extensions, folder / manifest.schema.name, selection)
        with WorkFolder() as work:
            return self._judge_schema(source, there, work, stop_early=False).allowing(self.allowed)

    def judge_content(self, there: Snapshot, manifest: Manifest, selection: Selection | None) -> Verdict:
        """Return the verdict on rows, sequences, large objects, foreign keys and answers.

        :raises MigrationError: when anything cannot be read
        """
        ours = manifest.content if selection is None else manifest.content.of(selection)
        relations = [measured.relation for measured in ours.relations]
        content = compare(ours, read_content(there, self.jobs, like=relations, selection=selection))
        answers = self._judge_answers(manifest.answers, there, manifest.database)
        return content.joined(answers).allowing(self.allowed)

    def judge_definitions_by_archive(self, folder: pathlib.Path) -> Verdict:
        """Return the verdict on the definitions alone: the target's must be the archive's.

        :raises MigrationError: when anything cannot be read
        """
        manifest = read_manifest(folder)
        with exported_snapshot(self.target) as there:
            return self.judge_definitions(there, folder, manifest, manifest.select(self.patterns))

    def judge_definitions_by_source(self, source: Endpoint) -> Verdict:
        """Return the verdict on the definitions alone: the target's must be those that the source has now.

        :raises MigrationError: when anything cannot be read
        """
        with WorkFolder() as work, exported_snapshot(source) as here, exported_snapshot(self.target) as there:
            wanted = self._read_source(here, there, work)
            return self._judge_schema(wanted, there, work, stop_early=False).allowing(self.allowed)

    def judge_by_source(self, source: Endpoint, stop_early: bool = False) -> Verdict:
        """Return the verdict on the target, which must hold what the source holds now.

        :param stop_early: not to read any rows when the schemas differ already
        :raises MigrationError: when anything cannot be read
        """
        with WorkFolder() as work, exported_snapshot(source) as here, exported_snapshot(self.target) as there:
            wanted = self._read_source(here, there, work)
            database, selection = wanted.database, wanted.selection
            schema = self._judge_schema(wanted, there, work, stop_early)
            if selection is None:
                privileges = read_privileges(here.session) if self.policy.needs_source else None
                schema = schema.joined(self._judge_privileges(there, privileges))
            if stop_early and not schema.allowing(self.allowed).equal:
                return schema
            relations = list_relations(here.session)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                reading = pool.submit(read_content, here, self.jobs, database.search_path, selection=selection)
                theirs = pool.submit(read_content, there, self.jobs, like=relations, selection=selection).result()
                ours = reading.result()
            content = compare(ours, theirs)
            if not stop_early:
                content = content.explained(_explain_rows(content, here, there, relations))
            answers = self._judge_answers(ask(here, self.queries, database.search_path), there, database)
            return schema.joined(content).joined(answers).allowing(self.allowed)

    def _read_source(self, here: Snapshot, there: Snapshot, work: pathlib.Path) -> _Source:
        dump_schema(here, self._tools(here, there), work / "source.dump")
        return _Source(
            database=read_database(here.session),
            extensions=tuple(read_extensions(here.session)),
            schema=work / "source.dump",
            selection=select(list_relations(here.session), self.patterns) if self.patterns else None,
        )

    def read_definitions(self, there: Snapshot) -> list[Entry]:
        """Return the target's schema in the words of its own server.

        :raises MigrationError: when pg_dump fails
        """
        tools = self._tools(there)
        with WorkFolder() as work:
            dump_schema(there, tools, work / "target.dump")
            return read_schema(tools, work / "target.dump")

    def _judge_schema(self, source: _Source, there: Snapshot, work: pathlib.Path, stop_early: bool) -> Verdict:
        """Return the verdict on all that is not content; for selected tables, on them and the encoding alone.

        Most definitions need no rewording to be found equal; and where an object is missing, none can make them so.
        """
        tools = self._tools(there)
        theirs = self.read_definitions(there)
        ours = read_schema(tools, source.schema)
        objects, differences = compare_schemas(ours, theirs, source.selection)
        if differences and (not stop_early or same_objects(ours, theirs, source.selection)):
            reworded = self.reworded or reword_schema(self.live, tools, source.database, source.schema, work)
            objects, differences = compare_schemas(reworded, theirs, source.selection)
        schema, database = Verdict(objects=objects, differences=differences), read_database(there.session)
        if source.selection is not None:
            # The same text is not the same bytes in another encoding: no checksum would agree.
            encoding = compare_databases(source.database, database, with_settings=False)
            return Verdict(differences=tuple(d for d in encoding if d.object == "database encoding")).joined(schema)
        properties = compare_databases(source.database, database, with_settings=not self.staging)
        found, defaults = read_extensions(there.session), read_default_versions(there.session)
        extensions = compare_extensions(source.extensions, found, defaults)
        return Verdict(differences=properties).joined(schema).joined(Verdict(differences=extensions))

    def _judge_privileges(self, there: Snapshot, source: Privileges | None) -> Verdict:
        return judge_privileges(there.session, self.policy, self.before, source, self.staging).allowing(self.allowed)

    def _judge_answers(self, answers: t.Mapping[str, str], there: Snapshot, source: DatabaseProperties) -> Verdict:
        return Verdict(differences=compare_answers(self.queries, answers, ask(there, self.queries, source.search_path)))

    def _tools(self, *snapshots: Snapshot) -> ClientTools:
        return tools_for(max(snapshot.session.info.server_version // 10000 for snapshot in snapshots), self.tools)


#: In how many tables the differing rows are looked for; the others differ all the same.
_EXPLAINED_TABLES: t.Final = 20


def _explain_rows(verdict: Verdict, here: Snapshot, there: Snapshot, relations: t.Iterable[Relation]) -> dict[str, str]:
    """Return which rows differ, by object, for the tables that are on both sides with the same columns."""
    by_name = {(relation.schema, relation.name): relation for relation in relations}
    unequal = [by_name[v.schema, v.name] for v in verdict.tables if not v.equal and v.kind == "table" and _both(v)]
    return {
        f"table {relation}": str(find_row_differences(here.session, there.session, relation))
        for relation in unequal[:_EXPLAINED_TABLES]
    }


def _both(table: TableVerdict) -> bool:
    return table.source_checksum is not None and table.target_checksum is not None
