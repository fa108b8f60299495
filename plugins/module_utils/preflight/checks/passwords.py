# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords that Ansible could not keep secret without spoiling the output."""

from __future__ import annotations

import typing as t

from ...scrubbing import spoils
from ...server.endpoint import Endpoint
from ...verdict.findings import Finding


def check_passwords(endpoints: t.Iterable[Endpoint], names: t.Iterable[str], paths: t.Iterable[str]) -> list[Finding]:
    """Return the passwords that occur in what a run has to show or to pass on.

    The finding does not tell where: that would tell the password.

    :param names: of objects, which reports are about
    :param paths: which the stages hand to each other
    """
    endpoints, paths = list(endpoints), list(paths)
    words = [*names, *(word for e in endpoints for word in (e.host, str(e.port), e.dbname, e.user))]
    findings = []
    for endpoint in endpoints:
        name, password = f"{endpoint.side}_password", endpoint.password
        if any(password and password in path for path in paths):
            message = "it occurs in the path of the run's folder or of the client tools, which would not be found."
            findings.append(Finding("error", "password", name, message, "Choose another one, long and random."))
        elif spoils(password, words):
            message = (
                "it is so short, or so much like a name or a word in the output, that output will be unreadable: "
                "Ansible replaces it wherever it occurs."
            )
            findings.append(Finding("warning", "password", name, message, "Choose another one, long and random."))
    return findings
