# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which archive was tried last on sandbox: what production is to get is that one, and nobody need type its path."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import typing as t

from ..archive.folder import check_archive
from ..errors import MigrationError
from ..preflight.request import Request
from ..verdict.findings import Finding

#: What stands in the place of an archive's path.
LATEST: t.Final = "latest"
#: The goals that are about an archive of the source.
_TAKES_LATEST: t.Final = ("restore", "verify")


def take_latest(request: Request, runs_root: pathlib.Path, hosts: t.Iterable[str]) -> tuple[Request, list[Finding]]:
    """Put the archive that was tried last into the place of the word for it; return also what to tell of it.

    :param hosts: those on which archives are tried
    :raises MigrationError: when there is none, or the run is not about an archive of the source
    """
    if request.archive != pathlib.Path(LATEST):
        return request, []
    if request.goal not in _TAKES_LATEST:
        raise MigrationError(
            "Nothing was changed. archive=latest is the archive that was tried last on sandbox; a rollback goes back "
            "to what was live before. Leave it out, or name the archive's folder."
        )
    archive, findings = find_tried(runs_root, hosts)
    return dataclasses.replace(request, archive=archive), findings


def find_tried(runs_root: pathlib.Path, hosts: t.Iterable[str]) -> tuple[pathlib.Path, list[Finding]]:
    """Return the newest archive that a run of one of the hosts has ended ``migrated`` with, and what to say of it.

    Of newer ones that are no longer there, or not whole, a warning tells.

    :raises MigrationError: when there is none
    """
    names = sorted(hosts)
    passed: list[Finding] = []
    runs = sorted((run for host in names for run in (runs_root / host).glob("[!.]*Z-*")), key=lambda run: run.name)
    for run in reversed(runs):
        archive = _tried_by(run)
        if archive is None or any(finding.object == f"archive {archive}" for finding in passed):
            continue
        try:
            # Its rows are summed up when it is used.
            check_archive(archive, loaded=True).manifest.require_rows()
        except MigrationError as error:
            passed.append(_passed_over(archive, run, str(error)))
            continue
        message = f"it was tried last on sandbox, by the run {run.parent.name}/{run.name}"
        return archive, [*passed, Finding("notice", "archive-latest", f"archive {archive}", message)]
    gone = "".join(f"\n- {finding}" for finding in passed)
    raise MigrationError(
        f"Nothing was changed. archive=latest: in {runs_root} there is no run of the group sandbox "
        f"({', '.join(names) or 'which has no hosts'}) that has ended migrated with an archive that is still whole. "
        f"Migrate or restore there first, with transfer=archive, or name the archive's folder.{gone}"
    )


def _tried_by(run: pathlib.Path) -> pathlib.Path | None:
    """Return the archive that a run has migrated its target by, if it has."""
    with contextlib.suppress(OSError, ValueError):
        report = json.loads((run / "report.json").read_text(encoding="utf-8"))
        if isinstance(report, dict) and report.get("status") == "migrated" and report.get("archive"):
            return pathlib.Path(report["archive"])
    return None


def _passed_over(archive: pathlib.Path, run: pathlib.Path, why: str) -> Finding:
    return Finding(
        "warning",
        "archive-passed-over",
        f"archive {archive}",
        f"the run {run.parent.name}/{run.name} has tried it, later than the one that is taken now: {why}",
        "Leave it at that, or try a new archive on sandbox.",
    )
