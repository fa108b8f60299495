# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server can do depends on how it was built and where it runs: locales, collations, compression, libraries."""

from __future__ import annotations

import typing as t

from psycopg import sql

from ...catalog.database import Locale
from ...catalog.requirements import Need, Requirements
from ...endpoint import Session
from ..findings import Finding
from .asking import is_superuser, refusal_of


def check_build(session: Session, locale: Locale, needs: Requirements) -> list[Finding]:
    """Return what the target's server was not built for, or does not find on its machine.

    Each is told by something made of it in a transaction that is undone.
    """
    return [
        *_check_predefined_collations(session, locale, needs.predefined),
        *_check_needs(
            session,
            needs.libc,
            "collation",
            "locale",
            "CREATE COLLATION pg_temp.probe (locale = {})",
            "Install the locale on the target's server, or drop the collation on the source.",
        ),
        *_check_needs(
            session,
            needs.icu,
            "collation",
            "icu",
            "CREATE COLLATION pg_temp.probe (locale = 'und', provider = {})",
            "Use a target that is built with ICU, or drop the collation on the source.",
        ),
        *_check_needs(
            session,
            needs.xml,
            "column",
            "xml",
            "SELECT xmlparse(CONTENT '<a/>') AS {}",
            "Use a target that is built with libxml.",
        ),
        *_check_needs(
            session,
            needs.lz4,
            "column",
            "lz4",
            "CREATE TEMPORARY TABLE probe (value text COMPRESSION {})",
            "Use a target that is built with lz4, or ALTER TABLE ... SET COMPRESSION pglz on the source.",
        ),
        *_check_needs(
            session,
            needs.libraries if is_superuser(session) else (),
            "",
            "library",
            "CREATE FUNCTION pg_temp.probe() RETURNS void LANGUAGE c AS {}",
            "Install the library on the target's server, or drop the function on the source.",
        ),
    ]


def _check_needs(
    session: Session, needs: t.Iterable[Need], kind: str, code: str, statement: t.LiteralString, remedy: str
) -> list[Finding]:
    """Return the objects that need what the statement, made for it, is refused for.

    :param statement: with a place for what is needed
    """
    refusals: dict[str, str | None] = {}
    for need in needs:
        if need.what not in refusals:
            what = sql.Identifier(need.what) if code in ("lz4", "xml") else sql.Literal(need.what)
            refusals[need.what] = refusal_of(session, sql.SQL(statement).format(what))
    return [
        Finding("error", code, f"{kind} {need.object}".lstrip(), f"it needs {need.what}: {refusal}.", remedy)
        for need in needs
        # A libc locale of another encoding than the database has in which this is tried tells nothing.
        if (refusal := refusals[need.what]) and "encoding" not in refusal
    ]


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


def _check_predefined_collations(session: Session, locale: Locale, needs: t.Iterable[Need]) -> list[Finding]:
    present = {
        name
        for (name,) in session.execute(
            "SELECT collname FROM pg_collation WHERE collnamespace = 'pg_catalog'::regnamespace"
            " AND collencoding IN (-1, pg_char_to_encoding(%s))",
            (locale.encoding,),
        ).fetchall()
    }
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
