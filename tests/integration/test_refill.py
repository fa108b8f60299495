# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that fill the live database's own tables: a single one, or all of them under the schema that is there."""

from __future__ import annotations

import typing as t

import pytest

from tests.databases import Database, database, untouched
from tests.playbooks import Controller
from tests.servers import Servers

SHOP: t.Final = """
    CREATE TABLE customer (id int PRIMARY KEY, name text);
    CREATE TABLE "order" (id serial PRIMARY KEY, customer int REFERENCES customer);
    CREATE TABLE line (n int, "order" int REFERENCES "order");
    CREATE TABLE a (id int PRIMARY KEY, b int);
    CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
    ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
    INSERT INTO customer VALUES (1, 'of both');
"""


@pytest.fixture
def shop(controller: Controller, servers: Servers) -> t.Iterator[tuple[Controller, Database, Database]]:
    """Give a machine, a shop, and a copy of it that has gone its own way."""
    ours = 'INSERT INTO "order" (customer) VALUES (1), (1); INSERT INTO a VALUES (1); INSERT INTO b VALUES (2, 1);'
    theirs = """INSERT INTO "order" (customer) VALUES (NULL); INSERT INTO customer VALUES (2, 'target''s')"""
    with database(servers.source(), SHOP + ours) as source, database(servers.target(), SHOP + theirs) as target:
        controller.add_host("sandbox", source.variables("source"), target.variables("target"))
        yield controller, source, target


def test_a_single_table(shop: tuple[Controller, Database, Database]) -> None:
    """Migrated, found unchanged, verified, rolled back; and nothing else moves on the way."""
    controller, _, target = shop
    rest = ("--exclude-table-data=order", "--exclude-table-data=order_id_seq")
    before, others = target.contents(), target.contents(*rest)
    controller.vary(include_tables=["ord*"])

    run = controller.migrate()
    report = run.report("sandbox-db")
    assert report["status"] == "migrated"
    assert report["load"] == {
        "fk_strategy": "dependency_order",
        "load_order": ["public.order"],
        "cycles": [],
        "readded_keys": ["fk constraint public.line line_order_fkey"],
    }
    assert [(table["name"], table["target_rows"]) for table in report["tables"]] == [("order", 2)]
    assert [(entry["name"], entry["received_rows"], entry["conserved"]) for entry in report["ledger"]] == [
        ("order", 2, True)
    ]
    assert "key-leads-out" in {finding["code"] for finding in report["findings"]}
    assert target.query('SELECT count(*) FROM "order"') == [(2,)]
    assert target.contents(*rest) == others
    assert "public.order" in (run.folders["sandbox-db"] / "report.html").read_text(encoding="utf-8")

    again = controller.migrate()
    assert again.report("sandbox-db")["status"] == "unchanged"
    assert again.stats["changed"] == {}
    assert controller.run("playbooks/verify.yml").report("sandbox-db")["status"] == "equal"
    controller.vary(include_tables=None)
    assert controller.run("playbooks/verify.yml").report("sandbox-db")["status"] == "different"

    back = controller.run("playbooks/rollback.yml")
    assert back.rc == 0, back.output
    assert target.contents() == before

    # A previous database besides, and nothing tells which of the two ways back is meant.
    controller.migrate()
    refused = controller.run("playbooks/rollback.yml")
    assert refused.report("sandbox-db")["status"] == "refused"
    assert "There are two ways back" in refused.message
    assert controller.run("playbooks/rollback.yml", extra={"load_mode": "swap"}).rc == 0
    assert target.contents() == before


def test_all_tables_under_the_schema_that_is_there(shop: tuple[Controller, Database, Database]) -> None:
    controller, source, target = shop
    strategy = "disable_triggers"
    numbers = target.query("SELECT oid FROM pg_class WHERE relname = 'a'")
    controller.vary(fk_strategy=strategy)
    report = controller.migrate().report("sandbox-db")
    assert report["status"] == "migrated"
    assert report["load"]["cycles"] == [["public.a", "public.b"]]
    assert report["load"]["fk_strategy"] == strategy
    assert target.query("SELECT oid FROM pg_class WHERE relname = 'a'") == numbers
    assert target.contents() == source.contents()
    assert controller.migrate().stats["changed"] == {}


def test_what_is_refused_before_anything_is_asked(shop: tuple[Controller, Database, Database]) -> None:
    """A parent that the target lacks; another schema, of the selected tables or of any."""
    controller, source, target = shop
    source.execute('INSERT INTO customer VALUES (7); INSERT INTO "order" (customer) VALUES (7)')
    controller.vary(include_tables=["order"])
    with untouched(target):
        message = controller.refuse()
    assert (
        "rows of public.customer that the target does not have, and that table is not selected. Such rows are "
        in message
    )

    target.execute('ALTER TABLE "order" ADD note text; CREATE TABLE forgotten ()')
    with untouched(target):
        run = controller.run()
        report = run.report("sandbox-db")
        assert (report["status"], controller.archives()) == ("refused", [])
        found = {(f["code"], f["object"]) for f in report["findings"] if f["severity"] == "error"}
        assert found == {("schema-differs", "table public.order")}
        message = controller.refuse(extra={"include_tables": [], "fk_strategy": "dependency_order"})
        assert "table public.forgotten: only on the target" in message
