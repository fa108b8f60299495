# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that go with the work, even if that is cut short by a kill."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import NOBODY
from ansible_collections.pgconvoy.migrate.plugins.module_utils.work_folder import WorkFolder

_HOLD = """
import sys
from ansible_collections.pgconvoy.migrate.plugins.module_utils.work_folder import WorkFolder
with WorkFolder() as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Path]:
    """Give the folder for temporary files, which the longest path of a socket has room for."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_goes_with_the_block(root: Path) -> None:
    with WorkFolder() as folder:
        (folder / "file").touch()
        assert folder.parent == root
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        with WorkFolder() as other:
            assert other != folder
        assert (folder / "file").exists(), "another one of the same process is left alone"
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("killed", [False, True])
def test_of_another_process(root: Path, killed: bool) -> None:
    """One that works is left alone; what a killed one has left goes with the next folder."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD],
        env={**os.environ, "TMPDIR": str(root), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        theirs = Path(process.stdout.readline().strip())
        if killed:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert (theirs / "file").exists()
        with WorkFolder():
            assert theirs.exists() is not killed
        process.communicate()
    assert list(root.iterdir()) == []


def test_what_is_not_ours_stays(root: Path) -> None:
    """Neither what merely has such a name, nor what a link leads to."""
    (root / "elsewhere").mkdir()
    (root / "pgconvoy-work-link").symlink_to(root / "elsewhere")
    (root / "pgconvoy-work-file").touch()
    with WorkFolder():
        pass
    assert sorted(path.name for path in root.iterdir()) == ["elsewhere", "pgconvoy-work-file", "pgconvoy-work-link"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make somebody else's folder")
def test_what_is_somebody_elses_stays(root: Path) -> None:
    """Even if nobody works in it: root could remove it."""
    theirs = root / "pgconvoy-work-theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    with WorkFolder():
        pass
    assert list(root.iterdir()) == [theirs]


def test_long_paths_are_avoided(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's path has no room for them."""
    long = root / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with WorkFolder() as folder:
        assert len(str(folder / ".s.PGSQL.65535")) < 104
