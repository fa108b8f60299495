# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a target: what must be there, by an archive or a live source, and what is there at one instant."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import types
import typing as t

from ..archive.archive import Archive
from ..archive.manifest import Manifest
from ..archive.schema import read_schema
from ..catalog.content import Content, Rows
from ..catalog.database import DatabaseProperties
from ..catalog.earlier import Earlier
from ..catalog.identity import ask_identity
from ..catalog.large_objects import Numbers
from ..catalog.queries import Query, ask
from ..catalog.reading import Reading, ask_held, read_content, read_contents
from ..catalog.relations import Relation
from ..catalog.selection import EVERYTHING, Name, Patterns, Selection, tables_to_hold
from ..catalog.sequences import Sequence, read_sequences
from ..catalog.snapshot import Snapshot, export_snapshot, exported_snapshot
from ..catalog.transaction import Transaction
from ..privileges.catalog import Privileges
from ..privileges.lending import MissingRight, ask_missing_rights, lent
from ..privileges.proof import Before
from ..privileges.reading import read_privileges
from ..privileges.wanted import UNTOUCHED, Policy
from ..server.endpoint import Endpoint, OpenSession, Session, connect
from ..server.inquiry import Inquiry, answer, together
from ..staging.row_security import owner_unbound, read_unbound
from ..work_folder import WorkFolder
from .comparison import Verdict, compare_answers
from .contents import compare_contents
from .explanation import explain_rows, told_by
from .extensions import judge_extension_rows
from .note import NewNote
from .original import Original, archived_original, read_original
from .privileges import ask_judged, judge_privileges
from .schema import Asked, SchemaJudge


class Owned(t.NamedTuple):
    """Owners and grants of a target, what it holds rows in, and those of the source, where these are carried."""

    privileges: Privileges
    relations: list[Relation]
    large_objects: Numbers
    source: Privileges | None


