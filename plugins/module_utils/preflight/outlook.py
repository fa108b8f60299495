# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies ahead of a run that replaces the live database: whether there is anything to do, and what would fail.

From cheap to dear: the verdict comes first, and where it says equal, nothing is rehearsed. Where the examination has
found errors, no verdict is asked for, but the rehearsal is, so that all is told at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import typing as t

from ..archive.folder import read_manifest
from ..archive.schema import Entry, dump_schema, read_schema
from ..catalog.database import Locale, read_database
from ..catalog.snapshot import Snapshot, export_snapshot, exported_snapshot
from ..errors import MigrationError
from ..in_place.rehearsal import rehearse_in_live
from ..server.client_tools import ClientTools, tools_for
from ..server.endpoint import Endpoint, Session, connect
from ..staging.names import Generations
from ..staging.rehearsal import Rehearsed, Script, rehearse_beside
from ..staging.scratch import NoScratchError
from ..verdict.comparison import Verdict
from ..verdict.findings import Finding, tell_errors
from ..verdict.judge import Judge
from ..verdict.original import Original, archived_original, read_original
from ..work_folder import WorkFolder
from .checks.extensions import check_account
from .checks.made import check_made
from .checks.nulls import check_nulls
from .checks.refill import check_parents
from .examination import Examination
from .refusals import tell_refusals
from .way_back import ask_way_back

#: Errors with which nothing can be made on the target's server, or must not: the source itself may have the scratch
#: database's name.
_PREVENTING: t.Final = frozenset(
    {"old-target", "same-database", "source-beside-target", "target-name", "target-replica"}
)
#: Errors with which the live database cannot be cleared, or nothing be made in it.
_CLOSING: t.Final = frozenset({"locks", "no-create", "not-owner", "target-missing"})
#: What the examination tells of each name need not be told again of the objects that use it.
_TOLD_BY_NAME: t.Final = frozenset({"collation", "role-missing"})

_OpenSource: t.TypeAlias = "t.Callable[[], contextlib.AbstractContextManager[Endpoint]]"


def look_ahead(
    found: Examination,
    judge: Judge,
    open_source: _OpenSource,
    archive: pathlib.Path | None = None,
    *,
    check_mode: bool = False,
) -> Verdict | None:
    """Return the verdict on the live database, if it can be given; what else is found is added to the examination.

    :param open_source: gives the source for as long as a block lasts
    :param archive: what stands for the source, if anything does
    :param check_mode: to look on where definitions differ already, and to lock nothing
    :raises MigrationError: when it cannot be told whether there is anything to do
    """
    verdict = _look(found, judge, open_source, archive, check_mode=check_mode)
    if not (verdict and verdict.equal):
        found.findings += found.unless_equal
    return verdict


def _look(
    found: Examination, judge: Judge, open_source: _OpenSource, archive: pathlib.Path | None, *, check_mode: bool
) -> Verdict | None:
    refused = bool(tell_errors(found.findings))
    judges = found.target_readable and not refused and not (check_mode and found.unless_equal)
    if not judges and not _can_rehearse(found):
        return None
    verdict, tools = None, judge.tools
    with contextlib.ExitStack() as stack:
        try:
            judge, here, original = _open_original(stack, found, judge, open_source, archive)
        except MigrationError as error:
            if refused:
                # By what is told already.
                return None
            raise MigrationError(f"Nothing was changed. The source's schema cannot be read: {error}") from None
        if here and found.selection is None:
            carried = {entry.address for entry in read_schema(judge.tools, original.schema)}
            found.findings += check_account(here.session, carried, judge.allowed)
            judges = judges and not tell_errors(found.findings)
        rehearsal = _Rehearsal(found, judge, original, here, tools, check_mode)
        if judges:
            judge = dataclasses.replace(judge, reword=rehearsal.words)
            # What the live database was examined by does for this as well.
            kept, target = found.live_session, judge.target
            with export_snapshot(target, kept) if kept else exported_snapshot(target) as there:
                schema = None
                if found.order:
                    schema = _judge_tables_to_fill(found, judge, here, original, there)
                    if tell_errors(found.findings):
                        return None
                if found.takes_back:
                    assert archive
                    return ask_way_back(found, judge, archive, there)
                verdict = _ask(found, judge, here, original, archive, there, schema, stop_early=not check_mode)
        if _can_rehearse(found) and not (verdict and verdict.equal):
            found.findings += rehearsal.findings()
    return verdict


def _can_rehearse(found: Examination) -> bool:
    """Return whether the schema is to be made and, for all that is known, the source's read."""
    return (
        found.load_mode is not None
        and not found.keeps_schema
        and found.source is not None
        and found.can_read_rows
        and not any(finding.severity == "error" and finding.code in _PREVENTING for finding in found.findings)
    )


