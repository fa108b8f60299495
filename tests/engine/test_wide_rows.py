# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that are too long for COPY's text form arrive in the binary one, or are named beforehand.

The limit is a gigabyte; here it is taken for less, so that rows need not be that long.
"""

from __future__ import annotations

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import wide_rows

from tests.case import new_case
from tests.servers import Servers

LIMIT = 100_000


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide_rows, "LIMIT", LIMIT)
    monkeypatch.setattr(wide_rows, "_TOAST_BYTES", 1)


TABLES = """
    create table files(id int primary key, name text, body bytea, at timestamptz default now(), price numeric,
        tags text[]);
    insert into files(id, name, body, price, tags) values (1, 'small', '\\x00ff0a0d5c', 1.50, '{a,NULL}'),
        (2, 'film', (select string_agg(sha256(g::text::bytea), '' order by g) from generate_series(1, 2000) g),
            null, null);
    create table notes(id int primary key, body bytea);
    insert into notes select g, sha256(g::text::bytea) from generate_series(1, 5) g;
"""


@pytest.mark.parametrize("major", ["15", "18"])
def test_in_binary(servers: Servers, major: str) -> None:
    """Of the one table whose text would be too long; rows are counted by who sends them."""
    with new_case(servers.source("15"), servers.target(major), TABLES) as case:
        outcome = case.arrives()
        assert outcome.manifest
        assert {table.name: table.format for table in outcome.manifest.tables} == {"files": "binary", "notes": "text"}
        assert outcome.received == {("public", "files"): 2, ("public", "notes"): 5}
        case.stays()


@pytest.mark.parametrize(
    "table",
    [
        "create table t(body bytea); insert into t select convert_to(repeat(md5('x'), 4000), 'UTF8')",
        "create type pair as (a int); create table t(body bytea, p pair);"
        " insert into t select convert_to(repeat(md5('x'), 2000), 'UTF8'), row(1)::pair",
    ],
)
def test_too_long_for_any_form(servers: Servers, table: str) -> None:
    with new_case(servers.source(), servers.target(), table) as case:
        case.run("alter table t alter body set storage external; update t set body = body || ''::bytea")
        assert case.finds("too-large") == [("error", "table public.t")]
