# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive's folder: complete or absent, private, and checked before it is used."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import shutil
import threading
import typing as t

from ..errors import MigrationError
from ..schedule.progress import Step
from ..schedule.threads import run_parallel
from .archive import Archive
from .compression import require_library
from .manifest import FILE_NAME, ArchivedFile, decode

_READ_BYTES: t.Final = 1 << 20
_PARTIAL: t.Final = ".partial"
#: So many folders are above an archive, and may have been made for it: backup, the host's, archive_root.
_MADE: t.Final = 3


@contextlib.contextmanager
def new_folder(final: pathlib.Path, *, durable: bool = False) -> t.Iterator[pathlib.Path]:
    """Give a folder under a temporary name; it gets its final name when the block ends well, else it is removed.

    :param durable: whether it must be on the disk at the end of the block, whatever becomes of the machine then
    :raises MigrationError: when the disk refuses
    """
    partial = final.with_name(f".{final.name}{_PARTIAL}")
    with contextlib.ExitStack() as stack:
        try:
            final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            stack.enter_context(_sharing(final.parent))
            partial.mkdir(mode=0o700)
        except OSError as error:
            raise MigrationError(f"Cannot make the archive {final}: {error.strerror}. Check archive_root.") from None
        # What cannot be removed now, the next dump tries again; why this one failed is what is to be told.
        stack.callback(shutil.rmtree, partial, ignore_errors=True)
        try:
            yield partial
            for path in [*partial.iterdir(), partial] if durable else ():
                _synchronize(path)
            partial.rename(final)
            # Each name is on the disk with the folder that it is in: its own, and what may have been made for it.
            for path in final.parents[:_MADE] if durable else ():
                _synchronize(path)
        except OSError as error:
            free = shutil.disk_usage(partial).free
            raise MigrationError(
                f"Cannot write the archive {final}: {error.strerror} ({free:,} bytes are free there). "
                "Free some space or point archive_root elsewhere."
            ) from None


def _synchronize(path: pathlib.Path) -> None:
    """Wait until a file is on the disk, or a folder with the names in it (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _sharing(folder: pathlib.Path) -> t.Iterator[None]:
    """Take part in a folder in which others may be writing archives, too.

    All who do have it locked, and a lock ends with its process, even if that is killed. So who can lock it alone may
    remove what is unfinished in it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for unfinished in folder.glob(f".*{_PARTIAL}"):
                shutil.rmtree(unfinished)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def backup_folder(archive_root: pathlib.Path, host: str, run_id: str) -> pathlib.Path:
    """Return where a run's backup of its target lies."""
    return archive_root / host / "backup" / run_id


def find_backups(archive_root: pathlib.Path, host: str) -> list[pathlib.Path]:
    """Return the backups of a host's target, the newest first; runs' identifiers sort by time."""
    folders = backup_folder(archive_root, host, "*")
    return sorted(folders.parent.glob("[!.]*"), reverse=True)


def create_private(path: pathlib.Path) -> t.BinaryIO:
    """Open a new file for writing that only its owner can read."""
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))


def describe_file(path: pathlib.Path, stop: threading.Event | None = None) -> ArchivedFile:
    """Return a file's entry for the manifest.

    :param stop: set, it ends the reading early; the entry is then of no use
    """
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while (chunk := stream.read(_READ_BYTES)) and not (stop and stop.is_set()):
            digest.update(chunk)
        return ArchivedFile(path.name, stream.tell(), digest.hexdigest())


def read_archive(folder: pathlib.Path) -> Archive:
    """Return an archive, or the description of what is streamed; of its files, none but the manifest is looked at.

    :raises MigrationError: when there is none that can be read
    """
    path = folder / FILE_NAME
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as stream:
            text = stream.read()
    except OSError as error:
        raise MigrationError(
            f"Cannot read the archive's manifest {path}: {error.strerror}. "
            "Name the folder of a complete archive, as playbooks/dump.yml leaves it."
        ) from None
    return Archive(folder, decode(text, str(path)))


def check_archive(folder: pathlib.Path, *, loaded: bool = False) -> Archive:
    """Return an archive whose files are all there, unaltered, and no others.

    :param loaded: whether all rows are loaded next, and their files summed up meanwhile: here they are measured only
    :raises MigrationError: naming every file that is missing, altered or foreign; or what lacks to unpack them
    """
    archive = read_archive(folder)
    manifest = archive.manifest
    for file in manifest.files:
        require_library(file.compression)
    # A link might lead anywhere, and reading from a pipe would never end.
    entries = {entry.name: entry.is_file(follow_symlinks=False) for entry in os.scandir(folder)}
    present = entries.keys() - {FILE_NAME}
    expected = {file.name: file for file in manifest.files}
    foreign = [f"{name} does not belong to it" for name in sorted(present - expected.keys())]
    faults = [f"{name} is not a regular file" for name in sorted(entries) if name in expected and not entries[name]]
    faults += [f"{name} is missing" for name in sorted(expected.keys() - present)]
    there = [file for name, file in sorted(expected.items()) if entries.get(name)]
    altered = [file.name for file in there if (folder / file.name).stat().st_size != file.size]
    summed = {manifest.schema.name} if loaded else expected.keys()

    @contextlib.contextmanager
    def open_checker() -> t.Iterator[_Checker]:
        yield _Checker(folder, altered)

    whole = [file for file in there if file.name in summed and file.name not in altered]
    run_parallel(whole, os.cpu_count() or 1, open_checker, "check the archive", lambda file: Step(file.name, file.size))
    faults += [f"{name} was altered" for name in sorted(altered)]
    if foreign or faults:
        told = f"The archive {folder} is not as it was written: {'; '.join([*foreign, *faults])}."
        raise MigrationError(f"{told} {'Dump again' if faults else 'Remove what does not belong to it'}.")
    return archive


@dataclasses.dataclass(frozen=True)
class _Checker:
    """Notes the archive's files that are not what was written."""

    folder: pathlib.Path
    altered: list[str]
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)

    def run(self, file: ArchivedFile) -> None:
        found = describe_file(self.folder / file.name, self.stop)
        if (found.size, found.sha256) != (file.size, file.sha256):
            self.altered.append(file.name)

    def cancel(self) -> None:
        self.stop.set()
