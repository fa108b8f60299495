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
import functools
import typing as t

from ..archive.archive import Archive
from ..archive.schema import read_schema
from ..catalog.content import Content
from ..catalog.earlier import Earlier, ask_instant
from ..catalog.identity import ask_definers, ask_identity
from ..catalog.snapshot import Snapshot, export_snapshot, exported_snapshot
from ..errors import MigrationError
from ..server.client_tools import tools_for
from ..server.endpoint import Endpoint, connect
from ..server.inquiry import answer, ask, together
from ..staging.scratch import NoScratchError
from ..verdict.comparison import Verdict
from ..verdict.findings import Difference, Finding, tell_errors
from ..verdict.judge import Judge, Owned
from ..verdict.original import Original, archived_original, read_original
from ..verdict.words import ask_wordings
from ..work_folder import WorkFolder
from .checks.extensions import check_account
from .checks.refill import check_parents
from .checks.settings import check_own_settings
from .examination import Examination
from .handed_on import HandedOn
from .schema_rehearsal import SchemaRehearsal
from .undo import judge_undo

#: Errors with which nothing can be made on the target's server, or must not: the source itself may have the scratch
#: database's name.
_PREVENTING: t.Final = frozenset(
    {"old-target", "same-database", "source-beside-target", "target-name", "target-replica"}
)

#: Is told what both sides hold, if that is read.
_Seen: t.TypeAlias = t.Callable[[Content, Content], object]
_OpenSource: t.TypeAlias = t.Callable[[], contextlib.AbstractContextManager[Endpoint]]


def look_ahead(
    found: Examination,
    judge: Judge,
    open_source: _OpenSource,
    archive: Archive | None = None,
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
    found: Examination, judge: Judge, open_source: _OpenSource, archive: Archive | None, *, check_mode: bool
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
        found.findings += _check_own_settings(found, judge, original)
        judges = judges and not tell_errors(found.findings)
        if here and found.selection is None:
            carried = {entry.address for entry in read_schema(judge.tools, original.schema)}
            found.findings += check_account(here.session, carried, judge.allowed)
            if judge.trusts_note:
                # Near, so that the target need not tell it.
                answer(here.session, ask_definers())
            judges = judges and not tell_errors(found.findings)
        beside = found.load_mode == "swap" and not check_mode
        wordings = answer(here.session, ask_wordings()) if here and beside else ""
        rehearsal = SchemaRehearsal(found, judge, original, here, tools, check_mode, wordings)
        if judges and here and not check_mode:
            verdict = _find_lacking(found, judge)
        if judges and not verdict:
            judge = dataclasses.replace(judge, reword=rehearsal.words)
            # What the live database was examined by does for this as well.
            kept, target = found.live_session, judge.target
            open_kept = functools.partial(export_snapshot, target, second=found.reader, stays=found.keeps_schema)
            with open_kept(kept) if kept else exported_snapshot(target) as there:
                schema = seen = owned = None
                if found.order:
                    schema, seen, owned = _judge_tables_to_fill(found, judge, here, original, there)
                    if tell_errors(found.findings):
                        return None
                if found.undoes:
                    assert archive
                    return judge_undo(found, judge, archive.manifest, there)
                verdict = _ask(
                    found, judge, here, original, archive, there, schema, seen, owned, stop_early=not check_mode
                )
        if _can_rehearse(found) and not (verdict and verdict.equal):
            found.findings += rehearsal.findings()
            found.words = rehearsal.kept_words()
    return verdict


def _check_own_settings(found: Examination, judge: Judge, original: Original) -> list[Finding]:
    """Return the settings of the target's user alone on which depends what the run makes there."""
    # A copy is made beside the live database.
    own = [name for name, only_live in found.target_own.items() if found.in_place or not only_live]
    if found.load_mode is None or not own:
        return []
    # Policies are not applied to whoever fills the database.
    entries = [entry for entry in read_schema(judge.tools, original.schema) if entry.kind != "POLICY"]
    texts = [*(entry.statements for entry in entries), *(query.sql.encode() for query in judge.queries)]
    return check_own_settings(own, judge.live.user, original.database, texts)


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
    archive: Archive | None,
) -> tuple[Judge, Snapshot | None, Original]:
    """Return the judge with tools that serve both sides, the source's snapshot, if it is live, and what it holds."""
    if archive:
        return judge, None, archived_original(archive, judge.patterns)
    assert found.source
    newest = max(found.source.server_version, found.target_version or 0) // 10000
    judge = dataclasses.replace(judge, tools=tools_for(newest, judge.tools))
    here = stack.enter_context(exported_snapshot(stack.enter_context(open_source())))
    return judge, here, read_original(here, judge.tools, stack.enter_context(WorkFolder()), judge.patterns)


