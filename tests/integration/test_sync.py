# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that bring only what differs: backed up before, told beforehand, and taken back."""

from __future__ import annotations

from tests import oracle
from tests.databases import APPLICATION, database, untouched
from tests.playbooks import Controller
from tests.servers import Servers

_EDITS = """
    UPDATE item SET price = 9.99 WHERE id = 3; INSERT INTO owner VALUES (3, 'new'); DELETE FROM item WHERE id = 1;
    SELECT setval('item_id_seq', 70), lo_put(70001, 0, 'LARGE');
"""


def test_there_and_back(servers: Servers, controller: Controller) -> None:
    with database(servers.source(), APPLICATION) as source, database(servers.target(), APPLICATION) as target:
        source.execute(_EDITS)
        controller.add_host("sandbox", source.variables("source"), target.variables("target"), load_mode="sync")
        before = target.lines()

        with untouched(source, target):
            told = controller.run("migrate.yml", "--check", "--diff", extra={"show_rows": 10}).output
        assert "table public.item: 2 rows" in told
        assert "table public.item: 0 rows to insert, 1 to update, 1 to delete; about " in told
        assert "table public.item: update (3)" in told
        assert "table public.item: delete (1)" in told
        assert "9.99" not in told

        controller.vary(verify_queries=[{"name": "never", "sql": "SELECT 1", "expect": 2}])
        with untouched(target):
            failed = controller.run("migrate.yml").report("sandbox-db")
        assert (failed["status"], failed["backup"]) == ("failed", None)
        assert "query never" in failed["errors"][0]["message"]
        assert not list(controller.archive_root.glob("*/backup/*")), "nothing was changed, so that nothing is to undo"
        controller.vary(verify_queries=[])

        report = controller.migrate().report("sandbox-db")
        oracle.assert_equal(source.server, source.name, target.server, target.name)
        assert (report["status"], report["load_mode"], report["live"]) == ("migrated", "sync", target.name)
        assert report["archive"] is None
        moved = {table["name"]: (table["inserted"], table["updated"], table["deleted"]) for table in report["tables"]}
        assert moved == {"empty": (0, 0, 0), "item": (0, 1, 1), "owner": (1, 0, 0)}
        assert all(entry["conserved"] for entry in report["ledger"])
        assert [(e["name"], e["kept_rows"], e["sent_rows"], e["received_rows"]) for e in report["ledger"]] == [
            ("empty", 0, 0, 0),
            ("item", 1, 1, 1),
            ("owner", 2, 1, 1),
        ]

        with untouched(source, target):
            again = controller.migrate()
        assert again.stats["changed"] == {}
        assert again.report("sandbox-db")["status"] == "unchanged"

        target.execute("INSERT INTO owner VALUES (9, 'a client')")
        told = controller.run("playbooks/rollback.yml", "--check", "--diff").output
        assert "table public.owner: 4 rows" in told
        back = controller.run("playbooks/rollback.yml")
        assert back.rc == 0, back.output
        report = back.report("sandbox-db")
        assert (report["status"], report["load_mode"]) == ("rolled_back", "sync")
        assert all(entry["conserved"] for entry in report["ledger"])
        target.execute("DELETE FROM owner WHERE id = 9")
        assert target.lines() == before


def test_tree_that_lies_otherwise(servers: Servers, controller: Controller) -> None:
    """Nothing of it moves, its leaves hold other rows than on the source, and no row is missed in the account."""
    labels = ", ".join(f"'{number}'" for number in range(30))
    script = f"""
        CREATE TYPE mood AS ENUM ({labels}); CREATE TABLE tree (m mood PRIMARY KEY) PARTITION BY HASH (m);
        CREATE TABLE leaf_0 PARTITION OF tree FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE leaf_1 PARTITION OF tree FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO tree SELECT unnest(enum_range(NULL::mood)); CREATE TABLE other (id int PRIMARY KEY);
    """
    before = "CREATE TYPE shifts AS ENUM ('numbers'); DROP TYPE shifts;"
    with database(servers.source(), script) as source, database(servers.target(), before + script) as target:
        assert source.query("TABLE leaf_0 ORDER BY 1") != target.query("TABLE leaf_0 ORDER BY 1")
        controller.add_host("sandbox", source.variables("source"), target.variables("target"), load_mode="sync")
        source.execute("INSERT INTO other VALUES (1)")
        ledger = controller.migrate().report("sandbox-db")["ledger"]
        assert {entry["name"]: entry["kept_rows"] for entry in ledger} == {"tree": 30, "other": 0}
        source.execute("DELETE FROM tree WHERE m = '7'")
        ledger = controller.migrate().report("sandbox-db")["ledger"]
        assert {entry["name"]: entry["kept_rows"] for entry in ledger} == {"tree": 29, "other": 1}


def test_refusals(servers: Servers, controller: Controller) -> None:
    """Another schema, an archive instead of the source, or a strategy that replaces the schema: nothing is changed."""
    with database(servers.source(), APPLICATION) as source, database(servers.target(), APPLICATION) as target:
        source.execute("ALTER TABLE item ADD note text")
        controller.add_host("sandbox", source.variables("source"), target.variables("target"), load_mode="sync")
        with untouched(source, target):
            assert refused(controller) == {("schema-differs", "table public.item")}
            controller.vary(fk_strategy="post_data")
            assert refused(controller) == {("sync-post-data", "load_mode sync")}


def refused(controller: Controller) -> set[tuple[str, str]]:
    report = controller.run().report("sandbox-db")
    assert report["status"] == "refused"
    return {(f["code"], f["object"]) for f in report["findings"] if f["severity"] == "error"}
