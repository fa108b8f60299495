# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module of ours is packed where another Python or machine runs it, and is run from its folder where it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.playbooks import ROOT, clean_environment


@pytest.mark.parametrize("other", [False, True], ids=["the-same-python", "another-python"])
def test_what_python_is_sent(tmp_path: Path, other: bool) -> None:
    """What Ansible sends is read where it would be kept for somebody who looks for a fault."""
    python = sys.executable
    if other:
        # As far as Ansible can know, whatever may lie behind it.
        link = tmp_path / "python"
        link.symlink_to(sys.executable)
        python = str(link)
    environment = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_PIPELINING": "false",
        "ANSIBLE_KEEP_REMOTE_FILES": "true",
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "sent"),
        # A link leads to a Python that does not know its environment.
        "PYTHONPATH": ":".join(path for path in sys.path if path.endswith("site-packages")),
    }
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ansible"), "localhost", "-c", "local"),
            *("-e", f"ansible_python_interpreter={python}"),
            *("-m", "pgconvoy.migrate.lab", "-a", f"state=absent folder={tmp_path / 'lab'}"),
        ],
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed: false" in done.stdout
    [sent] = (tmp_path / "sent").rglob("*.py")
    assert ("zip_data" in sent.read_text()) is other
