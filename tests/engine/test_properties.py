# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of names, written to a real server and read back from its catalog."""

from __future__ import annotations

from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.database import split_setting
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.properties import set_statement, split_list
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

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
