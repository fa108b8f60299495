# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole migrations: everything arrives, the database before is kept, and a run that only asks changes nothing."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from tests import corpus
from tests.databases import APPLICATION, BEFORE, Database, database, untouched
from tests.playbooks import ROOT, Controller, Run
from tests.servers import Servers

_SAMPLE: t.Final = ROOT / "roles/lab/files/sigmasight.sql"
#: What the target of the incident held: the schema with all its foreign keys, and a part of the rows.
_PARTIAL: t.Final = """
    TRUNCATE position_market_betas, position_greeks, position_volatility, pairwise_correlations;
    DELETE FROM position_factor_exposures WHERE id NOT IN (SELECT id FROM position_factor_exposures LIMIT 2264);
"""
_REPORT_KEYS: t.Final = {
    "status",
    "tables",
    "foreign_keys",
    "sequences",
    "large_objects",
    "objects",
    "findings",
    "timings",
    "errors",
}
_TABLE_KEYS: t.Final = {
    "schema",
    "name",
    "source_rows",
    "target_rows",
    "source_checksum",
    "target_checksum",
    "equal",
}


@dataclasses.dataclass(frozen=True)
class Incident:
    """The migration that started it all, done again."""

    controller: Controller
    source: Database
    target: Database
    #: what the target held before
    before: str
    run: Run


@pytest.fixture(scope="module")
def incident(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Incident]:
    """Migrate the incident's database onto a target that holds a part of it; tests leave both as they are."""
    with database(servers.source(), "", "sigmasight") as source, database(servers.target(), "", "railway") as target:
        for side in (source, target):
            side.server.run_sql_file(_SAMPLE, side.name)
        target.execute(_PARTIAL)
        before = target.contents()
        controller = Controller(tmp_path_factory.mktemp("incident"))
        controller.add_host("sandbox", source.variables("source"), target.variables("target"))
        yield Incident(controller, source, target, before, controller.migrate())


def test_what_a_run_leaves(incident: Incident) -> None:
    """What the reference tells of; what stages have told each other, definitions among it, is gone."""
    left = {path.name for path in (incident.controller.runs_root / "sandbox-db" / "latest").iterdir()}
    records = {"stages", "report.json", "report.html", "summary.json", "progress.jsonl"}
    assert left == {*records, "playbook_pid", "claim"}
    reference = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    section = reference.partition("\n## Files and folders\n")[2].partition("\n## ")[0]
    assert [name for name in left if name not in section] == []


def test_incident_arrives_whole(incident: Incident) -> None:
    """Not 0 of 76 positions, 2,264 of 29,262 exposures and 0 of 114 betas this time."""
    rows = {
        (table["name"], table["target_rows"])
        for table in incident.run.report("sandbox-db")["tables"]
        if table["name"] in ("positions", "position_factor_exposures", "position_market_betas")
    }
    assert rows == {("positions", 76), ("position_factor_exposures", 29262), ("position_market_betas", 114)}
    assert incident.target.query("SELECT count(*) FROM position_factor_exposures") == [(29262,)]
    assert incident.target.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(21,)]
    # The schema comes back in other words after one restore (casts in lists move), so the rows alone are compared.
    assert incident.target.contents("--data-only") == incident.source.contents("--data-only")


def test_incident_by_an_independent_judge(incident: Incident) -> None:
    """The corpus' fingerprint, which shares no code with ours, sees no difference."""
    wanted = corpus.fingerprint(incident.source.server, incident.source.name)
    assert len(wanted) >= 21
    assert corpus.fingerprint(incident.target.server, incident.target.name) == wanted


def test_report_of_a_migration(incident: Incident) -> None:
    """The report has the keys that the contract names, and all is well in it."""
    report = incident.run.report("sandbox-db")
    assert report.keys() >= _REPORT_KEYS
    assert report["status"] == "migrated"
    assert report["errors"] == []
    assert len(report["tables"]) == 21
    assert all(table.keys() >= _TABLE_KEYS and table["equal"] for table in report["tables"])
    assert all(table["source_rows"] == table["target_rows"] for table in report["tables"])
    folder = incident.run.folders["sandbox-db"]
    assert (folder / "report.html").is_file()
    assert (folder.parent / "latest").readlink() == folder.relative_to(folder.parent)
    assert "public.position_factor_exposures" in incident.run.output


def test_database_before_is_kept(incident: Incident) -> None:
    """It has another name now, and is otherwise as it was."""
    assert incident.target.generations() == ["railway", "railway__pgconvoy_previous"]
    assert incident.target.previous.contents() == incident.before


def test_verify_says_equal(incident: Incident) -> None:
    """A verdict changes nothing, and Ansible says so."""
    with untouched(incident.source, incident.target):
        run = incident.controller.run("playbooks/verify.yml")
    assert run.rc == 0, run.output
    assert run.stats["changed"] == {}
    assert run.report("sandbox-db")["status"] == "equal"


