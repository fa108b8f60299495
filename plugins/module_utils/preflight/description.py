# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight has found, as its record and the next task have it."""

from __future__ import annotations

import dataclasses
import typing as t

from ..errors import Outcome
from ..in_place.order import tell_load
from ..server.endpoint import Endpoint
from .decision import Decision
from .examination import Examination

#: Of severities.
_ORDER: t.Final = ("error", "warning", "notice")


def describe_decision(decision: Decision, target: Endpoint | None, outcome: Outcome) -> None:
    """Put what was found, worst first, and what follows from it into the stage's outcome."""
    found = decision.found
    findings = [dataclasses.asdict(f) for f in sorted(found.findings, key=lambda f: _ORDER.index(f.severity))]
    outcome.record |= {
        "findings": findings,
        "archive": str(decision.archive.folder) if decision.archive else None,
        "source": _describe_source(found),
        "target": _describe_target(target, found),
        "load_mode": found.load_mode,
        "downtime": "short" if found.freezes else "full",
        "transfer": found.transfer and found.transfer._asdict(),
        "load": tell_load(found.fk_strategy, found.order) if found.order else None,
        "foreign_keys": [
            {"name": c.key.name, "table": c.key.table, "orphans": c.orphans, "null_rows": c.null_rows, "cycle": c.cycle}
            for c in found.census
        ],
        "tools": dataclasses.asdict(found.tools) if found.tools else None,
    }
    outcome.returned |= {
        "findings": findings,
        "load_mode": found.load_mode or "",
        "transfer": found.transfer.way if found.transfer else "archive",
        "resumes": decision.resumes,
        "downtime": "short" if found.freezes else "full",
        "fk_strategy": found.fk_strategy,
        "archive": str(decision.archive.folder) if decision.archive else "",
        "client_bindir": found.tools.bindir if found.tools else "",
    }
    if decision.refusal:
        return
    outcome.record["plan"] = outcome.returned["plan"] = decision.plan
    if decision.verdict:
        outcome.record["verdict"] = dataclasses.asdict(decision.verdict)
    if decision.replaces:
        outcome.returned["replaces"] = decision.replaces


def _describe_source(found: Examination) -> dict[str, t.Any] | None:
    if found.source is None:
        return None
    reached = found.reached
    # A tunnel's end on this side tells nobody anything.
    addressed = reached if reached and reached.way in ("", "direct") else None
    return {
        "host": addressed.host if addressed else None,
        "port": addressed.port if addressed else None,
        "container": (reached.container if reached else "") or None,
        "way": (reached.way if reached else "") or None,
        "dbname": found.source.name,
        "server_version": _version(found.source.server_version),
        "size": found.source.size,
    }


def _describe_target(target: Endpoint | None, found: Examination) -> dict[str, t.Any] | None:
    if target is None:
        return None
    return {
        "host": target.host,
        "port": target.port,
        "dbname": target.dbname,
        "server_version": _version(found.target_version) if found.target_version else None,
        "exists": found.target_exists,
    }


def _version(number: int) -> str:
    return f"{number // 10000}.{number % 10000}"
