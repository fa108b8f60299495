# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pure parts: the typed phrase, the plan's words, the findings' lines, the run's folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.plan import steps
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.confirmation import require_confirmation
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.folder import RunFolder
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.comparison import Verdict
from ansible_collections.pgconvoy.migrate.plugins.module_utils.verdict.findings import Difference, Finding, tell_errors

TARGET = Endpoint("target", "h", 5432, "app", "me")
DIFFERENT = Verdict(differences=(Difference("table public.t", "missing on the target"),))


@pytest.mark.parametrize(
    ("production", "phrase", "answer", "opens"),
    [
        (False, "", "", True),
        (False, "", "anything", True),
        (False, "GO", "GO", True),
        (False, "GO", "", False),
        (False, "GO", "go", False),
        (True, "", "", False),
        (True, "", "MIGRATE PRODUCTION", True),
        (True, "", "migrate production", False),
        (True, "", "MIGRATE PRODUCTION ", False),
        (True, "OTHER", "MIGRATE PRODUCTION", False),
        (True, "OTHER", "OTHER", True),
    ],
)
def test_gate(production: bool, phrase: str, answer: str, opens: bool) -> None:
    if opens:
        require_confirmation(production, phrase, answer, TARGET)
    else:
        with pytest.raises(MigrationError, match="was not typed"):
            require_confirmation(production, phrase, answer, TARGET)


def test_plan() -> None:
    assert steps("dump", None, False, None) == ["dump the source, as it is at one instant, into an archive"]
    assert steps("verify", TARGET, True, None) == []
    assert steps("migrate", TARGET, True, Verdict()) == [], "equal already"
    assert steps("restore", TARGET, False, None)[-1] == 'rename "app__pgconvoy_staging" to "app"'
    assert steps("migrate", TARGET, True, DIFFERENT)[-2:] == [
        'rename "app" to "app__pgconvoy_previous", the undo',
        'rename "app__pgconvoy_staging" to "app"',
    ]


def test_only_errors_are_told() -> None:
    findings = [Finding("warning", "w", "a", "hm."), Finding("error", "e", "role x", "it is missing.", "Make it.")]
    assert tell_errors(findings) == "- role x: it is missing. Make it."
    assert tell_errors(findings[:1]) == ""


def test_run_folder(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "host")
    folder.write_record("b", {"began_at": "2026-01-01T00:00:00", "x": "é"})
    folder.write_record("a", {"began_at": "2026-01-01T00:00:01"})
    assert list(folder.read_records()) == ["b", "a"]
    assert folder.read_records()["b"]["x"] == "é"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder.path / "stages").iterdir()} == {0o600}
    assert RunFolder.create(tmp_path, "host").run_id != folder.run_id


def test_later_run_has_a_later_name(tmp_path: Path) -> None:
    """Also where the clock was ahead before: rollbacks and promotions take the newest by its name."""
    ahead = tmp_path / "other" / "20991231T235959Z-ffffff"
    ahead.mkdir(parents=True)
    (tmp_path / "host" / "2100-kept by handZ-").mkdir(parents=True)
    first, second = (RunFolder.create(tmp_path, "host").run_id for _ in range(2))
    assert [first[:-6], second[:-6]] == ["21000101T000000Z-", "21000101T000001Z-"]
