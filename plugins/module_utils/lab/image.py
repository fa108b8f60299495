# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small image of PostgreSQL, made of what is on this machine, for when none can be pulled."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.programs import NOBODY, LabError, major_version, run

# As the official image does it, with a password for whoever comes.
_ENTRYPOINT: t.Final = b"""#!/bin/sh
set -eu
if ! test -s "$PGDATA/PG_VERSION"; then
  printf %s "$POSTGRES_PASSWORD" | initdb --pgdata="$PGDATA" --username=postgres --pwfile=/dev/stdin \\
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync
fi
unset POSTGRES_PASSWORD
exec "$@"
"""
_PASSWD: t.Final = f"postgres:x:{NOBODY}:{NOBODY}::/tmp:/bin/sh\n".encode()
_SETTINGS: t.Final = {
    "ENTRYPOINT": json.dumps(["/entrypoint"]),
    "CMD": json.dumps(["postgres"]),
    "USER": f"{NOBODY}:{NOBODY}",
    "ENV PGDATA": "/var/lib/postgresql/data",
}
_FOR_EVERYBODY: t.Final = ("/tmp", "/var/run/postgresql", "/var/lib/postgresql")  # noqa: S108 - of the image


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What goes into an image; everything keeps its path."""

    bindir: Path
    programs: tuple[Path, ...]
    #: directories that the programs need besides
    folders: tuple[Path, ...] = ()
    #: symbolic links: path and target
    links: tuple[tuple[str, str], ...] = ()


def plain_recipe(bindir: Path) -> Recipe:
    """Return the recipe of the lab's image: a server and a shell."""
    bash, cat = shutil.which("bash"), shutil.which("cat")
    if not sys.platform.startswith("linux") or bash is None or cat is None:
        raise LabError(
            "The lab's image cannot be pulled, and cannot be made here: that takes a Linux machine with bash. "
            "Let the engine pull it, or bring up a lab without lab_source=docker."
        )
    return Recipe(bindir, (Path(bash), Path(cat)), links=(("/bin/sh", bash),))


def build_image(program: str, tag: str, recipe: Recipe) -> None:
    """Make an image, in a second or two.

    :param program: the engine's command line program
    """
    path = f"{recipe.bindir}:/usr/local/bin:/usr/bin:/bin"
    settings = [f"{name}{'=' if ' ' in name else ' '}{value}" for name, value in _SETTINGS.items()]
    changes = [f"--change={setting}" for setting in (*settings, f"ENV PATH={path}")]
    with subprocess.Popen(
        [program, "import", *changes, "-", tag], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            with tarfile.open(fileobj=process.stdin, mode="w|", dereference=True) as archive:
                _fill(archive, recipe)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it says why, below
        said = process.stdout.read().decode(errors="replace")
    if process.returncode:
        raise LabError(f"The image {tag} cannot be made: {said.strip()}")


def _fill(archive: tarfile.TarFile, recipe: Recipe) -> None:
    for directory in _FOR_EVERYBODY:
        _add(archive, directory, mode=0o1777)
    _add(archive, "/entrypoint", _ENTRYPOINT, mode=0o755)
    _add(archive, "/etc/passwd", _PASSWD)
    # One share for all majors of a distribution's, within its own folder for the wheel's.
    share = Path(f"/usr/share/postgresql/{major_version(recipe.bindir)}")
    # Of the locale that initdb is given; newer C libraries have it built in.
    folders = [recipe.bindir.parent, *recipe.folders, share, Path("/usr/lib/locale/C.utf8")]
    binaries = [*recipe.programs, *(recipe.bindir / name for name in ("postgres", "psql", "initdb"))]
    files = [*recipe.programs, *sorted({library for binary in binaries for library in _libraries(binary)})]
    for path in [*files, *(folder for folder in folders if folder.exists())]:
        archive.add(path, filter=_for_everybody)
    for link, target in recipe.links:
        member = tarfile.TarInfo(link.lstrip("/"))
        member.type, member.linkname = tarfile.SYMTYPE, target
        archive.addfile(member)


def _libraries(binary: Path) -> list[Path]:
    """Return the shared libraries of a program, its loader too; none of a static one."""
    answer = run(["ldd", str(binary)])
    return [Path(path) for path in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", answer.stdout, re.MULTILINE)]


def _for_everybody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Let the image's user read what may be private here."""
    member.uid = member.gid = 0
    member.mode |= 0o555 if member.isdir() or member.mode & 0o100 else 0o444
    return member


def _add(archive: tarfile.TarFile, path: str, content: bytes | None = None, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(path.lstrip("/"))
    member.mode = mode
    if content is None:
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    else:
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
