# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who judges by what holds for all stages of a run. Those that judge nothing start sooner without it."""

from __future__ import annotations

from ..server.client_tools import ClientTools
from ..server.endpoint import Endpoint
from ..verdict.judge import Judge
from ..verdict.serving import Serving
from .settings import Settings


def judge_by(settings: Settings, live: Endpoint, tools: ClientTools) -> Judge:
    """Return who judges the live database."""
    return Judge(
        live,
        staging=False,
        tools=tools,
        jobs=settings.jobs,
        queries=settings.queries,
        allowed=settings.allowed,
        patterns=settings.patterns,
        policy=settings.policy,
        summed=settings.sums,
    )


def serving_by(settings: Settings, host: str) -> Serving:
    """Return what a host's live database is asked when it has its new content."""
    return Serving(settings.queries, settings.application_role, host, settings.allowed)
