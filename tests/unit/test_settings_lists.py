# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that are lists of names: read as PostgreSQL stores them."""

from __future__ import annotations

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.database import split_setting
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.properties import set_statement, split_list
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql


def stored(names: list[str]) -> str:
    """Join names as the server does when all of them need quotes."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


@given(st.lists(st.text()))
def test_quoted_names(names: list[str]) -> None:
    assert split_list(stored(names)) == names


@given(st.lists(st.text("abc_09", min_size=1)))
def test_bare_names(names: list[str]) -> None:
    assert split_list(", ".join(names)) == names


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ('"$user", public', ["$user", "public"]),
        ("public,app", ["public", "app"]),
        ('""', [""]),
        ("", []),
        ('a, "", "b, ""c"""', ["a", "", 'b, "c"']),
    ],
)
def test_split_list(value: str, names: list[str]) -> None:
    assert split_list(value) == names


@pytest.mark.parametrize(
    ("setting", "pair"), [("a=b", ("a", "b")), ("app.x=y=z", ("app.x", "y=z")), ("search_path=", ("search_path", ""))]
)
def test_split_setting(setting: str, pair: tuple[str, str]) -> None:
    assert split_setting(setting) == pair


@pytest.mark.parametrize(
    ("role", "name", "value", "statement"),
    [
        (None, "work_mem", "8MB", """ALTER DATABASE "d" SET "work_mem" TO '8MB'"""),
        (None, "app.Odd", "a, b", """ALTER DATABASE "d" SET "app"."Odd" TO 'a, b'"""),
        (None, "search_path", 'a, "B c"', """ALTER DATABASE "d" SET "search_path" TO 'a', 'B c'"""),
        (None, "search_path", "", """ALTER DATABASE "d" SET "search_path" TO ''"""),
        ("r x", "timezone", "UTC", """ALTER ROLE "r x" IN DATABASE "d" SET "timezone" TO 'UTC'"""),
    ],
)
def test_set_statement(role: str | None, name: str, value: str, statement: str) -> None:
    assert set_statement(sql.Identifier("d"), role, name, value).as_string(None) == statement
