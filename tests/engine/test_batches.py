# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that travel together: the one that fails is named, and what is around it goes on."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.batches import Statement, execute_all
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import connect

from tests.databases import Database
from tests.migration import endpoint

_STATEMENTS = [
    Statement("create one", b"CREATE TABLE public.one ()"),
    Statement("create two", b"CREATE TABLE public.two (a none_such)"),
    Statement("create three", b"CREATE TABLE public.three ()"),
]


@pytest.mark.parametrize("within", [False, True], ids=["by itself", "within a transaction"])
def test_the_one_that_fails_is_named(target: Database, within: bool) -> None:
    """With the server's own words, not those of what came after; a transaction that is around it can go on."""
    with connect(endpoint("target", target.server, target.name)) as session:
        around = session.transaction() if within else contextlib.nullcontext()
        with around:
            with pytest.raises(
                MigrationError, match=r'^Cannot create two: ERROR 42704: type "none_such" does not exist'
            ):
                execute_all(session, _STATEMENTS)
            execute_all(session, [Statement("create four", b"CREATE TABLE public.four ()")])
    assert target.query("SELECT to_regclass('public.four')::text, to_regclass('public.three')::text") == [
        ("four", None)
    ]
