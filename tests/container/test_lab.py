# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab with its source in a container, and a container that is not the lab's."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.pgconvoy.migrate.plugins.module_utils.container.route import open_route
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.laboratory import Laboratory
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import LabError, wheel_bindir
from ansible_collections.pgconvoy.migrate.plugins.module_utils.server.endpoint import Endpoint, connect

from tests.containers import Engine
from tests.playbooks import ROOT, Controller

_SAMPLE: t.Final = ROOT / "roles/lab/files/sigmasight.sql"
_NAME: t.Final = "backend-postgres-1"


@pytest.fixture
def folder(engine: Engine, tmp_path: Path) -> t.Iterator[Path]:
    """Give a folder for a lab, which is taken down in the end."""
    folder = tmp_path / "lab"
    yield folder
    with contextlib.suppress(LabError):
        laboratory(folder, "").take_down(apply=True)


def laboratory(folder: Path, container: str) -> Laboratory:
    return Laboratory(folder, wheel_bindir(), wheel_bindir(), _SAMPLE, container)


def play(controller: Controller, folder: Path, *options: str) -> bool:
    """Run playbooks/lab.yml; return whether it changed anything."""
    rc, output = controller.start("playbooks/lab.yml", f"--extra-vars=lab_dir={folder}", *options).finish()
    assert rc == 0, output
    return "changed=0 " not in output


def test_source_in_a_container(engine: Engine, controller: Controller, folder: Path) -> None:
    assert play(controller, folder, "--extra-vars=lab_source=docker")
    inventory = yaml.safe_load((folder / "inventory.yml").read_text(encoding="utf-8"))
    source = inventory["all"]["children"]["sandbox"]["hosts"]["sandbox-db"]
    assert source["source_container"] == _NAME
    assert "source_host" not in source
    endpoint = Endpoint("source", "", 5432, source["source_dbname"], source["source_user"], container=_NAME)
    with pytest.raises(Exception, match="no password supplied"), open_route(endpoint):
        pass
    with (
        open_route(dataclasses.replace(endpoint, password=source["source_password"])) as reached,
        connect(reached) as session,
    ):
        assert session.execute("SELECT count(*) FROM public.positions").fetchone() == (76,)
    assert source["source_password"] not in engine.logs(_NAME)

    lab = laboratory(folder, _NAME)
    assert lab.bring_up(apply=True) == []
    engine.run("kill", _NAME)
    assert [(step.action, step.server) for step in lab.bring_up(apply=True)] == [("start", "source")]
    assert lab.bring_up(apply=True) == []
    with pytest.raises(LabError, match="Take the lab down first"):
        laboratory(folder, "").bring_up(apply=False)

    assert play(controller, folder, "--extra-vars=lab_state=absent")
    assert not folder.exists()
    assert engine.status(_NAME) == ""
    assert "pgconvoy-lab" not in engine.run("image", "ls")


def test_container_of_somebody_else_is_left_alone(engine: Engine, folder: Path) -> None:
    with engine.sleeper(_NAME):
        identifier = engine.run("inspect", "--format={{.Id}}", _NAME)
        with pytest.raises(LabError, match=r"not this lab's.*lab_source_container"):
            laboratory(folder, _NAME).bring_up(apply=True)
        laboratory(folder, _NAME).take_down(apply=True)
        assert engine.status(_NAME) == "running"
        assert engine.run("inspect", "--format={{.Id}}", _NAME) == identifier
        assert not folder.exists()
