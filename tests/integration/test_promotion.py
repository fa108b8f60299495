# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive that was tried on sandbox goes to production, on as many hosts as are asked for."""

from __future__ import annotations

import contextlib
import shutil

from tests.databases import BEFORE, Database, database, untouched
from tests.playbooks import Controller
from tests.servers import Servers

_PHRASE = "MIGRATE PRODUCTION"
_PROMPT = r"Type MIGRATE PRODUCTION to go on; anything else leaves it as it is:"


def test_latest_is_what_sandbox_has_tried(
    sandbox: Controller, source: Database, target: Database, servers: Servers
) -> None:
    """It is named in the question, the report and the diff; without any, the run is refused in one message."""
    with database(servers.target(), BEFORE) as live:
        sandbox.add_host("production", live.variables("target"))
        latest = {"archive": "latest"}
        with untouched(live):
            message = sandbox.refuse("playbooks/restore.yml", limit="production", extra=latest)
        assert "archive=latest: in " in message
        assert "no run of the group sandbox (sandbox-db)" in message

        tried = sandbox.migrate().report("sandbox-db")["archive"]
        with source.server.connect(source.name) as connection:
            connection.execute("UPDATE owner SET name = 'later'")
        # A dump that was not tried is none to promote.
        assert sandbox.run("playbooks/dump.yml").rc == 0
        run = sandbox.run("playbooks/restore.yml", limit="production", extra=latest, answers={_PROMPT: _PHRASE})
        assert run.rc == 0, run.output
        assert f"By the archive {tried}." in run.output
        assert run.report("production-db")["archive"] == tried
        assert live.contents() == target.contents() != source.contents()
        verified = sandbox.run("playbooks/verify.yml", limit="production", extra=latest)
        assert verified.report("production-db")["archive"] == tried, verified.output

        # What was restored on sandbox was tried as well; once it is gone, the one before is taken, and that is told.
        (dumped,) = (path for path in sandbox.archives() if str(path) != tried)
        assert sandbox.run("playbooks/restore.yml", extra={"archive": str(dumped)}).rc == 0
        seen = sandbox.run("playbooks/restore.yml", "--check", "--diff", limit="production", extra=latest)
        assert f"after the run, by the archive {dumped}" in seen.output
        shutil.rmtree(dumped)
        again = sandbox.run("playbooks/restore.yml", limit="production", extra=latest)
        assert again.report("production-db")["status"] == "unchanged", again.output
        assert f"archive {dumped}: the run sandbox-db/" in again.output


def test_several_hosts_at_once(sandbox: Controller, source: Database, servers: Servers) -> None:
    """Each is asked for by itself, also if the first is not; one that fails stops those alone that were not begun."""
    assert sandbox.run("playbooks/dump.yml").rc == 0
    again = sandbox.run("playbooks/dump.yml")
    assert again.stats["changed"] == {}, again.output
    (archive,) = sandbox.archives()
    assert again.report("sandbox-db")["archive"] == str(archive)
    assert f"dumped: unchanged since {again.report('sandbox-db')['reused_from']}" in again.output
    with contextlib.ExitStack() as stack:
        lives = [stack.enter_context(database(servers.target(), BEFORE)) for _ in range(4)]
        for number, live in enumerate(lives, 1):
            phrase = {"confirm_phrase": "" if number == 1 else f"REPLACE {number}"}
            sandbox.add_host("shops", live.variables("target"), name=f"shop-{number}", **phrase)
        answers = {
            "Type REPLACE 2 to go on; anything else leaves it as it is:": "REPLACE 2",
            # That of another host is none.
            "Type REPLACE 3 to go on; anything else leaves it as it is:": "REPLACE 2",
        }
        before = lives[3].contents()
        run = sandbox.run(
            "playbooks/restore.yml",
            "--forks=4",
            limit="shops",
            extra={"archive": str(archive), "at_once": 3},
            answers=answers,
        )
        assert run.rc != 0
        assert [live.contents() for live in lives] == [*[source.contents()] * 2, *[before] * 2]
    assert {host: run.report(host)["status"] for host in run.folders} == {
        "shop-1": "migrated",
        "shop-2": "migrated",
        "shop-3": "refused",
    }
    assert run.message.startswith("Not begun, since shop-3 failed")
