# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database's properties in the words of a real server: written to it, and read back from its catalog."""

from __future__ import annotations

import dataclasses

import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.database import (
    Locale,
    split_setting,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.locales import reword_locale
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.properties import set_statement, split_list
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.migration import endpoint
from tests.servers import Servers

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20) | st.sampled_from(
    ["public", "$user", 'a "b"', "a, b", "a'b", "Select", "select", " ", "", '"', "a=b", "\\", "é"]
)


def test_search_paths_of_a_server(servers: Servers) -> None:
    """What a server stores of a list is what split_list reads, and what set_statement sets again."""
    with servers.source().connect() as session:

        def stored() -> str:
            row = session.execute(
                "SELECT setconfig[1] FROM pg_db_role_setting"
                " WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = 'template1')"
            ).fetchone()
            assert row is not None
            return split_setting(row[0])[1]

        @settings(max_examples=200, deadline=None)
        @given(st.lists(NAMES, min_size=1, max_size=5))
        def check(names: list[str]) -> None:
            session.execute(
                sql.SQL("ALTER DATABASE template1 SET search_path TO {}").format(
                    sql.SQL(", ").join(map(sql.Literal, names))
                )
            )
            first = stored()
            assert split_list(first) == names
            session.execute("ALTER DATABASE template1 RESET search_path")
            session.execute(set_statement(sql.Identifier("template1"), None, "search_path", first))
            assert stored() == first

        try:
            check()
        finally:
            session.execute("ALTER DATABASE template1 RESET search_path")


@pytest.mark.parametrize(("major", "wanted"), [("15", "en_US"), ("16", "en-US"), ("18", "en-US")])
def test_icu_locale_in_the_target_s_words(servers: Servers, major: str, wanted: str) -> None:
    """From 16 on a language tag is kept; a server built without ICU leaves the name as it is, and nothing stays."""
    server = servers.target(major)
    locale = Locale("UTF8", "icu", "C", "C", "en_US", None)
    with connect(endpoint("target", server, "postgres")) as session:
        try:
            with session.transaction(force_rollback=True):
                session.execute("CREATE COLLATION pg_temp.probe (PROVIDER = icu, LOCALE = 'en')")
        except psycopg.errors.FeatureNotSupported:
            wanted = "en_US"
        assert reword_locale(session, locale) == dataclasses.replace(locale, locale=wanted)
        plain = dataclasses.replace(locale, provider="libc", locale=None)
        assert reword_locale(session, plain) == plain
        left = "SELECT FROM pg_catalog.pg_collation WHERE collname = 'spelt'"
        assert session.execute(left).fetchall() == []
