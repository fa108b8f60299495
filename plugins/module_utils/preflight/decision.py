# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run is to do: both sides are examined, the live database is judged, and the plan is made of that."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib

from ..archive.archive import Archive
from ..archive.folder import check_archive, read_archive
from ..archive.manifest import Manifest
from ..archive.reuse import find_newest
from ..container.route import open_route
from ..errors import MigrationError
from ..privileges.wanted import AS_BEFORE
from ..server.endpoint import Endpoint
from ..staging.databases import staging_run
from ..staging.names import Generations
from ..staging.resume import describe_origin, foresee
from ..verdict.comparison import Verdict
from ..verdict.findings import Finding, tell_errors
from .checks.allowances import check_allowances
from .checks.passwords import check_passwords
from .examination import Examination
from .examine import Claim, examine
from .goals import GOALS, IN_PLACE
from .judging import judge_by
from .outlook import look_ahead
from .plan import diff, steps
from .question import Standing
from .request import Request
from .standing import look_around


@dataclasses.dataclass
class Decision:
    """What was found, and what follows from it."""

    found: Examination
    #: the archive that stands for the source, if one does
    archive: Archive | None
    #: on the live database, where it could be asked for
    verdict: Verdict | None = None
    #: what the run would do, step by step; none if there is nothing to do
    plan: list[str] = dataclasses.field(default_factory=list)
    #: what it would replace, as a diff; none if there is nothing to do
    replaces: dict[str, str] | None = None
    #: what is known of both sides, for a person who is asked; None if nobody is
    standing: Standing | None = None
    #: whether the newest archive shall be taken in place of a dump, if nothing has changed since: a killed run has left
    #: a copy half filled from it
    resumes: bool = False
    #: why the run cannot go on
    refusal: str = ""


def decide(
    request: Request,
    archive: pathlib.Path | None,
    claim: Claim,
    run_dir: pathlib.Path | None,
    kept: contextlib.ExitStack,
) -> Decision:
    """Examine both sides and make the plan.

    :param archive: what stands for the source, if anything does
    :param claim: waits until the target is claimed
    :param kept: what the sessions that are opened on the target end with
    :raises MigrationError: when the archive cannot be read, or another run has claimed the target
    """
    settings, target = request.settings, request.target
    # What is live after a switch back is compared with one that is named.
    described = archive or request.archive
    archived = check_archive(described) if described else None
    manifest = archived.manifest if archived else None
    if request.goal == "rollback" and archive and manifest:
        # The source takes no part.
        request = dataclasses.replace(_returning(request, manifest), downtime="full")
    elif manifest and GOALS[request.goal].fills:
        manifest.require_rows()
    goal = GOALS[request.goal]
    found = examine(request, manifest, kept, claim)
    names = [name for table in found.tables for name in table]
    paths = [path for path in (str(run_dir or ""), found.tools.bindir if found.tools else "") if path]
    found.findings += check_passwords([side for side in (request.source, target) if side], names, paths)
    # Why a server cannot be reached, the examination tells better.
    if (unclaimed := claim()) and not tell_errors(found.findings):
        found.findings.append(unclaimed)
    if request.goal == "rehearse" and found.load_mode in IN_PLACE:
        found.findings.append(_no_rehearsal(request))
    decision = Decision(found, archived if archive else None)
    if target and found.tools and goal.fills:
        try:
            decision.verdict = _look_ahead(request, decision, target)
        except MigrationError as error:
            decision.refusal = str(error)
            return decision
    if decision.verdict and decision.verdict.equal:
        # No stage follows that would tell.
        found.findings += check_allowances(decision.verdict, settings.allowed)
    if errors := tell_errors(found.findings):
        decision.refusal = f"Nothing was changed. What must be settled first:\n{errors}"
        return decision
    streamed = bool(found.transfer and found.transfer.way == "stream")
    decision.plan = steps(
        request.goal,
        target,
        found.target_exists,
        decision.verdict,
        found.load_mode,
        found.order,
        streamed=streamed,
        short=found.freezes,
    )
    if target and decision.plan:
        if goal.fills and goal.replaces and found.load_mode == "swap":
            _foresee_resumption(request, decision, target)
        decision.replaces = diff(target, decision.verdict, found.load_mode, archive)
        if request.asks and GOALS[request.goal].replaces:
            decision.standing = look_around(request, found, target, manifest)
    return decision


def _returning(request: Request, manifest: Manifest) -> Request:
    """Return the request for a way back by a backup, which is of all that there was, or of what a run has changed."""
    if manifest.changes is None:
        return dataclasses.replace(request, goal="restore", load_mode="in_place")
    # Owners and grants are still there.
    settings = dataclasses.replace(request.settings, policy=AS_BEFORE)
    return dataclasses.replace(request, goal="restore", load_mode="sync", settings=settings)


def _foresee_resumption(request: Request, decision: Decision, target: Endpoint) -> None:
    """Say in the plan if a copy is to be filled on that a killed run has left, or else why it is not."""
    session, plan, found = decision.found.server_session, decision.plan, decision.found
    if session and found.transfer and found.transfer.way == "stream" and not decision.archive:
        # What the snapshot will hold, nobody knows yet.
        if left := staging_run(session, Generations(target.dbname)):
            plan[1] = f"if it holds what run {left} was filling a copy with, go on filling that; if not, {plan[1]}"
        return
    archive = decision.archive or _own_archive(request, found)
    if session and archive and found.tools:
        origin = describe_origin(archive, found.tools, target, request.settings.allowed)
        generations = Generations(target.dbname)
        step = foresee(session, target, origin, archive.manifest)
        if step and decision.archive:
            plan[0] = step
        elif step:
            decision.resumes = True
            plan[:2] = [
                f"see whether the source still holds what is in the archive {archive.folder}; if not, {plan[0]}",
                f"if it does, {step}; if not, {plan[1]}",
            ]
        elif left := staging_run(session, generations):
            decision.found.findings.append(
                Finding(
                    "notice",
                    "not-resumed",
                    f'database "{generations.staging}"',
                    f"run {left} has left it, with too little in it, or of another archive, version, user or other "
                    "allowed differences. It is made anew.",
                )
            )


def _own_archive(request: Request, found: Examination) -> Archive | None:
    """Return the newest archive of the host's source, which a run that was killed may have begun to restore."""
    if not request.archive_root or not found.transfer or found.transfer.way != "archive":
        return None
    newest = find_newest(request.archive_root, request.host)
    try:
        return read_archive(newest) if newest else None
    except MigrationError:
        return None


def _no_rehearsal(request: Request) -> Finding:
    return Finding(
        "error",
        "rehearsal",
        f"database {request.target}",
        "it would be filled in place, and to try that its clients would have to wait.",
        "Run migrate.yml with --check --diff, which makes the schema on trial; or rehearse on a target whose user may "
        "create databases.",
    )


def _look_ahead(request: Request, decision: Decision, target: Endpoint) -> Verdict | None:
    found, settings = decision.found, request.settings
    assert found.tools
    judge = dataclasses.replace(
        judge_by(settings, target, found.tools),
        show_rows=settings.show_rows if found.load_mode == "sync" and request.check_mode else None,
        trusts_note=True,
    )

    def open_source() -> contextlib.AbstractContextManager[Endpoint]:
        assert request.source
        return open_route(request.source)

    return look_ahead(found, judge, open_source, decision.archive, check_mode=request.check_mode)
