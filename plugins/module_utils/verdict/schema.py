# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on all that is no content: definitions, what they are bound to, extensions, the database itself."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

from ..archive.schema import Entry, dump_schema, read_schema
from ..catalog.bindings import Binding, ask_bindings
from ..catalog.database import DatabaseProperties, ask_database
from ..catalog.members import Members, ask_members
from ..catalog.requirements import Extension, ask_default_versions, ask_extensions
from ..catalog.snapshot import Snapshot
from ..catalog.unsaid import Unsaid, ask_unsaid
from ..server.client_tools import ClientTools, tools_for
from ..server.endpoint import Endpoint
from ..server.inquiry import Inquiry, answer, ask, together
from ..staging.names import Generations
from ..staging.rehearsal import Script, rehearse_beside
from ..staging.scratch import NoScratchError
from ..work_folder import WorkFolder
from .bindings import compare_bindings
from .comparison import Verdict
from .databases import compare_databases, compare_extensions, in_target_words
from .definitions import compare_schemas, same_objects
from .extensions import judge_members
from .not_null import as_known_to
from .note import Note, ask_note
from .original import Original
from .unsaid import compare_unsaid
from .words import Words, identify


@dataclasses.dataclass(frozen=True)
class Bound:
    """What a target's definitions are bound to, what they do not say and, where all is judged, extensions' members."""

    bindings: tuple[Binding, ...]
    unsaid: tuple[Unsaid, ...]
    members: Members | None


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a verdict on a schema asks of a target before it reads the definitions."""

    database: DatabaseProperties
    extensions: tuple[Extension, ...]
    default_versions: dict[str, str]
    #: where it may prove the definitions equal, which saves asking what they are bound to; or where it was asked for
    note: Note | None
    bound: Bound | None


@dataclasses.dataclass(frozen=True)
class SchemaJudge:
    """What a verdict on a schema needs: the live database, whether its copy is judged in its stead, the means."""

    live: Endpoint
    staging: bool
    tools: ClientTools
    _: dataclasses.KW_ONLY
    #: what tells the source's schema in the words of the target's server; else a scratch database does
    reword: t.Callable[[], t.Sequence[Entry]] | None = None
    #: what it made of them at an earlier time, perhaps
    words: Words | None = None
    #: the target's definitions, where they are read already
    definitions: t.Sequence[Entry] | None = None
    #: whether a note on the target may prove its definitions equal (note.py), so that they need not be read
    trusts_note: bool = False
    #: what an earlier stage has noted of them, which may prove the same
    noted: str = ""

    @property
    def target(self) -> Endpoint:
        """The database that is judged."""
        return self.live.at(Generations(self.live.dbname).staging) if self.staging else self.live

    def judge_schema(
        self, source: Original, there: Snapshot, stop_early: bool = False, asked: Asked | None = None
    ) -> Verdict:
        """Return the verdict on all that is not content; for selected tables, on them and the encoding alone.

        :param asked: what `ask_schema` has told of the target, if it was asked with other things
        """
        asked = asked or answer(there.session, self.ask_schema(source, there.session.info.server_version))
        entries, database = read_schema(self.tools_for(there), source.schema), asked.database
        if asked.note and asked.note.proves_equal(source, entries):
            definitions = Verdict(objects=compare_schemas(entries, entries)[0])
        else:
            definitions = self._judge_definitions(source, entries, there, stop_early, asked.bound)
        properties = in_target_words(self.target, source.database, database)
        if source.selection is not None:
            # The same text is not the same bytes in another encoding: no checksum would agree.
            own = compare_databases(properties, database, with_settings=False)
            return Verdict(differences=tuple(d for d in own if d.object == "database encoding")).joined(definitions)
        own = compare_databases(properties, database, with_settings=not self.staging)
        extensions = compare_extensions(source.extensions, asked.extensions, asked.default_versions)
        return Verdict(differences=own).joined(definitions).joined(Verdict(differences=extensions))

    def _judge_definitions(
        self, source: Original, ours: t.Sequence[Entry], there: Snapshot, stop_early: bool, bound: Bound | None
    ) -> Verdict:
        """Return the verdict on the definitions, on what they are bound to, and on extensions' members.

        Most definitions need no rewording to be found equal; and where an object is missing, none can make them so.
        """
        major = source.database.major
        theirs = as_known_to(major, self.read_definitions(there) if self.definitions is None else self.definitions)
        known = as_known_to(major, ours)
        objects, differences = compare_schemas(known, theirs, source.selection)
        if differences and (not stop_early or same_objects(ours, theirs, source.selection)):
            reworded = as_known_to(major, self._reword(source, ours, there))
            objects, differences = compare_schemas(known, theirs, source.selection, reworded=reworded)
        redefined = [difference.object for difference in differences]
        bound = bound or answer(there.session, _ask_bound(source, there.session.info.server_version))
        differences += compare_bindings(source.bindings, bound.bindings, source.selection, redefined)
        differences += compare_unsaid(source.unsaid, bound.unsaid, source.selection)
        verdict = Verdict(objects=objects, differences=differences)
        if source.members and bound.members:
            verdict = verdict.joined(judge_members(source.members, bound.members))
        return verdict

    def ask_schema(self, source: Original, version: int, *, noting: bool = False) -> Inquiry[Asked]:
        """Ask a target for what is to be known of it besides its definitions.

        :param noting: whether it is to be noted of them that they are the source's, if they are
        """
        trusts_note, noted = (wanted and not source.selection for wanted in (self.trusts_note, self.noted))
        database, extensions, defaults, note, bound = yield from together(
            ask_database(version),
            ask_extensions(),
            ask_default_versions(),
            ask_note(anyhow=noting) if trusts_note else ask(),
            ask() if trusts_note or noted else _ask_bound(source, version),
        )
        return Asked(database, extensions, defaults, note or None, bound or None)

    def read_definitions(self, there: Snapshot, path: pathlib.Path | None = None) -> list[Entry]:
        """Return the target's schema in the words of its own server.

        :param path: where pg_dump's file is to be, if it is to stay
        :raises MigrationError: when pg_dump fails
        """
        tools = self.tools_for(there)
        with WorkFolder() as work:
            path = path or work / "target.dump"
            dump_schema(there, tools, path)
            return read_schema(tools, path)

    def _reword(self, source: Original, ours: t.Sequence[Entry], there: Snapshot) -> t.Sequence[Entry]:
        tools = self.tools_for(there)
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

    def tools_for(self, *snapshots: Snapshot) -> ClientTools:
        """Return the client tools that serve all of these servers."""
        return tools_for(max(snapshot.session.info.server_version // 10000 for snapshot in snapshots), self.tools)


def _ask_bound(source: Original, version: int) -> Inquiry[Bound]:
    whole = source.selection is None and source.members
    members = ask_members(version) if whole else ask()
    bindings, unsaid, told = yield from together(ask_bindings(), ask_unsaid(), members)
    return Bound(bindings, unsaid, told or None)
