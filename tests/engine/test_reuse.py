# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump whose source has not changed since is reused; the least change, or a doubt, makes a new one."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.reuse import find_earlier
from ansible_collections.pgconvoy.migrate.plugins.module_utils.archive.writer import write_archive
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.queries import Query
from ansible_collections.pgconvoy.migrate.plugins.module_utils.catalog.selection import Patterns
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import choose_tools

from tests.databases import Database
from tests.migration import endpoint

_LIVE: t.Final = """
    CREATE TABLE owner (id serial PRIMARY KEY, name text NOT NULL);
    CREATE TABLE item (id int, price numeric, owner int REFERENCES owner);
    CREATE MATERIALIZED VIEW names AS SELECT count(*) FROM owner;
    INSERT INTO owner (name) VALUES ('Ana'), ('Bea'); INSERT INTO item VALUES (1, 1.0, 1);
"""
_CHANGES: t.Final = (
    "UPDATE item SET price = 1.00",
    "INSERT INTO owner VALUES (7, 'Cleo')",
    "SELECT nextval('owner_id_seq')",
    "SELECT setval('owner_id_seq', 2, false)",
    "SELECT lo_put(70001, 0, 'L')",
    "ALTER TABLE item ALTER price SET DEFAULT 2",
    "COMMENT ON TABLE item IS 'sold'",
    "GRANT SELECT ON item TO PUBLIC",
)


def test_reuse(source: Database, tmp_path: Path) -> None:
    """What changes nothing that an archive holds, as VACUUM, makes none; each change, and another question, does."""
    source.execute(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {_LIVE}")
    side, tools = endpoint("source", source.server, source.name), choose_tools(18, 18, "")
    host = tmp_path / "host"

    def dump(**asked: t.Any) -> bool:
        """Return whether a new archive was written, and nothing else is left."""
        before = sorted(host.glob("*"))
        earlier = find_earlier(tmp_path, "host")
        folder = host / f"{len(before):04}Z-0"
        archive = write_archive(side, tools, folder, 1, earlier=earlier, **asked)
        new = sorted({*host.iterdir()} - {*before})
        assert new in ([], [folder])
        assert (archive is earlier) == (not new)
        return bool(new)

    assert dump()
    assert not dump()
    with source.server.connect(source.name) as connection:
        connection.autocommit = True
        connection.execute("VACUUM (FULL, ANALYZE)")
    assert not dump()
    for change in _CHANGES:
        source.execute(change)
        assert dump(), change
        assert not dump(), change
    assert dump(patterns=Patterns(include=("owner",)))
    assert dump(queries=[Query("how many", "SELECT count(*) FROM item", "same")])
    assert dump(summed=True)
    assert not dump(summed=True)

    # One that is damaged is none, nor is any before it.
    newest = max(host.iterdir())
    with next(newest.glob("rows-*")).open("r+b") as rows:
        rows.write(b"X")
    assert dump(summed=True)
    assert not dump(summed=True)
