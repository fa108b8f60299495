# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locales in a server's own words."""

from __future__ import annotations

import contextlib
import dataclasses

import psycopg
from psycopg import sql

from ..server.endpoint import Session
from .database import Locale


def reword_locale(session: Session, locale: Locale) -> Locale:
    """Return the locale as the session's server spells it, as it came where the server does not know it.

    ICU's ``en_US`` is ``en-US`` from 16 on, and the provider builtin's ``C.UTF8`` is ``C.UTF-8`` (DefineCollation in
    collationcmds.c and createdb in dbcommands.c spell alike); what the C library knows keeps its name. A collation is
    made of it and undone.
    """
    if locale.locale is None:
        return locale
    column = "colllocale" if session.info.server_version >= 170000 else "colliculocale"
    with contextlib.suppress(psycopg.Error), session.transaction(force_rollback=True):
        session.execute(
            sql.SQL("CREATE COLLATION pg_temp.spelt (provider = {}, locale = {})").format(
                sql.Identifier(locale.provider), locale.locale
            )
        )
        row = session.execute(
            f"SELECT {column} FROM pg_catalog.pg_collation"
            " WHERE collname = 'spelt' AND collnamespace = pg_catalog.pg_my_temp_schema()"
        ).fetchone()
        return dataclasses.replace(locale, locale=row[0] if row else locale.locale)
    return locale
