# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal of a run's schema on the target's server: what it refuses, and what it makes of definitions."""

from __future__ import annotations

import dataclasses
import typing as t

from ..archive.schema import Entry, dump_schema, read_schema
from ..catalog.database import Locale, read_database
from ..catalog.snapshot import Snapshot
from ..errors import ConnectionLostError, MigrationError
from ..in_place.rehearsal import rehearse_in_live
from ..server.client_tools import ClientTools
from ..server.endpoint import Session, connect
from ..server.inquiry import answer
from ..staging.names import Generations
from ..staging.rehearsal import Rehearsed, Script, rehearse_beside
from ..staging.scratch import NoScratchError
from ..verdict.findings import Finding
from ..verdict.judge import Judge
from ..verdict.original import Original
from ..verdict.words import Words, ask_wordings, identify
from .checks.made import check_made
from .checks.nulls import check_nulls
from .examination import Examination
from .refusals import tell_refusals

#: Errors with which the live database cannot be cleared, or nothing be made in it.
_CLOSING: t.Final = frozenset({"locks", "no-create", "not-owner", "target-missing"})
#: What the examination tells of each name need not be told again of the objects that use it.
_TOLD_BY_NAME: t.Final = frozenset({"collation", "role-missing"})
#: What follows from an object that is missing.
_FOLLOWING: t.Final = frozenset({"not-carried", "other-binding"})


@dataclasses.dataclass
class SchemaRehearsal:
    """The one rehearsal of a run: who asks first has it done."""

    found: Examination
    judge: Judge
    original: Original
    #: the source, if it is live
    here: Snapshot | None
    #: with which the run will dump it; the verdict may need newer ones
    tools: ClientTools
    check_mode: bool
    #: a hash of what servers may word otherwise, where a copy beside is to be judged later; else empty
    wordings: str = ""
    script: Script | None = None
    done: Rehearsed | None = None
    #: what is otherwise than on the source although the server refused nothing
    seen: list[Finding] = dataclasses.field(default_factory=list)

    def words(self) -> tuple[Entry, ...]:
        """Return the schema as the target's server words it."""
        return self._rehearse(lambda _: True).reworded

    def _rehearse(self, words: t.Callable[[Session], bool]) -> Rehearsed:
        self.done = rehearse_beside(
            self.judge.live,
            self._script(),
            words=words,
            inspect=self._inspect,
            server=self.found.server_session,
        )
        return self.done

    def _are_wanted(self, made: Session) -> bool:
        """Return whether the verdict on the copy is going to ask for the server's words, as it seems."""
        return bool(self.wordings) and answer(made, ask_wordings()) != self.wordings

    def kept_words(self) -> Words | None:
        """Return the server's words, where they are also those of the copy to come."""
        made, script, source = self.done, self.script, self.original
        if not made or not script or not made.reworded or made.refusals or script.not_valid or source.selection:
            return None
        assert self.found.target_version
        entries = read_schema(script.tools, script.schema)
        return Words(identify(self.judge.live, self.found.target_version, source, entries), made.reworded)

    def _inspect(self, made: Session) -> None:
        self.seen += check_made(self.original, made, self.judge.allowed, self.found.kept_extensions)
        if self.here:
            self.seen += check_nulls(self.here.session, made)

    def findings(self) -> list[Finding]:
        """Return what the target's server refuses to make, or that it was not tried."""
        try:
            rehearsed = self.done or self._rehearse(self._are_wanted)
        except NoScratchError as error:
            return self._try_in_live(str(error))
        except ConnectionLostError as error:
            message = f"the connection was lost as the schema was rehearsed: {error}"
            remedy = "See whether its server was restarted or the line broke, and run again."
            return [Finding("error", "no-connection", self.judge.live.side, message, remedy)]
        except MigrationError as error:
            return [self._no_scratch(error)]
        # Such as what expressions are bound to.
        seen = [finding for finding in self.seen if not rehearsed.refusals or finding.code not in _FOLLOWING]
        return [*self._tell(rehearsed), *seen]

    def _script(self) -> Script:
        source = dataclasses.replace(self.original.database, locale=self._locale())
        tools, schema = self.judge.tools, self.original.schema
        if self.here and self.tools != tools:
            tools, schema = self.tools, schema.with_name("run.dump")
            dump_schema(self.here, tools, schema)
        self.script = Script(tools, schema, source, self.original.refresh_order, tuple(self.judge.allowed))
        return self.script

    def _locale(self) -> Locale:
        """Return that of the database to come; where the server does not have it, which is told, one that all have."""
        if self.found.in_place and self.found.target_exists:
            with connect(self.judge.live) as session:
                return read_database(session).locale
        locale = self.original.database.locale
        if any(finding.code == "locale" and finding.severity == "error" for finding in self.found.findings):
            return Locale(locale.encoding, "libc", "C", "C", None, None)
        return locale

    def _try_in_live(self, reason: str) -> list[Finding]:
        if not self.found.in_place:
            return [self._not_rehearsed(reason)]
        if self.check_mode:
            return [self._not_rehearsed(f"{reason} In the live database it is, but not in check mode: that locks it.")]
        if any(finding.severity == "error" and finding.code in _CLOSING for finding in self.found.findings):
            return [self._not_rehearsed(f"{reason} In the live database it is, once errors are settled.")]
        try:
            return self._tell(rehearse_in_live(self.judge.live, self._script(), self.original.extensions))
        except MigrationError as error:
            return [self._not_rehearsed(f"{reason} In the live database it was not possible, either: {error}")]

    def _tell(self, rehearsed: Rehearsed) -> list[Finding]:
        """Return what is to be told besides what the examination tells, which knows more of an object or a name."""
        errors = [finding for finding in self.found.findings if finding.severity == "error"]
        objects, names = {error.object for error in errors}, {error.code for error in errors} & _TOLD_BY_NAME
        findings = [
            finding
            for finding in tell_refusals(rehearsed.refusals)
            if finding.object not in objects and finding.code not in names
        ]
        kept = {f"extension {name}" for name in self.found.kept_extensions}
        staying = [finding.object for finding in findings if finding.object in kept]
        if not staying:
            return findings
        reason = (
            f"{', '.join(staying)} cannot be created in a scratch database, and stays in the live one: what needs it "
            "was left out."
        )
        return [self._not_rehearsed(reason), *(finding for finding in findings if finding.object not in kept)]

    def _no_scratch(self, error: MigrationError) -> Finding:
        return Finding(
            "error" if self.found.load_mode == "swap" else "warning",
            "cannot-create",
            f'database "{Generations(self.judge.live.dbname).scratch}"',
            f"the schema was to be rehearsed there, and a copy beside the live database is made alike: {error}.",
            "Settle what the server names.",
        )

    def _not_rehearsed(self, reason: str) -> Finding:
        return Finding(
            "warning",
            "not-rehearsed",
            str(self.judge.live),
            f"the source's schema was not tried there. {reason} What its server would refuse of it (extensions, "
            "libraries, what takes a superuser, what lacks something) was therefore not foreseen.",
            "If there is any, the run fails, and the live database stays as it is.",
        )
