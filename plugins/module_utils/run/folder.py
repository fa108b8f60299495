# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run's folder: each stage leaves a record there, and the report is made of the records."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import secrets
import typing as t

Record = dict[str, t.Any]


class RunFolder:
    """``<runs_root>/<host>/<run-id>/``; its name is the run's identifier."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    @property
    def run_id(self) -> str:
        """The run's identifier."""
        return self.path.name

    @property
    def host(self) -> str:
        """The host in the inventory."""
        return self.path.parent.name

    @classmethod
    def create(cls, runs_root: pathlib.Path, host: str) -> RunFolder:
        """Make the folder of a new run; identifiers sort by time, also where the clock was set back since the last."""
        run_id = f"{_stamp_after(runs_root)}-{secrets.token_hex(3)}"
        folder = runs_root / host / run_id
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(mode=0o700)
        (folder / "stages").mkdir(mode=0o700)
        return cls(folder)

    @classmethod
    def find(cls, runs_root: pathlib.Path, host: str, playbook_pid: int, since: datetime.datetime) -> RunFolder | None:
        """Return the folder of the run of a host that an ansible-playbook has begun since then, if it has."""
        folders = (cls(path) for path in (runs_root / host).glob("[!.]*Z-*") if path.name >= _stamp(since))
        return next((folder for folder in folders if folder.playbook_pid == playbook_pid), None)

    @property
    def progress(self) -> pathlib.Path:
        """The file in which the stages write how far they are."""
        return self.path / "progress.jsonl"

    @property
    def claim(self) -> pathlib.Path:
        """The file that the process locks which holds the run's claim on its target; there is none without a claim."""
        return self.path / "claim"

    @property
    def snapshot(self) -> pathlib.Path:
        """The file that the process locks which holds the snapshot of what is streamed, if anything is."""
        return self.path / "snapshot"

    @property
    def freeze(self) -> pathlib.Path:
        """The file that the process locks which keeps the source frozen, if anything does."""
        return self.path / "freeze"

    @property
    def freeze_record(self) -> pathlib.Path:
        """The file in which that process tells since when, and until when."""
        return self.path / "freeze.json"

    @property
    def freeze_decision(self) -> pathlib.Path:
        """The file that either the switch makes or the end of the freeze at its limit, whichever comes first."""
        return self.path / "freeze.decision"

    def read_freeze(self) -> Record | None:
        """Return what is known of the run's freeze; None if there was none."""
        try:
            record: Record = json.loads(self.freeze_record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return record

    @property
    def frozen(self) -> pathlib.Path:
        """The folder in which lies what a frozen source held."""
        return self.path / "frozen" / "description"

    @property
    def description(self) -> pathlib.Path:
        """The folder in which lies what is kept of a source whose rows are streamed."""
        return self.path / "source" / "description"

    @property
    def words(self) -> pathlib.Path:
        """The file with what the target's server makes of the source's definitions, if that has been asked."""
        return self.path / "words.json"

    @property
    def handed_on(self) -> pathlib.Path:
        """The file with what preflight has found of a schema that is kept (preflight/handed_on.py)."""
        return self.path / "handed_on.json"

    @property
    def answers(self) -> pathlib.Path:
        """The file with what databases have answered (server/answer_cache.py)."""
        return self.path / "answers"

    @property
    def playbook_pid(self) -> int | None:
        """The process id of the ansible-playbook that the run belongs to, if that was told."""
        try:
            return int((self.path / "playbook_pid").read_text(encoding="ascii"))
        except FileNotFoundError:
            return None

    @playbook_pid.setter
    def playbook_pid(self, pid: int) -> None:
        write_private(self.path / "playbook_pid", str(pid))

    @property
    def goal(self) -> str:
        """What the run is for, as preflight has noted it."""
        return str(self.read_records().get("preflight", {}).get("goal", ""))

    def write_record(self, stage: str, record: Record) -> None:
        """Leave what a stage has to tell."""
        write_private(self.path / "stages" / f"{stage}.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")

    def read_records(self) -> dict[str, Record]:
        """Return the stages' records in the order in which the stages began."""
        records = {
            path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (self.path / "stages").glob("*.json")
        }
        return dict(sorted(records.items(), key=lambda item: str(item[1]["began_at"])))


_STAMP: t.Final = "%Y%m%dT%H%M%SZ"


def _stamp(moment: datetime.datetime) -> str:
    return f"{moment.astimezone(datetime.UTC):{_STAMP}}"


def _stamp_after(runs_root: pathlib.Path) -> str:
    """Return the time, or the next second after the newest run of any host: which undo is the newest, names tell."""
    now = _stamp(datetime.datetime.now(datetime.UTC))
    later = (path.name.partition("-")[0] for path in runs_root.glob("*/[!.]*Z-*") if path.name > now)
    newest = max(filter(_is_stamp, later), default=now)
    return _stamp(_moment(newest) + datetime.timedelta(seconds=1)) if newest > now else now


def _is_stamp(text: str) -> bool:
    try:
        return _stamp(_moment(text)) == text
    except ValueError:
        return False


def _moment(stamp: str) -> datetime.datetime:
    return datetime.datetime.strptime(stamp, _STAMP).replace(tzinfo=datetime.UTC)


def write_private(path: pathlib.Path, text: str) -> None:
    """Write a file that only its owner can read; it is whole or what it was before.

    What no Unicode text can hold, as a byte in a name of the file system's that is not UTF-8, is written as JSON would.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(
            partial,
            "w",
            encoding="utf-8",
            errors="backslashreplace",
            opener=lambda name, flags: os.open(name, flags, 0o600),
        ) as stream:
            stream.write(text)
        partial.replace(path)
    except OSError as error:
        # A full disk does not say of which file it was.
        raise OSError(error.errno, error.strerror, str(path)) from None
