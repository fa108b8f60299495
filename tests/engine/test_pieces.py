# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A large relation is read in pieces, which together are the whole."""

from __future__ import annotations

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog import reading
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.snapshot import exported_snapshot

from tests.case import new_case
from tests.migration import prepare
from tests.servers import Servers


def test_pieces_cover_the_whole(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No row is counted twice or left out, wherever a relation is cut."""
    with new_case(servers.source(), servers.target()) as case:
        case.run(
            "create table t(id int, v text); insert into t select g, repeat('x', 100) from generate_series(1, 999) g"
        )
        folder = tmp_path_factory.mktemp("unused")
        source = prepare(case.source, case.name, case.target, case.name, folder / "archive").source
        read = []
        for pages in (1, 3, 1 << 20):
            monkeypatch.setattr(reading, "_PIECE_PAGES", pages)
            with exported_snapshot(source) as snapshot:
                read.append(
                    [m.rows for m in reading.read_content(reading.Reading(snapshot, 2, "pg_catalog")).relations]
                )
        assert read[0] == read[1] == read[2]
        assert [rows.count for rows in read[0] if rows] == [999]