def _open_original(
    stack: contextlib.ExitStack,
    found: Examination,
    judge: Judge,
    open_source: _OpenSource,
    archive: pathlib.Path | None,
) -> tuple[Judge, Snapshot | None, Original]:
    """Return the judge with tools that serve both sides, the source's snapshot, if it is live, and what it holds."""
    if archive:
        return judge, None, archived_original(archive, read_manifest(archive), judge.patterns)
    assert found.source
    newest = max(found.source.server_version, found.target_version or 0) // 10000
    judge = dataclasses.replace(judge, tools=tools_for(newest, judge.tools))
    here = stack.enter_context(exported_snapshot(stack.enter_context(open_source())))
    return judge, here, read_original(here, judge.tools, stack.enter_context(WorkFolder()), judge.patterns)


def _ask(
    found: Examination,
    judge: Judge,
    here: Snapshot | None,
    original: Original,
    archive: pathlib.Path | None,
    there: Snapshot,
    schema: Verdict | None,
    *,
    stop_early: bool,
) -> Verdict | None:
    try:
        if here is None:
            assert archive
            return judge.judge_snapshot(there, archive, stop_early)
        return judge.judge_snapshots(here, original, there, stop_early, schema)
    except NoScratchError as error:
        found.findings.append(Finding("warning", "wording", str(judge.live), f"{error} It is replaced."))
        return None
    except MigrationError as error:
        if found.unless_equal:
            return None
        message = f"Nothing was changed. Whether the target equals the source already cannot be told: {error}"
        raise MigrationError(message) from None


def _judge_tables_to_fill(
    found: Examination, judge: Judge, here: Snapshot | None, original: Original, there: Snapshot
) -> Verdict | None:
    """Return the verdict on the schema that is kept, if it can be given.

    Why tables cannot be filled is added to the examination: they are not those of the source, or their rows find not
    what they refer to. What ALTER DATABASE says can be said again.
    """
    assert found.order
    try:
        kept = judge.judge_definitions_of(original, there)
    except NoScratchError as error:
        if found.selection is not None:
            raise MigrationError(f"Nothing was changed. {error}") from None
        # Where all is filled, the live database itself can be asked; the run does so before it changes anything.
        kept = None
    findings = [
        Finding(
            "error",
            "schema-differs",
            difference.object,
            f"{difference.message}; the live database's schema is to be kept.",
            "Bring it up to date first, or leave out load_mode, fk_strategy and the selection, to have it replaced.",
        )
        for difference in (kept.differences if kept else ())
        if not difference.object.startswith(("database setting ", "database comment"))
    ]
    if here and found.order.leading_out and not findings:
        with connect(judge.live) as live:
            findings = check_parents(here.session, live, found.order)
    found.findings += findings
    return kept


@dataclasses.dataclass
class _Rehearsal:
    """The one rehearsal of a run: who asks first has it done."""

    found: Examination
    judge: Judge
    original: Original
    #: the source, if it is live
    here: Snapshot | None
    #: with which the run will dump it; the verdict may need newer ones
    tools: ClientTools
    check_mode: bool
    done: Rehearsed | None = None
    #: what is otherwise than on the source although the server refused nothing
    seen: list[Finding] = dataclasses.field(default_factory=list)

    def words(self) -> tuple[Entry, ...]:
        """Return the schema as the target's server words it."""
        self.done = rehearse_beside(self.judge.live, self._script(), words=True, inspect=self._inspect)
        return self.done.reworded

    def _inspect(self, made: Session) -> None:
        self.seen += check_made(self.original, made, self.judge.allowed, self.found.kept_extensions)
        if self.here:
            self.seen += check_nulls(self.here.session, made)

    def findings(self) -> list[Finding]:
        """Return what the target's server refuses to make, or that it was not tried."""
        try:
            rehearsed = self.done or rehearse_beside(self.judge.live, self._script(), inspect=self._inspect)
        except NoScratchError as error:
            return self._try_in_live(str(error))
        except MigrationError as error:
            return [self._no_scratch(error)]
        # Where something is missing, what else is otherwise follows from that.
        return self._tell(rehearsed) or self.seen

    def _script(self) -> Script:
        source = dataclasses.replace(self.original.database, locale=self._locale())
        tools, schema = self.judge.tools, self.original.schema
        if self.here and self.tools != tools:
            tools, schema = self.tools, schema.with_name("run.dump")
            dump_schema(self.here, tools, schema)
        return Script(tools, schema, source, self.original.refresh_order, tuple(self.judge.allowed))

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
