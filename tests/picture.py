# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/images/run.svg, what a terminal shows of a run in a lab of its own: ``python -m tests.picture``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

from rich import _export_format, terminal_theme
from rich.console import Console
from rich.text import Text

from tests.playbooks import ROOT, clean_environment

PICTURE: t.Final = ROOT / "docs" / "images" / "run.svg"
#: Where a lab is in the README, whatever folder this one was in.
_LAB: t.Final = ".lab"
_COMMAND: t.Final = f"ansible-playbook -i {_LAB}/inventory.yml migrate.yml -l sandbox"
#: The task from which on the end of a run is shown.
_FROM: t.Final = "data_restore : "
#: A font of somebody else's server would be asked for by whoever looks at the picture.
_FORMAT: t.Final = re.sub(r"@font-face \{\{.*?\}\}\s*", "", _export_format.CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def draw(output: str, lab: str) -> str:
    """Return the picture of the end of a run; tasks that had nothing to do are left out.

    :param output: with a terminal's colours
    :param lab: the folder that the lab was in, which is not shown
    """
    tasks = output.replace(lab, _LAB).strip().split("\n\n")
    first = next(number for number, task in enumerate(tasks) if task.startswith("TASK [") and _FROM in task)
    text = Text.from_ansi("\n\n".join([f"$ {_COMMAND}\n[...]", *filter(_is_work, tasks[first:])]))
    width = max(len(line) for line in text.plain.splitlines())
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=width, file=nowhere, force_terminal=True, color_system="standard")
        console.print(text, soft_wrap=True)
    return console.export_svg(title="pgconvoy", theme=terminal_theme.MONOKAI, code_format=_FORMAT, unique_id="pgconvoy")


def _is_work(task: str) -> bool:
    """Return whether a task has done something, and has not only looked at its arguments or at others."""
    return "Validating arguments" not in task and "skipping:" not in task


def record(lab: Path) -> str:
    """Migrate the sample database of a lab that is made and removed for it; return what a terminal would show."""
    try:
        _play("playbooks/lab.yml", "-e", f"lab_dir={lab}")
        return _play("-i", f"{lab}/inventory.yml", "migrate.yml", "-l", "sandbox")
    finally:
        _play("playbooks/lab.yml", "-e", f"lab_dir={lab}", "-e", "lab_state=absent")


def _play(*arguments: str) -> str:
    environment = {**clean_environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "1"}
    command = [sys.executable, "-m", "ansible", "playbook", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        lab_folder = Path(folder) / "lab"
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(draw(record(lab_folder), str(lab_folder)), encoding="utf-8")
