# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server can do depends on how it was built and where it runs: locales, collations, xml."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ...catalog.database import Locale
from ...catalog.requirements import Need
from ...server.endpoint import Session
from ...verdict.findings import Finding
from .check import refusal_of


def check_xml(session: Session, columns: t.Collection[Need]) -> list[Finding]:
    """Return the columns of type xml, which a server without libxml makes, and then takes no value for."""
    refusal = refusal_of(session, sql.SQL("SELECT xmlparse(CONTENT '<a/>')")) if columns else None
    return [
        Finding(
            "error",
            "xml",
            f"column {column.object}",
            f"it needs xml: {refusal}.",
            "Use a target that is built with libxml.",
        )
        for column in columns
        if refusal
    ]


def check_icu(session: Session, columns: t.Collection[Need]) -> list[Finding]:
    """Return the columns that ICU sorts: a server without it makes and fills them, and cannot take statistics then."""
    findings = []
    for name in sorted({column.what for column in columns}):
        compare = sql.SQL("SELECT 'a' COLLATE {0} < 'b' COLLATE {0}").format(sql.Identifier("pg_catalog", name))
        # A server that does not have the collation refuses to make the column.
        if (refusal := refusal_of(session, compare)) and "ICU" in refusal:
            findings += [
                Finding(
                    "error",
                    "icu",
                    column.object,
                    f'the collation "{name}" sorts it: {refusal}.',
                    "Use a target that is built with ICU, or give the column another collation on the source.",
                )
                for column in columns
                if column.what == name
            ]
    return findings


def check_locale(session: Session, locale: Locale) -> list[Finding]:
    """Return whether a database of the source's locale can be made."""
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
    statement = sql.SQL("CREATE COLLATION pg_temp.probe (locale = {}, provider = {})")
    for name, provider in sorted(wanted):
        refusal = refusal_of(session, statement.format(name, sql.Identifier(provider)))
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


def collations_of(locale: Locale, needs: t.Iterable[Need]) -> sql.Composed:
    """Return the query for which of the needed collations a server has for databases of a locale's encoding."""
    return sql.SQL(
        "SELECT collname FROM pg_collation WHERE collnamespace = 'pg_catalog'::regnamespace"
        " AND collencoding IN (-1, pg_char_to_encoding({})) AND collname = ANY({}::text[])"
    ).format(locale.encoding, sorted({need.what for need in needs}))


def check_collations(present: t.Container[str], needs: t.Iterable[Need]) -> list[Finding]:
    """Return the objects that use a collation which the target's server has not found on its machine."""
    return [
        Finding(
            "error",
            "collation",
            need.object,
            f'it uses the collation "{need.what}", which a server has if its machine had such a locale when it was '
            "made; the target's server has none.",
            "Install the locale there and call pg_import_system_collations(), or use another collation on the source.",
        )
        for need in needs
        if need.what not in present
    ]
