# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Production: its database is replaced after the phrase was typed, and in no other way."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.staging.names import Generations

from tests.databases import Database, untouched
from tests.playbooks import Controller, Run, wait_until

_PHRASE: t.Final = "MIGRATE PRODUCTION"
_PROMPT: t.Final = r"Type MIGRATE PRODUCTION to go on; anything else leaves it as it is:"


@pytest.fixture
def production(controller: Controller, source: Database, target: Database) -> Controller:
    """Give a machine whose only host is one of production."""
    controller.add_host("production", source.variables("source"), target.variables("target"))
    return controller


def test_phrase_typed(production: Controller, source: Database, target: Database) -> None:
    """Whoever types it gets the migration; what is replaced is told before."""
    run = production.run(limit="production", answers={_PROMPT: _PHRASE})
    assert run.rc == 0, run.output
    told, asked = (run.output.index(text) for text in ("what this run replaces", "This replaces the database"))
    assert told < asked
    assert f"This replaces the database {target.name} at 127.0.0.1:{target.server.port} (production-db)." in run.output
    assert "public.forgotten: 1 row fewer, and the table goes" in run.output[told:asked]
    assert target.contents() == source.contents()
    report = run.report("production-db")
    assert report["status"] == "migrated"
    assert {line.partition("  ")[0] for line in report["question"]} > {
        "live now",
        "lost",
        "gained",
        "the undo",
        "tried",
    }


def test_phrase_supplied(production: Controller, source: Database, target: Database) -> None:
    """A run that nobody attends carries the phrase itself, and is not asked."""
    run = production.run(limit="production", extra={"confirm_answer": _PHRASE})
    assert run.rc == 0, run.output
    assert "Type MIGRATE PRODUCTION" not in run.output
    assert "public.forgotten: 1 row fewer, and the table goes" in run.output
    assert target.contents() == source.contents()

    # There is nothing to do any more, so nothing to ask.
    again = production.run(limit="production")
    assert again.rc == 0, again.output
    report = again.report("production-db")
    assert (report["status"], report["question"]) == ("unchanged", [])

    # The last run tells how long another one will take, and since when its content is there.
    source.execute("DELETE FROM item WHERE id = 1")
    with untouched(source, target):
        looked = production.run("migrate.yml", "--check", limit="production")
    assert f"(run {report_id(run)}) and of what clients did since" in looked.output
    assert f"for the copy, by run {report_id(run)}" in looked.output


def report_id(run: Run) -> str:
    return run.folders["production-db"].name


def test_another_phrase_typed(production: Controller, source: Database, target: Database) -> None:
    """Yes is not enough."""
    with untouched(source, target):
        run = production.run(limit="production", answers={_PROMPT: "migrate production"})
    assert run.rc != 0
    assert f'the phrase "{_PHRASE}" was not typed' in run.message
    assert f"The database {target.name} at 127.0.0.1:{target.server.port} is left as it was" in run.message
    assert run.report("production-db")["status"] == "refused"
    assert production.archives() == []


def test_no_terminal(production: Controller, source: Database, target: Database) -> None:
    """Nobody can have typed it."""
    with untouched(source, target):
        rc, output = production.start("migrate.yml", "--limit=production").finish()
    assert rc != 0
    assert f'the phrase "{_PHRASE}" was not typed' in output
    assert "production-db: refused" in output
    assert production.archives() == []


def test_ctrl_c_while_it_asks(production: Controller, source: Database, target: Database) -> None:
    """One is enough, and refuses the run like any other answer."""
    with untouched(source, target):
        run = production.run(limit="production", answers={_PROMPT: "\x03"})
    assert run.rc != 0
    assert f'the phrase "{_PHRASE}" was not typed' in run.message
    assert run.report("production-db")["status"] == "refused"


def test_terminal_that_goes_while_it_asks(production: Controller, source: Database, target: Database) -> None:
    """Nobody waits for the answer any more."""
    with untouched(source, target):
        run = production.start("migrate.yml", "--limit=production", terminal=True)
        assert run.process.stdout
        shown = ""
        while "anything else leaves it" not in shown:
            shown += run.process.stdout.read(1) or pytest.fail(shown)
        run.process.kill()
        run.finish()
        wait_until(lambda: not run.processes())


