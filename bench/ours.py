# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our way of moving a database: the whole migrate.yml, as a user runs it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import typing as t
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import HOST, SUPERUSER, Server
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.folder import RunFolder

from bench.pair import Pair
from bench.processes import Watch

ROOT: t.Final = Path(__file__).resolve().parents[1]
JOBS: t.Final = 2


@dataclasses.dataclass(frozen=True)
class OwnRun:
    """A migrate.yml that came to its end."""

    seconds: float
    watch: Watch
    #: report.json
    report: dict[str, t.Any]
    #: what each stage has recorded of itself
    records: dict[str, dict[str, t.Any]]
    #: what callbacks/bench_tasks.py has noted
    events: list[dict[str, t.Any]]


class Controller:
    """A folder with an inventory, whose runs and archives lie there too."""

    def __init__(self, pair: Pair) -> None:
        """Begin with nothing: no run, no archive."""
        self._pair = pair
        self._folder = pair.folder / "controller"
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self._folder.mkdir()

    def play(self, playbook: str, dbname: str, targets: t.Mapping[str, str], port: int, **variables: object) -> OwnRun:
        """Run a playbook; what is told of it is the first target's, but all must have ended well.

        :param targets: the hosts, each with the name of its target's database
        :param port: the target's, which is not always its own
        :raises RuntimeError: when the playbook fails
        """
        inventory = self._folder / "inventory.json"
        inventory.write_text(json.dumps(self._inventory(dbname, targets, port)), encoding="utf-8")
        notes = self._folder / "notes"
        notes.unlink(missing_ok=True)
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "bench" / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "bench_tasks",
            "BENCH_TASKS": str(notes),
        }
        watch = Watch()
        # As a person types them; how many hosts are at work at once, an inventory cannot say.
        options = [f"--inventory={inventory}", f"--forks={len(targets)}", f"--extra-vars={json.dumps(variables)}"]
        command = ["ansible-playbook", *options, str(ROOT / playbook)]
        seconds = watch.run(command, environment, self._folder / "output", ROOT)
        # Each stage's record and Ansible's events have the same clock.
        latest = RunFolder(self._folder / "runs" / next(iter(targets)) / "latest")
        report = json.loads((latest.path / "report.json").read_text(encoding="utf-8"))
        events = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
        return OwnRun(seconds, watch, report, latest.read_records(), events)

    def _inventory(self, dbname: str, targets: t.Mapping[str, str], port: int) -> dict[str, t.Any]:
        shared = {
            **self._side("source", self._pair.source, dbname, self._pair.source.port),
            **self._side("target", self._pair.target, dbname, port),
            "jobs": JOBS,
            "client_bindir": str(self._pair.bindir),
            "runs_root": str(self._folder / "runs"),
            "archive_root": str(self._folder / "archives"),
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }
        hosts = {host: {"target_dbname": name} for host, name in targets.items()}
        return {"all": {"vars": shared, "children": {"sandbox": {"hosts": hosts}}}}

    @staticmethod
    def _side(side: str, server: Server, dbname: str, port: int | None) -> dict[str, t.Any]:
        options = {"host": HOST, "port": port, "dbname": dbname, "user": SUPERUSER, "password": server.password}
        return {f"{side}_{name}": value for name, value in {**options, "sslmode": "disable"}.items()}
