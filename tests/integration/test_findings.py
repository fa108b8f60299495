# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a whole run tells of its findings: at the terminal and in the report."""

from __future__ import annotations

from tests.databases import Database, role, untouched
from tests.playbooks import Controller


def test_warnings_at_the_terminal_and_in_the_report(sandbox: Controller, source: Database, target: Database) -> None:
    """A run that has nothing to do tells them, too."""
    sandbox.vary(allowed_differences=[{"object": "table public.misspelt", "reason": "none"}])
    with role(source.server, "reader", "SUPERUSER", "wealth"):
        sandbox.vary(source_user="reader", source_password="wealth")
        run = sandbox.migrate()
        again = sandbox.run()
    findings = {(f["severity"], f["code"]): f for f in run.report("sandbox-db")["findings"]}
    assert findings["warning", "allowed-unused"]["object"] == "table public.misspelt"
    assert findings["warning", "only-live"]["object"] == f'database "{target.name}"'
    assert "tables, 1 in number: public.forgotten (1 rows)" in findings["warning", "only-live"]["message"]
    for told in (
        "table public.misspelt: allowed_differences names it, and nothing of that name differs",
        "it holds what the source does not, and what the run takes out of service",
    ):
        assert told in " ".join(run.output.split()), run.output
    assert again.report("sandbox-db")["status"] == "unchanged"
    assert ("warning", "allowed-unused") in {(f["severity"], f["code"]) for f in again.report("sandbox-db")["findings"]}


def test_password_that_is_a_table_s_name(sandbox: Controller, source: Database, target: Database) -> None:
    with role(source.server, "reader", "SUPERUSER", "item"):
        sandbox.vary(source_user="reader", source_password="item")
        run = sandbox.run("migrate.yml", "--check")
    assert run.rc == 0, run.output
    assert "source_password: it is so short, or so much like a name or a word in the output" in " ".join(
        run.output.split()
    )


def test_archive_root_that_cannot_be_written(sandbox: Controller, target: Database) -> None:
    (sandbox.folder / "file").write_text("")
    sandbox.vary(archive_root=str(sandbox.folder / "file" / "archives"))
    assert "is not a directory in which this user may write. Point archive_root elsewhere." in sandbox.refuse()


def test_runs_root_that_cannot_be_written(sandbox: Controller, source: Database, target: Database) -> None:
    """It is told with what to do, though there is no folder for a report."""
    (sandbox.folder / "file").write_text("")
    sandbox.vary(runs_root=str(sandbox.folder / "file"))
    with untouched(source, target):
        message = sandbox.refuse()
    assert f"No folder of this run's can be made in {sandbox.folder}/file/sandbox-db: Not a directory." in message
    assert "Point runs_root elsewhere" in message
