# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run begins: its folder is made, its target claimed, both sides examined, and the plan is told."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib

from ..errors import MigrationError, Outcome
from ..preflight.archives import choose_archives
from ..preflight.decision import decide
from ..preflight.description import describe_decision
from ..preflight.examination import Examination
from ..preflight.examine import Claim, unhindered
from ..preflight.goals import GOALS
from ..preflight.handed_on import hand_on
from ..preflight.question import put_question
from ..preflight.request import Request
from ..server.answer_cache import CACHE
from ..server.endpoint import Endpoint, Session
from ..staging.databases import drop_leftovers, maintenance_session
from ..staging.names import Generations
from ..verdict.findings import Finding
from ..verdict.words import keep_words
from .claim import TargetClaimedError, begin_to_claim
from .earlier import Earlier
from .folder import RunFolder
from .promotion import take_latest
from .stage import Stage
from .trials import read_trials


def prepare(stage: Stage, request: Request, runs_root: pathlib.Path, earlier: Earlier | None) -> Outcome:
    """Return what is found and planned; the stage gets its run's folder, except in check mode.

    :param runs_root: where the folders of all runs are
    :param earlier: the run whose tables are looked at again
    :raises MigrationError: when there is anything that must be settled first
    """
    host, playbook_pid, tried_on = request.host, stage.params["playbook_pid"], stage.params["tried_on"]
    if not request.check_mode:
        stage.folder = _begin_folder(runs_root, host, playbook_pid)
    run_dir = stage.folder.path if stage.folder else None
    outcome = Outcome(
        record={"goal": request.goal, "host": host, "rerun": earlier.run_id if earlier else None},
        returned={"run_dir": str(run_dir or ""), "include_tables": list(request.settings.patterns.include)},
    )
    # Whoever fills or replaces a database claims it, and clears away what was left beside it.
    claimed = request.target if run_dir and GOALS[request.goal].claims else None
    claim = _begin_to_claim(stage.folder, claimed, playbook_pid, outcome) if stage.folder and claimed else unhindered
    stage.begin(playbook_pid)
    try:
        request, promoted = take_latest(request, runs_root, tried_on)
        for archive in choose_archives(request):
            with contextlib.ExitStack() as kept:
                decision = decide(request, archive, claim, run_dir, kept)
                decision.found.findings += [*promoted, *(earlier.findings if earlier else [])]
                describe_decision(decision, request.target, outcome)
                if decision.standing:
                    history = read_trials(runs_root, host, outcome.record["source"], archive, decision.standing)
                    question = put_question(decision.standing, history)
                    outcome.record["question"] = outcome.returned["question"] = question
                stage.warn(decision.found.findings)
                if decision.refusal:
                    raise MigrationError(decision.refusal)
                if decision.plan:
                    if stage.folder:
                        _keep_for_stages(stage.folder, decision.found)
                    return outcome
                if claimed and decision.found.leftovers:
                    _clear(decision.found.server_session, claimed, outcome)
        if request.goal == "rollback":
            raise MigrationError("There is nothing to go back to: the live database holds what its backup holds.")
    except MigrationError as error:
        raise MigrationError(str(error), outcome) from None
    return outcome


def _begin_folder(runs_root: pathlib.Path, host: str, playbook_pid: int) -> RunFolder:
    try:
        folder = RunFolder.create(runs_root, host)
        folder.playbook_pid = playbook_pid
    except OSError as error:
        raise MigrationError(
            f"Nothing was changed. No folder of this run's can be made in {runs_root / host}: {error.strerror}. "
            "Point runs_root elsewhere, or free some space there."
        ) from None
    return folder


def _begin_to_claim(folder: RunFolder, target: Endpoint, playbook_pid: int, outcome: Outcome) -> Claim:
    """Claim the target for the run; return what waits until it is, as the examination wants it."""
    wait = begin_to_claim(target, folder.run_id, folder.claim, playbook_pid)

    @functools.cache
    def claim() -> Finding | None:
        try:
            wait()
        except TargetClaimedError as error:
            remedy = "Wait until it has ended, then run again. One that was killed lets go by itself."
            taken = Finding("error", "target-claimed", str(target), f"another run is at work on it: {error}.", remedy)
            outcome.record["findings"] = outcome.returned["findings"] = [dataclasses.asdict(taken)]
            raise MigrationError(f"Nothing was changed. What must be settled first:\n- {taken}") from None
        except MigrationError as error:
            return Finding("error", "no-connection", "target", str(error))
        return None

    return claim


def _keep_for_stages(folder: RunFolder, found: Examination) -> None:
    """Keep what the target's server has said and a later stage would ask it again."""
    CACHE.keep(folder.answers)
    if found.words:
        keep_words(folder.words, found.words)
    if found.handed_on:
        hand_on(folder.handed_on, found.handed_on)


def _clear(session: Session | None, target: Endpoint, outcome: Outcome) -> None:
    """Drop what runs have left that were killed, and tell of it; whoever has something to do begins by this.

    :param session: outside the live database, if one is open; who may open none drops no database
    """
    message = "a run that was killed had left it; it is dropped."
    with contextlib.ExitStack() as stack:
        try:
            session = session or stack.enter_context(maintenance_session(target))
        except MigrationError:
            return
        for name in drop_leftovers(session, Generations(target.dbname)):
            outcome.record["findings"].append(
                dataclasses.asdict(Finding("notice", "leftover", f'database "{name}"', message))
            )
            outcome.changed = True