def _find_lacking(found: Examination, judge: Judge) -> Verdict | None:
    """Return the verdict where a table is missing: then there is something to do, and nothing more need be asked."""
    missing = [Difference(f"table {'.'.join(name)}", "missing on the target") for name in sorted(found.lacking)]
    verdict = Verdict(differences=tuple(missing)).allowing(judge.allowed)
    return None if verdict.equal else verdict


def _ask(
    found: Examination,
    judge: Judge,
    here: Snapshot | None,
    original: Original,
    archive: Archive | None,
    there: Snapshot,
    schema: Verdict | None,
    seen: _Seen | None,
    owned: Owned | None,
    *,
    stop_early: bool,
) -> Verdict | None:
    try:
        if here is None:
            assert archive
            return judge.judge_snapshot(there, archive, stop_early)
        return judge.judge_snapshots(here, original, there, stop_early, schema, seen, owned)
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
) -> tuple[Verdict | None, _Seen | None, Owned | None]:
    """Return the verdict on the schema that is kept, if it can be given, and who is to be told what both sides hold.

    What was asked of the target with that comes last.

    Why tables cannot be filled is added to the examination: they are not those of the source, or their rows find not
    what they refer to. What ALTER DATABASE says can be said again.
    """
    assert found.order
    noting = original.selection is None
    ask_schema = judge.ask_schema(original, there.session.info.server_version, noting=noting)
    ask_owned = judge.ask_owned(here) if here and noting else ask()
    asked, instant, owned = answer(there.session, together(ask_schema, ask_instant(), ask_owned))
    try:
        kept = judge.judge_schema(original, there, asked=asked).allowing(judge.allowed)
    except NoScratchError as error:
        if found.selection is not None:
            raise MigrationError(f"Nothing was changed. {error}") from None
        # Where all is filled, the live database itself can be asked; the run does so before it changes anything.
        kept = None
    tell = _tell_altered if found.undoes else _tell_other
    findings = [
        tell(difference)
        for difference in (kept.differences if kept else ())
        if not difference.object.startswith(("database setting ", "database comment"))
    ]
    if here and found.order.leading_out and not findings:
        with connect(judge.live) as live:
            findings = check_parents(here.session, live, found.order)
    found.findings += findings
    if not asked.note or not kept or findings or kept.allowed:
        return kept, None, owned or None
    note, path = asked.note, original.database.serving_path
    said = note.renewed(original, read_schema(judge.tools_for(there), original.schema))
    found.handed_on = HandedOn(said)
    if not here:
        return kept, None, None

    def remember(ours: Content, theirs: Content) -> None:
        identity, then = answer(here.session, together(ask_identity(), ask_instant()))
        source, target = Earlier(then, ours, path, identity.hash), Earlier(instant, theirs, path, note.identity)
        found.handed_on = HandedOn(said, source, target)

    return kept, remember, owned or None


def _tell_other(difference: Difference) -> Finding:
    return Finding(
        "error",
        "schema-differs",
        difference.object,
        f"{difference.message}; the live database's schema is to be kept.",
        "Bring it up to date first, or have migrate.yml replace all, without load_mode, fk_strategy and a selection.",
    )


def _tell_altered(difference: Difference) -> Finding:
    """Return the same of a way back: the undo stands for the source."""
    return Finding(
        "error",
        "schema-differs",
        difference.object,
        f"{difference.message}; it has been altered since the run that is to be undone (source: as it was then, "
        "target: as it is now), and what went can return only into the schema that it was in.",
        "Bring it back into that state, and roll back again. Or leave the rollback, and run again.",
    )
