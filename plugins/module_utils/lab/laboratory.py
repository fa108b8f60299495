# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: a source server with a sample database, and a target server with an empty one for each environment."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

from ..scrubbing import spoils
from .container import ContainerServer
from .plan import Found, Step, steps_down, steps_up
from .programs import LabError
from .server import Server

SOURCE_DATABASE: t.Final = "sigmasight"
#: One for each environment, called as its inventory group.
TARGET_DATABASES: t.Final = ("sandbox", "production")
_WANTED: t.Final = {"source": (SOURCE_DATABASE,), "target": TARGET_DATABASES}

_MARK: t.Final = ".pgconvoy-lab"
_MARK_TEXT: t.Final = "A lab of pgconvoy: playbooks/lab.yml made this folder, and removes it with all that is in it.\n"


class Laboratory:
    """Two servers in a folder that holds nothing else of value."""

    def __init__(
        self, folder: Path, source_bindir: Path, target_bindir: Path, sample: Path, container: str = ""
    ) -> None:
        """Describe the lab; nothing is written yet.

        :param container: name of the container that the source shall be in, if in any; a lab stays what it is
        """
        self.folder = folder
        self._wanted_container = container
        self.source = _source(folder / "source", source_bindir, container)
        self.target = Server(folder / "target", target_bindir)
        self._servers = {"source": self.source, "target": self.target}
        self._sample = sample

    def bring_up(self, *, apply: bool) -> list[Step]:
        """Return what is missing, done already if ``apply`` says so."""
        self._refuse_foreign_folder()
        self._refuse_another_source()
        self._refuse_spoiling_passwords()
        for server in self._servers.values():
            server.check_version()
        steps = steps_up(self._find(), _WANTED)
        if not apply or not steps:
            return steps
        self._claim_folder()
        self._apply(steps)
        # The databases of a server that was stopped could not be seen before.
        more = steps_up(self._find(), _WANTED)
        self._apply(more)
        return steps + more

    def take_down(self, *, apply: bool) -> list[Step]:
        """Return what is left to stop and to remove, done already if ``apply`` says so."""
        self._refuse_foreign_folder()
        steps = steps_down(self._find(), self.folder.exists())
        if apply:
            self._apply(steps)
        return steps

    def _find(self) -> dict[str, Found]:
        return {name: _found(server) for name, server in self._servers.items()}

    def _apply(self, steps: t.Iterable[Step]) -> None:
        for step in steps:
            if step.action == "remove":
                self._remove_folder()
                continue
            server = self._servers[step.server]
            if step.action == "create":
                server.create()
            elif step.action == "start":
                server.start()
            elif step.action == "stop":
                server.stop()
            elif step.action == "create_database":
                server.create_database(step.database, self._sample if server is self.source else None)

    def _refuse_foreign_folder(self) -> None:
        """Protect a folder that somebody names by mistake, above all from removal."""
        if self.folder.exists() and not (self.folder / _MARK).exists() and any(self.folder.iterdir()):
            raise LabError(f"{self.folder} is not a lab, and not empty: name another folder for the lab.")

    def _refuse_another_source(self) -> None:
        """A source does not move: into a container, out of one, or into another."""
        present = self.source.name if isinstance(self.source, ContainerServer) else ""
        if self.source.exists and present != self._wanted_container:
            raise LabError(
                f"The lab's source is {f'in container {present}' if present else 'not in a container'}. "
                "Take the lab down first (lab_state=absent)."
            )

    def _refuse_spoiling_passwords(self) -> None:
        """A lab's passwords are made at random; one that somebody has written there may be anything."""
        for name, server in self._servers.items():
            if server.password_file.exists() and spoils(server.password, (SOURCE_DATABASE, *TARGET_DATABASES)):
                raise LabError(
                    f"The password of the lab's {name} is so short, or so much like a word of the output, that Ansible "
                    "would make the output unreadable to hide it. Take the lab down (lab_state=absent), and up again."
                )

    def _claim_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        (self.folder / _MARK).write_text(_MARK_TEXT, encoding="utf-8")

    def _remove_folder(self) -> None:
        """Remove the folder, its mark last: what an interruption leaves must be known as a lab again."""
        if isinstance(self.source, ContainerServer):
            self.source.remove()
        mark = self.folder / _MARK
        for entry in self.folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != mark:
                entry.unlink()
        mark.unlink(missing_ok=True)
        self.folder.rmdir()


def _source(folder: Path, bindir: Path, container: str) -> Server:
    recorded = ContainerServer.recorded(folder, bindir)
    if recorded:
        return recorded
    exists = Server(folder, bindir).exists
    return ContainerServer(folder, bindir, container) if container and not exists else Server(folder, bindir)


def _found(server: Server) -> Found:
    running = server.is_running()
    return Found(server.exists, running, server.databases() if running else None)