@pytest.mark.parametrize(
    ("playbook", "changed"), [("verify", {}), ("dump", {"sandbox-db": 1}), ("rollback", {"sandbox-db": 1})]
)
def test_check_mode_of_each_playbook(incident: Incident, playbook: str, changed: dict[str, int]) -> None:
    """It says what would change, and leaves nothing, not even a folder."""
    folders = incident.controller.run_folders()
    with untouched(incident.source, incident.target):
        run = incident.controller.run(f"playbooks/{playbook}.yml", "--check")
    assert run.rc == 0, run.output
    assert run.stats["changed"] == changed
    assert incident.controller.run_folders() == folders


def test_verify_names_the_table_that_misses_a_row(incident: Incident) -> None:
    """One row of some 36,000, and the verdict is another one."""
    delete = "DELETE FROM position_market_betas WHERE id = (SELECT max(id::text)::uuid FROM position_market_betas)"
    ((row,),) = incident.target.query(f"{delete} RETURNING position_market_betas::text")
    try:
        run = incident.controller.run("playbooks/verify.yml")
    finally:
        with incident.target.server.connect(incident.target.name) as connection:
            connection.execute("INSERT INTO position_market_betas SELECT (%s::text::position_market_betas).*", (row,))
    assert run.rc != 0
    assert "table public.position_market_betas: 114 rows on the source, 113 on the target" in run.message
    assert row.split(",")[0].strip("(") in run.message
    report = run.report("sandbox-db")
    assert report["status"] == "different"
    assert [table["name"] for table in report["tables"] if not table["equal"]] == ["position_market_betas"]


def test_only_one_generation_is_kept(sandbox: Controller, source: Database, target: Database) -> None:
    """The second run's previous database is what the first one made; what was before that is gone."""
    sandbox.migrate()
    assert target.contents() == source.contents()
    source.execute("INSERT INTO owner VALUES (3, 'new', NULL)")
    target.execute("CREATE TABLE written_meanwhile ()")
    between = target.contents()
    run = sandbox.run("playbooks/migrate.yml")
    assert run.rc == 0, run.output
    assert target.contents() == source.contents()
    assert target.generations() == [target.name, target.previous.name]
    assert target.previous.contents() == between


def test_nothing_to_do(incident: Incident) -> None:
    """A target that equals its source already is left as it is; no file tells that, but the two databases."""
    known = incident.controller.archives()
    with untouched(incident.source, incident.target, incident.target.previous):
        run = incident.controller.migrate()
    assert run.stats["changed"] == {}
    assert run.report("sandbox-db")["status"] == "unchanged"
    assert incident.controller.archives() == known


def test_several_hosts_and_no_live_database(servers: Servers, source: Database, controller: Controller) -> None:
    """Each host of the group gets its copy; where there is no live database, the copy simply takes its name."""
    with database(servers.target(), BEFORE) as live, database(servers.target(), BEFORE) as dropped:
        servers.target().drop_database(dropped.name)
        for name, target in (("one", live), ("two", dropped)):
            controller.add_host("sandbox", source.variables("source"), target.variables("target"), name=name)
        run = controller.migrate()
        assert [run.report(host)["status"] for host in ("one", "two")] == ["migrated", "migrated"]
        assert live.contents() == dropped.contents() == source.contents()
        assert live.generations() == [live.name, live.previous.name]
        assert dropped.generations() == [dropped.name]


def test_check_mode_shows_rows_and_changes_nothing(sandbox: Controller, source: Database, target: Database) -> None:
    """It tells what would be replaced by what, and leaves no trace."""
    with untouched(source, target):
        run = sandbox.run("migrate.yml", "--check", "--diff")
    assert run.rc == 0, run.output
    assert run.stats["changed"] == {"sandbox-db": 4}, "dump, schema, data, switch"
    assert not sandbox.runs_root.exists()
    assert not sandbox.archive_root.exists()
    for line in ("-table public.forgotten: 1 rows", "-table public.item: 0 rows", "+table public.item: 3 rows"):
        assert f"\n{line}" in run.output


def test_role_that_owns_the_database_and_may_create_others(servers: Servers, controller: Controller) -> None:
    """No superuser is needed on either side: LOGIN on the source, LOGIN CREATEDB on the target."""
    with servers.source().connect() as source_server, servers.target().connect() as target_server:
        source_server.execute("CREATE ROLE plain LOGIN PASSWORD 'plainSecret1'")
        target_server.execute("CREATE ROLE creator LOGIN CREATEDB PASSWORD 'creatorSecret1'")
        try:
            with database(servers.source(), "") as source, database(servers.target(), "") as target:
                source_server.execute(f"ALTER DATABASE {source.name} OWNER TO plain")
                target_server.execute(f"ALTER DATABASE {target.name} OWNER TO creator")
                source.execute(f"SET ROLE plain; {APPLICATION}")
                target.execute(f"SET ROLE creator; {BEFORE}")
                controller.add_host(
                    "sandbox",
                    source.variables("source") | {"source_user": "plain", "source_password": "plainSecret1"},
                    target.variables("target") | {"target_user": "creator", "target_password": "creatorSecret1"},
                )
                controller.migrate()
                assert target.contents() == source.contents().replace("plain", "creator")
        finally:
            source_server.execute("DROP ROLE plain")
            target_server.execute("DROP ROLE creator")