@pytest.mark.parametrize(
    "variables",
    [
        {"confirm_phrase": ""},
        {"confirm_phrase": "", "confirm_confirm_phrase": "", "group_names": []},
        {"confirm_phrase": "", "group_names": [], "groups": {"production": [], "sandbox": ["production-db"]}},
        {"confirm_answer": "yes"},
        {"confirm_pause": {"user_input": "yes"}},
    ],
    ids=lambda variables: ",".join(variables),
)
def test_variables_do_not_open_it(
    production: Controller, source: Database, target: Database, variables: dict[str, object]
) -> None:
    """A host of the group production is asked for the phrase, whatever is set; anything else typed is a refusal."""
    with untouched(source, target):
        run = production.run(limit="production", answers={_PROMPT: "no"}, extra=variables)
    assert run.rc != 0
    assert f'the phrase "{_PHRASE}" was not typed' in run.message
    assert run.report("production-db")["status"] == "refused"
    assert production.archives() == []


def test_module_is_a_gate_by_itself(production: Controller, source: Database, target: Database) -> None:
    """Where the role confirm was talked out of asking, the first module that writes to the target still refuses."""
    with untouched(source, target):
        none = dict.fromkeys(("confirm_wanted", "schema_restore_confirm_phrase", "switch_confirm_phrase"), "")
        run = production.run(limit="production", extra=none)
    assert run.rc != 0
    assert f'the phrase "{_PHRASE}" was not typed' in run.message


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--tags=schema_restore,data_restore,switch", "Leave out --tags and --skip-tags"),
        ("--skip-tags=confirm", "Leave out --tags and --skip-tags"),
        ("--skip-tags=always", "Leave out --tags and --skip-tags"),
        ("--skip-tags=tagged", "Leave out --tags and --skip-tags"),
        ("--start-at-task='Restore the schema beside the live database'", "'preflight_result' is undefined"),
        ("--start-at-task='Switch the live database'", "'preflight_result' is undefined"),
        ("--start-at-task='Write the report'", "leave out --start-at-task"),
    ],
)
def test_run_in_parts_does_not_open_it(
    production: Controller, source: Database, target: Database, option: str, told: str
) -> None:
    """A run that leaves the gate out does not get past it, and does not end well either."""
    with untouched(source, target):
        message = production.refuse("migrate.yml", option, limit="production")
    assert told in message


def test_step_that_leaves_out_the_verdict(sandbox: Controller, source: Database, target: Database) -> None:
    """Whoever goes step by step may leave out any; nothing goes live that was not judged."""
    # Of what is shown, ansible-runner looks at the last 100 characters; what was asked is shown again, with stars.
    answers = {r"Compare every table \(N\)o/\(y\)es/\(c\)ontinue: \Z": "n", r"\(c\)ontinue: \Z": "y"}
    with untouched(source, target):
        run = sandbox.run("migrate.yml", "--step", answers=answers)
    assert run.rc != 0
    assert "The switch did not happen. This run has not verified the copy" in run.message
    assert run.report("sandbox-db")["status"] == "failed"


def test_check_mode_asks_nothing_and_changes_nothing(
    production: Controller, source: Database, target: Database
) -> None:
    """To look at the plan needs no phrase; who is in the database is told, also where it is filled in place."""
    with untouched(source, target), target.server.connect(target.name):
        run = production.run("migrate.yml", "--check", limit="production", extra={"load_mode": "in_place"})
    assert run.rc == 0, run.output
    assert "Type MIGRATE PRODUCTION" not in run.output
    assert "connected  1 in number: session " in run.output


def test_every_writing_playbook_is_gated(production: Controller, source: Database, target: Database) -> None:
    """A restore and a rollback ask as well; a dump leaves the target alone and asks nothing."""
    dumped = production.run("playbooks/dump.yml", limit="production")
    assert dumped.rc == 0, dumped.output
    archive = dumped.result("dump")["archive"]
    target.server.create_database(Generations(target.name).previous)
    with untouched(source, target):
        for playbook, extra in (("restore", {"archive": archive}), ("rollback", {})):
            run = production.run(f"playbooks/{playbook}.yml", limit="production", answers={_PROMPT: "no"}, extra=extra)
            assert run.rc != 0
            assert f'the phrase "{_PHRASE}" was not typed' in run.message
            assert run.report("production-db")["status"] == "refused"


def test_sandbox_asks_nothing(sandbox: Controller, source: Database, target: Database) -> None:
    """Trying it out is free, also without a terminal."""
    rc, output = sandbox.start("migrate.yml", "--limit=sandbox").finish()
    assert rc == 0, output
    assert "Type " not in output
    assert "what this run replaces" not in output
    assert target.contents() == source.contents()