@dataclasses.dataclass(frozen=True)
class Judge(SchemaJudge):
    """What a verdict on schema and content needs."""

    jobs: int
    queries: tuple[Query, ...] = ()
    #: reasons for differences that are allowed, by object
    allowed: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
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
    #: what the target has been found to hold before, so that not all of it need be read again
    earlier: Earlier | None = None

    def judge_by_archive(self, archive: Archive, stop_early: bool = False, session: Session | None = None) -> Verdict:
        """Return the verdict on the target, which must hold what the archive holds.

        :param stop_early: not to read any rows when the schemas differ already
        :param session: one of the target, in no transaction, if it is open already
        :raises MigrationError: when anything cannot be read
        """
        with contextlib.ExitStack() as stack:
            session = session or stack.enter_context(connect(self.target))
            with export_snapshot(self.target, session) as there:
                # Nobody else reads a copy that is being built.
                open_writer = functools.partial(connect, self.target) if self.staging else None
                verdict, note = self._judge_whole(there, archive, stop_early, open_writer)
            if note:
                note.leave(session, self.target.dbname)
            return verdict

    def judge_snapshot(self, there: Snapshot, archive: Archive, stop_early: bool = False) -> Verdict:
        """Do so of one state of the target."""
        return self._judge_whole(there, archive, stop_early, None)[0]

    def judge_transaction(self, there: Transaction, archive: Archive) -> Verdict:
        """Return the verdict on what a transaction has made, which must be what the archive holds.

        :raises MigrationError: when anything cannot be read
        """
        verdict, note = self._judge_whole(there, archive, False, lambda: contextlib.nullcontext(there.session))
        if note:
            note.leave(there.session, there.endpoint.dbname)
        return verdict

    def _judge_whole(
        self, there: Snapshot, archive: Archive, stop_early: bool, open_writer: OpenSession | None
    ) -> tuple[Verdict, NewNote | None]:
        """Return the verdict on one state of the target, and the note to be left on one that was found equal.

        :param open_writer: gives a session by which tables can be altered while they are read: what forces row security
            upon its owner, or is not its owner's to read, is read then
        """
        manifest = archive.manifest
        original = archived_original(archive, self.patterns)
        selection = original.selection
        ask_schema = self.ask_schema(original, there.session.info.server_version)
        besides = [ask_identity(), ask_missing_rights()] if open_writer else []
        asked, *told = answer(there.session, together(ask_schema, *besides))
        # As it is, and not while rights are lent.
        privileges = Verdict()
        if selection is None:
            privileges = self._judge_privileges(there, manifest.require_privileges(self.policy.needs_source))
        with self._lending(there, told[1], open_writer) if open_writer else contextlib.nullcontext(there) as own:
            schema = self.judge_schema(original, own, stop_early, asked).allowing(self.allowed).joined(privileges)
            if stop_early and not schema.equal:
                return schema, None
            verdict = schema.joined(self._judge_all_rows(own, manifest, selection, open_writer))
        if not told or not verdict.equal or verdict.allowed or selection is not None or not original.members:
            return verdict, None
        return verdict, NewNote(told[0], original, read_schema(self.tools_for(there), original.schema))

    def judge_rows(self, archive: Archive) -> Verdict:
        """Return the verdict on the rows of a copy that is being built, and on what else is content.

        :raises MigrationError: when anything cannot be read
        """
        selection = archive.manifest.select(self.patterns)
        with exported_snapshot(self.target) as there:
            open_writer = functools.partial(connect, self.target)
            with self._lending(there, answer(there.session, ask_missing_rights()), open_writer) as own:
                return self._judge_all_rows(own, archive.manifest, selection, open_writer)

    @contextlib.contextmanager
    def _lending(
        self, there: Snapshot, missing: t.Sequence[MissingRight], open_writer: OpenSession
    ) -> t.Iterator[Snapshot]:
        """Give what reads all that is the user's own; what it has taken from itself, it may do meanwhile."""
        with lent(missing, open_writer):
            if not missing or isinstance(there, Transaction):
                yield there
                return
            # Whether a large object may be read, a snapshot says as it was when it was taken.
            with exported_snapshot(self.target) as later:
                yield later

    def _judge_all_rows(
        self, there: Snapshot, manifest: Manifest, selection: Selection | None, open_writer: OpenSession | None
    ) -> Verdict:
        tables = [m.relation.full_name for m in manifest.content.relations if m.relation.kind != "materialized view"]
        with owner_unbound(there.session, tables, open_writer=open_writer) if open_writer else contextlib.nullcontext():
            return self.judge_content(there, manifest, selection)

    def judge_definitions(
        self, there: Snapshot, archive: Archive, stop_early: bool = False, asked: Asked | None = None
    ) -> Verdict:
        """Return the verdict on all that is not content.

        :param stop_early: not to have definitions reworded when an object is missing anyway
        :param asked: what `ask_schema` has told of the target, if it was asked with other things
        :raises MigrationError: when anything cannot be read
        """
        original = archived_original(archive, self.patterns)
        return self.judge_schema(original, there, stop_early, asked).allowing(self.allowed)

    def judge_content(
        self,
        there: Snapshot,
        manifest: Manifest,
        selection: Selection | None,
        listed: t.Sequence[Relation] | None = None,
        known: t.Mapping[Name, Rows] = types.MappingProxyType({}),
        sequences: t.Collection[Sequence] = (),
    ) -> Verdict:
        """Return the verdict on rows, sequences, large objects, foreign keys and answers.

        :param listed: the target's relations, where they are known
        :param known: the rows of those that have been read, and not been touched since
        :param sequences: the sequences that the target probably has
        :raises MigrationError: when anything cannot be read
        """
        ours = manifest.content if selection is None else manifest.content.of(selection)
        relations = [measured.relation for measured in ours.relations]
        path, settings = manifest.database.serving_path, manifest.database.begun_with
        with read_unbound(there, relations) as there:
            reading = Reading(
                there,
                self.jobs,
                path,
                relations,
                selection,
                summed=self.summed,
                settings=settings,
                relations=listed,
                earlier=self.earlier,
                known=known,
                sequences=sequences,
            )
            theirs = read_content(reading)
            content = compare_contents(ours, theirs, reading).joined(judge_extension_rows(ours, theirs))
            answers = self._judge_answers(manifest.answers, there, manifest.database)
        return content.joined(answers).allowing(self.allowed)

    def judge_by_source(self, source: Endpoint, stop_early: bool = False) -> Verdict:
        """Return the verdict on the target, which must hold what the source holds now.

        :param stop_early: not to read any rows when the schemas differ already
        :raises MigrationError: when anything cannot be read
        """
        hold = tables_to_hold(self.patterns)
        with WorkFolder() as work, exported_snapshot(source, hold) as here, exported_snapshot(self.target) as there:
            original = read_original(here, self.tools_for(here, there), work, self.patterns)
            return self.judge_snapshots(here, original, there, stop_early)

    def judge_snapshots(
        self,
        here: Snapshot,
        original: Original,
        there: Snapshot,
        stop_early: bool = False,
        schema: Verdict | None = None,
        seen: t.Callable[[Content, Content], object] | None = None,
        owned: Owned | None = None,
    ) -> Verdict:
        """Return the verdict on one state of the target, which must hold what the source's snapshot holds.

        :param stop_early: not to read any rows when the schemas differ already
        :param schema: the verdict on its definitions, where that is known
        :param seen: is told what both hold, if that is read
        :param owned: what `ask_owned` has told of the target, if it was asked with other things
        :raises MigrationError: when anything cannot be read
        """
        database, selection = original.database, original.selection
        schema = schema or self.judge_schema(original, there, stop_early)
        if selection is None:
            owned = owned or answer(there.session, self.ask_owned(here))
            schema = schema.joined(self._judge_privileges(there, owned.source, owned.privileges))
        if stop_early and not schema.allowing(self.allowed).equal:
            return schema
        relations, large_objects = answer(here.session, ask_held())
        source = Reading(
            here,
            self.jobs,
            database.serving_path,
            selection=selection,
            evaluated=True,
            summed=self.summed,
            settings=database.begun_with,
            relations=relations,
            large_objects=large_objects,
            sequences=read_sequences(here.session, selection),
        )
        with read_unbound(there, relations) as read:
            # Another one sees what there is by then.
            known = owned if read is there else None
            reading = dataclasses.replace(
                source,
                snapshot=read,
                like=relations,
                evaluated=False,
                relations=known and known.relations,
                large_objects=known and known.large_objects,
            )
            there = read
            ours, theirs = read_contents(source, reading)
            if seen:
                seen(ours, theirs)
            content = compare_contents(ours, theirs, reading, source)
            if not stop_early:
                told = told_by(ours, theirs)
                content = explain_rows(content, here, there, told, database.serving_path, self.show_rows)
            content = content.joined(judge_extension_rows(ours, theirs))
            answers = self._judge_answers(self._ask(here, database), there, database)
        return schema.joined(content).joined(answers).allowing(self.allowed)

    def ask_owned(self, here: Snapshot) -> Inquiry[Owned]:
        """Ask a target for what a verdict by a source wants to know besides its schema, before it reads any row."""
        source = read_privileges(here.session) if self.policy.needs_source else None
        told, (relations, numbers) = yield from together(ask_judged(self.policy, self.before, source), ask_held())
        return Owned(told, relations, numbers, source)

    def _judge_privileges(self, there: Snapshot, source: Privileges | None, asked: Privileges | None = None) -> Verdict:
        verdict = judge_privileges(there.session, self.policy, self.before, source, self.staging, asked)
        return verdict.allowing(self.allowed)

    def _judge_answers(self, answers: t.Mapping[str, str], there: Snapshot, source: DatabaseProperties) -> Verdict:
        return Verdict(differences=compare_answers(self.queries, answers, self._ask(there, source)))

    def _ask(self, snapshot: Snapshot, source: DatabaseProperties) -> dict[str, str]:
        return ask(snapshot, self.queries, source.search_path, source.begun_with)
