# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What text looks like and how it sorts: whether the target's server can do it the source's way."""

from __future__ import annotations

from ...catalog.database import Locale
from ...catalog.requirements import Requirements
from ...endpoint import Session
from ..findings import Finding
from .asking import refusal_of


def check_locale(session: Session, locale: Locale) -> list[Finding]:
    findings = []
    if locale.provider == "builtin" and session.info.server_version < 170000:
        findings.append(
            Finding(
                "error",
                "locale",
                f"locale provider {locale.provider}",
                "the source's database uses it; PostgreSQL knows it since 17.",
                "Use a target of PostgreSQL 17 or newer.",
            )
        )
    wanted = {(name, "libc") for name in (locale.collate, locale.ctype) if name not in ("C", "POSIX")}
    if locale.provider == "icu" and locale.locale:
        wanted.add((locale.locale, "icu"))
    # Whether a locale can be had is told by a collation made of it, in a transaction that is rolled back.
    for name, provider in sorted(wanted):
        refusal = refusal_of(session, "CREATE COLLATION pg_temp.probe (locale = {}, provider = {})", name, provider)
        if refusal and "encoding" not in refusal:
            findings.append(
                Finding(
                    "error",
                    "locale",
                    f"locale {name}",
                    f"the source's database sorts by it ({provider}), and the target's server refuses it: {refusal}",
                    "Install the locale on the target's server.",
                )
            )
    return findings


def check_icu(session: Session, needs: Requirements) -> list[Finding]:
    findings: list[Finding] = []
    if needs.icu and (
        refusal := refusal_of(session, "CREATE COLLATION pg_temp.probe (locale = 'und', provider = 'icu')")
    ):
        findings += [
            Finding(
                "error",
                "icu",
                f"collation {need.object}",
                f"it is made by ICU, and the target's server says: {refusal}",
                "Use a target that is built with ICU, or drop the collation on the source.",
            )
            for need in needs.icu
        ]
    return findings


def check_xml(session: Session, needs: Requirements) -> list[Finding]:
    refusal = refusal_of(session, "SELECT xmlparse(CONTENT '<a/>')") if needs.xml else None
    if refusal is None:
        return []
    return [
        Finding(
            "error",
            "xml",
            f"column {need.object}",
            f"it is of type xml, and the target's server says: {refusal}",
            "Use a target that is built with libxml.",
        )
        for need in needs.xml
    ]
