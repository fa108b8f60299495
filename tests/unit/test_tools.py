# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which client tools are taken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.errors import MigrationError
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server import client_tools as tools
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.client_tools import (
    ClientTools,
    best_fit,
    choose_tools,
    tools_in,
)


def installed(*majors: int) -> list[ClientTools]:
    return [ClientTools(f"/{major}", f"{major}.3") for major in majors]


@pytest.mark.parametrize(
    ("majors", "source", "target", "best"),
    [
        ([15, 16, 18], 15, 15, 15),
        ([15, 16, 18], 15, 16, 16),
        ([15, 16, 18], 15, 18, 18),
        ([15, 16, 18], 16, 15, 16),
        ([15, 16, 18], 17, 15, 18),
        ([15, 16], 15, 18, 16),
        ([15, 16], 17, 18, None),
        ([15], 16, 15, None),
        ([18], 15, 15, 18),
        ([14, 18], 15, 16, 18),
        ([], 15, 15, None),
    ],
)
def test_best_fit(majors: list[int], source: int, target: int, best: int | None) -> None:
    found = best_fit(installed(*majors), source, target)
    assert (found.major if found else None) == best


def fake_tools(folder: Path, **versions: str) -> str:
    """Write programs that only tell their version."""
    folder.mkdir(exist_ok=True)
    for name, version in versions.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    return str(folder)


def test_explicit_directory(tmp_path: Path) -> None:
    bindir = fake_tools(tmp_path, pg_dump="17.2", pg_restore="17.2", psql="17.2")
    assert tools_in(bindir) == ClientTools(bindir, "17.2")
    assert choose_tools(15, 15, bindir).program("psql") == f"{bindir}/psql"
    with pytest.raises(MigrationError, match=r"version 17.2, older than the source \(PostgreSQL 18\)"):
        choose_tools(18, 18, bindir)


@pytest.mark.parametrize(
    "versions",
    [
        {},
        {"pg_dump": "17.2", "psql": "17.2"},
        {"pg_dump": "17.2", "pg_restore": "17.2", "psql": "16.2"},
        {"pg_dump": "of sorts", "pg_restore": "17.2", "psql": "17.2"},
    ],
)
def test_directory_without_whole_tools(tmp_path: Path, versions: dict[str, str]) -> None:
    with pytest.raises(MigrationError, match="not all there in one version"):
        tools_in(fake_tools(tmp_path, **versions))


def test_none_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason tells what was found and what is needed."""
    with pytest.raises(MigrationError, match=r"of PostgreSQL 99 or newer were found.*Found: .*18\.\d+ in "):
        choose_tools(99, 99)


def test_wheel_comes_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installed version that fits is taken though the wheel's is nearer."""
    bindir = fake_tools(tmp_path, pg_dump="20.1", pg_restore="20.1", psql="20.1")
    monkeypatch.setattr(tools, "_installed_bindirs", lambda: [bindir])
    assert choose_tools(18, 18).version == "20.1"
    shutil.rmtree(tmp_path)
    assert choose_tools(18, 18).major == 18
