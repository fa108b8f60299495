# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab decides to do, and what it refuses to touch."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab import programs, server
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.laboratory import Laboratory
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.plan import (
    Found,
    Step,
    before_and_after,
    steps_down,
    steps_up,
)

_WANTED: t.Final = {"source": ("sample",), "target": ("one", "two")}
_SYSTEM: t.Final = frozenset({"postgres", "template0", "template1"})

ABSENT: t.Final = Found(exists=False, running=False, databases=None)
STOPPED: t.Final = Found(exists=True, running=False, databases=None)
SOURCE_UP: t.Final = Found(exists=True, running=True, databases=_SYSTEM | {"sample"})
TARGET_UP: t.Final = Found(exists=True, running=True, databases=_SYSTEM | {"one", "two", "one_previous"})
TARGET_BARE: t.Final = Found(exists=True, running=True, databases=_SYSTEM)


@pytest.mark.parametrize(
    ("source", "target", "steps"),
    [
        pytest.param(SOURCE_UP, TARGET_UP, [], id="all there"),
        pytest.param(
            ABSENT,
            TARGET_UP,
            [Step("create", "source"), Step("start", "source"), Step("create_database", "source", "sample")],
            id="source absent",
        ),
        pytest.param(SOURCE_UP, STOPPED, [Step("start", "target")], id="databases of a stopped server are not guessed"),
        pytest.param(
            SOURCE_UP,
            TARGET_BARE,
            [Step("create_database", "target", "one"), Step("create_database", "target", "two")],
            id="databases missing",
        ),
    ],
)
def test_steps_up(source: Found, target: Found, steps: list[Step]) -> None:
    assert steps_up({"source": source, "target": target}, _WANTED) == steps


@pytest.mark.parametrize(
    ("source", "target", "folder_exists", "steps"),
    [
        pytest.param(ABSENT, ABSENT, False, [], id="nothing there"),
        pytest.param(ABSENT, ABSENT, True, [Step("remove")], id="folder alone"),
        pytest.param(STOPPED, TARGET_UP, True, [Step("stop", "target"), Step("remove")], id="one runs"),
        pytest.param(
            SOURCE_UP, TARGET_UP, True, [Step("stop", "source"), Step("stop", "target"), Step("remove")], id="both run"
        ),
    ],
)
def test_steps_down(source: Found, target: Found, folder_exists: bool, steps: list[Step]) -> None:
    assert steps_down({"source": source, "target": target}, folder_exists) == steps


def test_difference_names_each_subject_on_both_sides() -> None:
    steps = [Step("start", "source"), Step("create_database", "target", "one"), Step("remove")]
    assert before_and_after(steps) == {
        "before": "the source server: stopped\ndatabase one on the target: absent\nthe lab's folder: present\n",
        "after": "the source server: running\ndatabase one on the target: present\nthe lab's folder: absent\n",
    }


def laboratory(folder: Path) -> Laboratory:
    """Describe a lab with the programs of the wheel."""
    return Laboratory(folder, programs.wheel_bindir(), programs.wheel_bindir(), Path("none.sql"))


@pytest.mark.parametrize("move", [Laboratory.bring_up, Laboratory.take_down])
def test_folder_of_somebody_else_is_refused(tmp_path: Path, move: t.Callable[..., list[Step]]) -> None:
    (tmp_path / "treasure").touch()
    with pytest.raises(programs.LabError, match="is not a lab"):
        move(laboratory(tmp_path), apply=True)
    assert (tmp_path / "treasure").exists()


def test_interrupted_removal_can_be_finished(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    (folder / "source").mkdir(parents=True)
    (folder / ".pgconvoy-lab").touch()
    assert laboratory(folder).take_down(apply=True) == [Step("remove")]
    assert not folder.exists()


def test_secret_is_kept_once_written(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    server.write_secret(secret)
    first = secret.read_text()
    server.write_secret(secret)
    assert secret.read_text() == first
    assert len(first) == 32
    assert first.isalnum()
    assert secret.stat().st_mode & 0o777 == 0o600


def test_directory_without_a_server_is_named(tmp_path: Path) -> None:
    (tmp_path / "psql").touch(mode=0o755)
    with pytest.raises(programs.LabError, match=f"{tmp_path} holds no complete .*: initdb, pg_ctl, postgres missing"):
        programs.major_version(tmp_path)


def test_clients_are_not_led_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "elsewhere")
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    assert not [name for name in programs.clean_environment() if name.startswith("PG")]


@pytest.mark.parametrize("content", [None, "", "4711\n/somewhere\n"], ids=["stopped", "just begun", "starting"])
def test_server_that_is_not_ready_has_no_port(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "data").mkdir()
    if content is not None:
        (tmp_path / "data" / "postmaster.pid").write_text(content)
    assert server.Server(tmp_path, programs.wheel_bindir()).port is None


def test_port_of_another_server_is_not_taken_for_ours(tmp_path: Path) -> None:
    ours = server.Server(tmp_path / "ours", programs.wheel_bindir())
    other = server.Server(tmp_path / "other", programs.wheel_bindir())
    for one in (ours, other):
        one.create()
    other.start()
    try:
        # As after a crash of ours and a start of the other on the same port, and even with the same password.
        (tmp_path / "ours/data/postmaster.pid").write_text((tmp_path / "other/data/postmaster.pid").read_text())
        ours.password_file.write_text(other.password)
        assert other.is_running()
        assert not ours.is_running()
    finally:
        other.stop()
