# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are full: small filesystems in memory, which only root can make."""

from __future__ import annotations

import functools
import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import NOBODY

from tests.faults import places
from tests.faults.fault import Fault
from tests.faults.scene import Scene

#: Room for all of the source, until somebody else takes it.
_ROOM: t.Final = 64 << 20


def _mount(scene: Scene, name: str) -> Path:
    """Give a filesystem of its own."""
    folder = scene.folder / name
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a filesystem can only be mounted by root, with the right to do so")
    scene.undo.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
    return folder


def _fill(folder: Path) -> None:
    """Take all room but a megabyte."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with (folder / "somebody-elses").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - (1 << 20))


def _full_archive(scene: Scene) -> None:
    scene.archive_root = _mount(scene, "disk")
    scene.proxies["source"].at(places.copy_start, lambda _: _fill(scene.folder / "disk"))


def _full_target(scene: Scene) -> None:
    """Let new tables lie on the small filesystem."""
    server, folder = scene.target.server, _mount(scene, "disk")
    os.chown(folder, NOBODY, NOBODY)
    # The server's user must get there.
    for parent in folder.parents:
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    with server.connect() as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'".encode())
        scene.undo.callback(_drop, scene)
        connection.execute(f"ALTER ROLE {server.user} SET default_tablespace = small".encode())
    scene.proxies["target"].at(places.copy_start, lambda _: _fill(folder))


def _drop(scene: Scene) -> None:
    with scene.target.server.connect() as connection:
        connection.execute(f"ALTER ROLE {scene.target.server.user} RESET default_tablespace".encode())
        connection.execute(b"DROP TABLESPACE small")


def _make_room(scene: Scene) -> None:
    (scene.folder / "disk" / "somebody-elses").unlink()


_FULL: t.Final = functools.partial(Fault, repair=_make_room)

FAULTS: t.Final = (
    _FULL(
        "archive-full",
        _full_archive,
        r"Cannot write the archive .*No space left on device \([\d,]+ bytes are free",
    ),
    _FULL("target-full", _full_target, r"Cannot load the rows of table public\.\w+: (.|\n)*No space left on device"),
)
