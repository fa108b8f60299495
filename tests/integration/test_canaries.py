# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that fail, refuse and find differences, at the highest verbosity: no value of users' is in what they leave."""

from __future__ import annotations

import typing as t

from tests.databases import Database, role
from tests.engine.test_canaries import CANARY, DIFFERENT
from tests.playbooks import Controller, Run

#: A check that the source's rows agree with, and the copy's do not: it fails while a row is loaded.
_LATE: t.Final = f"""
    CREATE FUNCTION late(v text) RETURNS boolean LANGUAGE sql AS
        $$ SELECT current_database() NOT LIKE '%staging' OR v::int > 0 $$;
    CREATE TABLE late (id int PRIMARY KEY, v text CHECK (late(v))); INSERT INTO late VALUES (1, '{CANARY}');
"""
_ORPHANS: t.Final = f"""
    CREATE TABLE parent (v text PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, v text REFERENCES parent);
    SET session_replication_role = replica; INSERT INTO child VALUES (7, '{CANARY}');
"""
_ALLOWED: t.Final = [{"object": "fk constraint public.child child_v_fkey", "reason": "known"}]


def assert_hidden(run: Run, controller: Controller) -> None:
    """Make sure that nothing of a run tells a canary, but for the inventory and the archives, which are the data."""
    files = [path for path in controller.folder.rglob("*") if path.is_file() and path.name != "inventory.json"]
    told = [path for path in files if controller.archive_root not in path.parents]
    assert any(path.name == "report.html" for path in told)
    assert len(told) > 10
    for text in [run.output, repr(run.events), *(path.read_bytes().decode(errors="replace") for path in told)]:
        assert CANARY not in text


def test_no_value_shows_up(sandbox: Controller, source: Database, target: Database) -> None:
    with role(source.server, "canary_reader", "SUPERUSER", f"{CANARY}password"):
        sandbox.vary(source_user="canary_reader", source_password=f"{CANARY}password")
        for side, value in ((source, f"{CANARY}s"), (target, f"{CANARY}t")):
            side.execute(DIFFERENT.format(value))
            side.execute(f"ALTER DATABASE {side.name} SET app.secret = '{value}'")
        source.execute(_ORPHANS)

        refused = sandbox.run("migrate.yml", "-vvvv")
        assert refused.rc != 0
        assert "fk constraint public.child child_v_fkey: 1 rows refer to a row of public.parent" in refused.message
        assert_hidden(refused, sandbox)

        different = sandbox.run("playbooks/verify.yml", "-vvvv", extra={"allowed_differences": _ALLOWED})
        assert different.rc != 0
        told = {entry["object"]: entry["message"] for entry in different.report("sandbox-db")["differences"]}
        assert "2 rows on both sides, but not the same ones: 1 missing: #" in told["table public.keyless"]
        assert told["database setting app.secret"] == "another value on the target than on the source"
        assert_hidden(different, sandbox)

        source.execute("DROP TABLE child")
        source.execute(_LATE)
        failed = sandbox.run("migrate.yml", "-vvvv", "--diff")
        assert failed.rc != 0
        assert "Cannot load the rows of table public.late: ERROR 22P02: invalid input syntax" in failed.message
        assert "The live database was not touched." in failed.message
        assert_hidden(failed, sandbox)
