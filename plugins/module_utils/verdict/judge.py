# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a target: what must be there, by an archive or a live source, and what is there at one instant."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import types
import typing as t

from ..archive.folder import read_manifest
from ..archive.manifest import Manifest
from ..archive.schema import Entry, dump_schema, read_schema
from ..catalog.bindings import ask_bindings
from ..catalog.content import Rows
from ..catalog.database import DatabaseProperties, ask_database
from ..catalog.identity import ask_identity
from ..catalog.members import ask_members
from ..catalog.queries import Query, ask
from ..catalog.reading import Reading, read_content, read_contents
from ..catalog.relations import Relation, list_relations
from ..catalog.requirements import ask_default_versions, ask_extensions
from ..catalog.selection import EVERYTHING, Name, Patterns, Selection, tables_to_hold
from ..catalog.snapshot import Snapshot, export_snapshot, exported_snapshot
from ..catalog.transaction import Transaction
from ..privileges.catalog import Privileges
from ..privileges.proof import Before
from ..privileges.reading import read_privileges
from ..privileges.wanted import UNTOUCHED, Policy
from ..server.client_tools import ClientTools, tools_for
from ..server.endpoint import Endpoint, OpenSession, Session, connect
from ..server.inquiry import Inquiry, answer, together
from ..staging.names import Generations
from ..staging.rehearsal import Script, rehearse_beside
from ..staging.row_security import owner_unbound, read_unbound
from ..staging.scratch import NoScratchError
from ..work_folder import WorkFolder
from .bindings import compare_bindings
from .comparison import Verdict, compare_answers
from .contents import compare_contents
from .databases import compare_databases, compare_extensions, in_target_words
from .definitions import compare_schemas, same_objects
from .explanation import explain_rows
from .extensions import judge_extension_rows, judge_members
from .note import NewNote, ask_note
from .original import Original, archived_original, read_original
from .privileges import judge_privileges
from .words import Words, identify


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
    #: what tells the source's schema in the words of the target's server; else a scratch database does
    reword: t.Callable[[], t.Sequence[Entry]] | None = None
    #: what it made of them at an earlier time, perhaps
    words: Words | None = None
    #: the target's definitions, where they are read already
    definitions: t.Sequence[Entry] | None = None
    #: which tables are judged, with all that is part of them; of the others, nothing is said
    patterns: Patterns = EVERYTHING
    #: of how many rows of each table the keys are told; None tells some, of some tables
    show_rows: int | None = None
    #: what owners and grants must be
    policy: Policy = UNTOUCHED
    #: what they were in the live database, where the target is what takes its place
    before: Before | None = None
    #: whether the sums of columns are told as well
    summed: bool = False
    #: whether a note on the target may prove its definitions equal (note.py), so that they need not be read
    trusts_note: bool = False

    @property
    def target(self) -> Endpoint:
        """The database that is judged."""
        return self.live.at(Generations(self.live.dbname).staging) if self.staging else self.live

    def judge_by_archive(
        self, folder: pathlib.Path, stop_early: bool = False, session: Session | None = None
    ) -> Verdict:
        """Return the verdict on the target, which must hold what the archive holds.

        :param stop_early: not to read any rows when the schemas differ already
        :param session: one of the target, in no transaction, if it is open already
        :raises MigrationError: when anything cannot be read
        """
        with contextlib.ExitStack() as stack:
            session = session or stack.enter_context(connect(self.target))
            with export_snapshot(self.target, session) as there:
                # Nobody else reads a copy that is being built.
                open_writer = (lambda: connect(self.target)) if self.staging else None
                verdict, note = self._judge_whole(there, folder, stop_early, open_writer)
            if note:
                note.leave(session, self.target.dbname)
            return verdict

    def judge_snapshot(self, there: Snapshot, folder: pathlib.Path, stop_early: bool = False) -> Verdict:
        """Do so of one state of the target."""
        return self._judge_whole(there, folder, stop_early, None)[0]

    def judge_transaction(self, there: Transaction, folder: pathlib.Path) -> Verdict:
        """Return the verdict on what a transaction has made, which must be what the archive holds.

        :raises MigrationError: when anything cannot be read
        """
        verdict, note = self._judge_whole(there, folder, False, lambda: contextlib.nullcontext(there.session))
        if note:
            note.leave(there.session, there.endpoint.dbname)
        return verdict

    def _judge_whole(
        self, there: Snapshot, folder: pathlib.Path, stop_early: bool, open_writer: OpenSession | None
    ) -> tuple[Verdict, NewNote | None]:
        """Return the verdict on one state of the target, and the note to be left on one that was found equal.

        :param open_writer: gives a session by which tables can be altered while they are read: of such as force row
            security upon their owner, all rows are read then
        """
        manifest = read_manifest(folder)
        selection = manifest.select(self.patterns)
        identity = answer(there.session, ask_identity()) if open_writer else None
        schema = self.judge_definitions(there, folder, manifest, stop_early)
        if selection is None:
            schema = schema.joined(self._judge_privileges(there, manifest.require_privileges(self.policy.needs_source)))
        if stop_early and not schema.equal:
            return schema, None
        verdict = schema.joined(self._judge_all_rows(there, manifest, selection, open_writer))
        original = archived_original(folder, manifest)
        if not identity or not verdict.equal or verdict.allowed or selection is not None or not original.members:
            return verdict, None
        return verdict, NewNote(identity, original, read_schema(self._tools(there), original.schema))

    def judge_rows(self, folder: pathlib.Path) -> Verdict:
        """Return the verdict on the rows of a copy that is being built, and on what else is content.

        :param folder: with the manifest of what must be there
        :raises MigrationError: when anything cannot be read
        """
        manifest = read_manifest(folder)
        with exported_snapshot(self.target) as there:
            selection = manifest.select(self.patterns)
            return self._judge_all_rows(there, manifest, selection, lambda: connect(self.target))

    def _judge_all_rows(
        self, there: Snapshot, manifest: Manifest, selection: Selection | None, open_writer: OpenSession | None
    ) -> Verdict:
        tables = [m.relation.full_name for m in manifest.content.relations if m.relation.kind != "materialized view"]
        with owner_unbound(there.session, tables, open_writer=open_writer) if open_writer else contextlib.nullcontext():
            return self.judge_content(there, manifest, selection)

    def judge_definitions(
        self, there: Snapshot, folder: pathlib.Path, manifest: Manifest, stop_early: bool = False
    ) -> Verdict:
        """Return the verdict on all that is not content.

        :param stop_early: not to have definitions reworded when an object is missing anyway
        :raises MigrationError: when anything cannot be read
        """
        original = archived_original(folder, manifest, self.patterns)
        return self._judge_schema(original, there, stop_early).allowing(self.allowed)

    def judge_content(
        self,
        there: Snapshot,
        manifest: Manifest,
        selection: Selection | None,
        listed: t.Sequence[Relation] | None = None,
        known: t.Mapping[Name, Rows] = types.MappingProxyType({}),
    ) -> Verdict:
        """Return the verdict on rows, sequences, large objects, foreign keys and answers.

        :param listed: the target's relations, where they are known
        :param known: the rows of those that have been read, and not been touched since
        :raises MigrationError: when anything cannot be read
        """
        ours = manifest.content if selection is None else manifest.content.of(selection)
        relations = [measured.relation for measured in ours.relations]
        path = manifest.database.serving_path
        with read_unbound(there, relations) as there:
            reading = Reading(there, self.jobs, path, relations, selection, False, self.summed, listed, known)
            theirs = read_content(reading)
            content = compare_contents(ours, theirs, reading).joined(judge_extension_rows(ours, theirs))
            answers = self._judge_answers(manifest.answers, there, manifest.database)
        return content.joined(answers).allowing(self.allowed)

    def judge_definitions_of(self, original: Original, there: Snapshot) -> Verdict:
        """Return the verdict on the definitions of one state of the target alone.

        :raises MigrationError: when anything cannot be read
        """
        return self._judge_schema(original, there).allowing(self.allowed)

    def judge_by_source(self, source: Endpoint, stop_early: bool = False) -> Verdict:
        """Return the verdict on the target, which must hold what the source holds now.

        :param stop_early: not to read any rows when the schemas differ already
        :raises MigrationError: when anything cannot be read
        """
        hold = tables_to_hold(self.patterns)
        with WorkFolder() as work, exported_snapshot(source, hold) as here, exported_snapshot(self.target) as there:
            original = read_original(here, self._tools(here, there), work, self.patterns)
            return self.judge_snapshots(here, original, there, stop_early)

    def judge_snapshots(
        self,
        here: Snapshot,
        original: Original,
        there: Snapshot,
        stop_early: bool = False,
        schema: Verdict | None = None,
    ) -> Verdict:
        """Return the verdict on one state of the target, which must hold what the source's snapshot holds.

        :param stop_early: not to read any rows when the schemas differ already
        :param schema: the verdict on its definitions, where that is known
        :raises MigrationError: when anything cannot be read
        """
        database, selection = original.database, original.selection
        schema = schema or self._judge_schema(original, there, stop_early)
        if selection is None:
            privileges = read_privileges(here.session) if self.policy.needs_source else None
            schema = schema.joined(self._judge_privileges(there, privileges))
        if stop_early and not schema.allowing(self.allowed).equal:
            return schema
        relations, path = list_relations(here.session), database.serving_path
        source = Reading(here, self.jobs, path, selection=selection, evaluated=True, summed=self.summed)
        with read_unbound(there, relations) as there:
            reading = Reading(there, self.jobs, path, relations, selection, summed=self.summed)
            ours, theirs = read_contents(source, reading)
            content = compare_contents(ours, theirs, reading)
            if not stop_early:
                content = explain_rows(content, here, there, relations, path, self.show_rows)
            content = content.joined(judge_extension_rows(ours, theirs))
            answers = self._judge_answers(ask(here, self.queries, database.search_path), there, database)
        return schema.joined(content).joined(answers).allowing(self.allowed)

    def read_definitions(self, there: Snapshot, path: pathlib.Path | None = None) -> list[Entry]:
        """Return the target's schema in the words of its own server.

        :param path: where pg_dump's file is to be, if it is to stay
        :raises MigrationError: when pg_dump fails
        """
        tools = self._tools(there)
        with WorkFolder() as work:
            path = path or work / "target.dump"
            dump_schema(there, tools, path)
            return read_schema(tools, path)

    def _judge_schema(self, source: Original, there: Snapshot, stop_early: bool = False) -> Verdict:
        """Return the verdict on all that is not content; for selected tables, on them and the encoding alone."""
        entries = read_schema(self._tools(there), source.schema)
        inquiries: list[Inquiry[t.Any]] = [ask_database(there.session.info.server_version), ask_extensions()]
        inquiries += [ask_default_versions(), *([ask_note()] if self.trusts_note and not source.selection else [])]
        database, found, defaults, *noted = answer(there.session, together(*inquiries))
        if any(note and note.proves_equal(source, entries) for note in noted):
            definitions = Verdict(objects=compare_schemas(entries, entries)[0])
        else:
            definitions = self._judge_definitions(source, entries, there, stop_early)
        properties = in_target_words(self.target, source.database, database)
        if source.selection is not None:
            # The same text is not the same bytes in another encoding: no checksum would agree.
            own = compare_databases(properties, database, with_settings=False)
            return Verdict(differences=tuple(d for d in own if d.object == "database encoding")).joined(definitions)
        own = compare_databases(properties, database, with_settings=not self.staging)
        extensions = compare_extensions(source.extensions, found, defaults)
        return Verdict(differences=own).joined(definitions).joined(Verdict(differences=extensions))

    def _judge_definitions(
        self, source: Original, ours: t.Sequence[Entry], there: Snapshot, stop_early: bool
    ) -> Verdict:
        """Return the verdict on the definitions, on what they are bound to, and on extensions' members.

        Most definitions need no rewording to be found equal; and where an object is missing, none can make them so.
        """
        theirs = self.read_definitions(there) if self.definitions is None else self.definitions
        objects, differences = compare_schemas(ours, theirs, source.selection)
        if differences and (not stop_early or same_objects(ours, theirs, source.selection)):
            objects, differences = compare_schemas(self._reword(source, ours, there), theirs, source.selection)
        redefined = [difference.object for difference in differences]
        version, whole = there.session.info.server_version, source.selection is None and source.members
        asked = together(ask_bindings(), *([ask_members(version)] if whole else []))
        bindings, *members = answer(there.session, asked)
        differences += compare_bindings(source.bindings, bindings, source.selection, redefined)
        verdict = Verdict(objects=objects, differences=differences)
        return verdict.joined(judge_members(source.members, *members)) if source.members and members else verdict

    def _reword(self, source: Original, ours: t.Sequence[Entry], there: Snapshot) -> t.Sequence[Entry]:
        tools = self._tools(there)
        if self.words and self.words.of == identify(self.live, there.session.info.server_version, source, ours):
            return self.words.entries
        try:
            if self.reword:
                return self.reword()
            script = Script(tools, source.schema, source.database)
            return rehearse_beside(self.live, script, words=lambda _: True).reworded
        except NoScratchError as error:
            raise NoScratchError(
                f"Some definitions on the {self.target} are worded otherwise than the source's, and whether they mean "
                f"the same, its server could tell in a scratch database alone. {error}"
            ) from None

    def _judge_privileges(self, there: Snapshot, source: Privileges | None) -> Verdict:
        return judge_privileges(there.session, self.policy, self.before, source, self.staging).allowing(self.allowed)

    def _judge_answers(self, answers: t.Mapping[str, str], there: Snapshot, source: DatabaseProperties) -> Verdict:
        return Verdict(differences=compare_answers(self.queries, answers, ask(there, self.queries, source.search_path)))

    def _tools(self, *snapshots: Snapshot) -> ClientTools:
        return tools_for(max(snapshot.session.info.server_version // 10000 for snapshot in snapshots), self.tools)
