# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database's own properties: what CREATE DATABASE and ALTER DATABASE would say."""

from __future__ import annotations

import dataclasses
import typing as t

from ..server.endpoint import Session
from ..server.inquiry import Inquiry, answer, ask, together
from .in_force import Settings, ask_in_force
from .search_path import ask_serving_path

#: The setting by which a database bears a note of ours (verdict/note.py); it is none of the user's.
NOTE: t.Final = "pgconvoy.unchanged"


@dataclasses.dataclass(frozen=True)
class Locale:
    """How a database encodes, sorts and classifies text. ``provider`` is ``libc``, ``icu`` or ``builtin``."""

    encoding: str
    provider: str
    collate: str
    ctype: str
    #: the locale of the providers icu and builtin
    locale: str | None
    icu_rules: str | None


@dataclasses.dataclass(frozen=True)
class DatabaseProperties:
    """What a database is, apart from what it holds. Sizes are in bytes."""

    name: str
    server_version: int
    locale: Locale
    #: ALTER DATABASE ... SET, as name and value
    settings: tuple[tuple[str, str], ...]
    comment: str | None
    size: int
    #: what a session of the database starts with, which functions without a path of their own rely on
    search_path: str
    #: whether the schema public, which every new database has, is still there
    has_public: bool
    #: under which the database's expressions mean what they mean there, on any server (search_path.py)
    serving_path: str = "pg_catalog"
    #: what a session of the database begins with, by name and value; none in an archive that does not tell it yet
    in_force: Settings = ()

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.server_version // 10000

    @property
    def begun_with(self) -> Settings:
        """The settings under which the database's expressions yield what they yield there, on any server."""
        return self.in_force or self.settings


def read_database(session: Session) -> DatabaseProperties:
    """Return the properties of the database that the session is in; see `ask_database`."""
    return answer(session, ask_database(session.info.server_version))


def ask_database(version: int) -> Inquiry[DatabaseProperties]:
    """Ask for the properties of the database that a session is in.

    The session's search_path must be one that SET has pinned: ``reset_val`` then still tells the default.

    :param version: the server's
    """
    # 15 has the ICU locale alone, 16 adds the rules, 17 renames the column and adds the provider builtin.
    locale = "datlocale" if version >= 170000 else "daticulocale"
    rules = "daticurules" if version >= 160000 else "NULL"
    question = f"""
        SELECT datname, pg_catalog.pg_encoding_to_char(encoding),
               CASE datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' END,
               datcollate, datctype, {locale}, {rules},
               (SELECT setconfig FROM pg_catalog.pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0),
               pg_catalog.shobj_description(d.oid, 'pg_database'), pg_catalog.pg_database_size(d.oid),
               (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path'),
               EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public')
        FROM pg_catalog.pg_database d WHERE datname = pg_catalog.current_database()
        """.encode()
    (
        (((name, *described, settings, comment, size, search_path, has_public),),),
        serving_path,
        in_force,
    ) = yield from together(ask(question), ask_serving_path(), ask_in_force())
    return DatabaseProperties(
        name=name,
        server_version=version,
        locale=Locale(*described),
        settings=tuple(split_settings(settings or ())),
        comment=comment,
        size=size,
        search_path=search_path,
        has_public=has_public,
        serving_path=serving_path,
        in_force=in_force,
    )


def split_settings(settings: t.Iterable[str]) -> list[tuple[str, str]]:
    """Return name and value of each entry of pg_db_role_setting.setconfig that is not ours."""
    return [(name, value) for name, value in map(split_setting, settings) if name != NOTE]


def split_setting(setting: str) -> tuple[str, str]:
    """Return name and value of one entry."""
    name, _, value = setting.partition("=")
    return name, value
