# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where faults happen: two databases, a network of ours between them and the run, and what must be true afterwards."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import subprocess
import sys
import typing as t
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.goals import LoadMode
from ansible_collections.pgconvoy.migrate.plugins.module_utils.preflight.transfer import Way

from tests import oracle
from tests.databases import BEFORE, Database, database
from tests.faults.proxy import Proxy
from tests.playbooks import MARK, ROOT, Background, Controller, clean_environment, wait_until
from tests.servers import PostgresServer

By = t.Literal["engine", "playbook"]

#: Something of each kind that a run handles by other means, and 3 MB in a table that takes many messages.
SOURCE: t.Final = """
    CREATE TABLE owner (id int PRIMARY KEY, name text NOT NULL, favourite int);
    CREATE TABLE item (id serial PRIMARY KEY, owner int NOT NULL REFERENCES owner, price numeric(10, 2));
    ALTER TABLE owner ADD FOREIGN KEY (favourite) REFERENCES item DEFERRABLE INITIALLY DEFERRED;
    CREATE TABLE note AS SELECT i AS id, 'note ' || i AS words FROM generate_series(1, 10) i;
    CREATE TABLE wide (id int PRIMARY KEY, body text NOT NULL);
    CREATE MATERIALIZED VIEW wealth AS SELECT owner, sum(price) FROM item GROUP BY owner;
    INSERT INTO owner SELECT i, 'owner ' || i, i FROM generate_series(1, 100) i;
    INSERT INTO item (owner, price) SELECT i, i / 7.0 FROM generate_series(1, 100) i;
    INSERT INTO wide SELECT i, (SELECT string_agg(md5(i * j + j || ''), '') FROM generate_series(1, 300) j)
                     FROM generate_series(1, 300) i;
    CREATE INDEX ON item (price);
    REFRESH MATERIALIZED VIEW wealth;
    SELECT lo_from_bytea(70001, 'large');
"""

_SESSIONS: t.Final = (
    "SELECT pid, datname, state, query FROM pg_stat_activity"
    " WHERE starts_with(application_name, 'pgconvoy') OR datname = ANY(%s) AND pid <> pg_backend_pid()"
)


class Scene:
    """Two databases, each reached through a proxy, and the runs from one to the other."""

    def __init__(
        self, source: Database, target: Database, folder: Path, new: oracle.Picture, undo: contextlib.ExitStack
    ) -> None:
        """Make the networks; nothing runs yet.

        :param new: what a faithful copy of the source looks like on the target
        :param undo: for what a fault has made; it is undone when the databases are gone
        """
        self.source = source
        self.target = target
        self.folder = folder
        self.undo = undo
        #: for what a fault has made and the next run must not meet
        self.undo_before_next = contextlib.ExitStack()
        #: whether a copy of the source would look otherwise by now
        self.source_has_changed = False
        self.proxies = {"source": Proxy(source.server), "target": Proxy(target.server)}
        #: who connects, where it is not the superuser: name and password
        self.users: dict[str, tuple[str, str]] = {}
        #: what differs from a plain run
        self.load_mode: LoadMode = "swap"
        self.transfer: Way = "archive"
        #: of playbooks: whether the source is frozen at the end
        self.short = False
        self.client_bindir = ""
        self.jobs = 2
        #: whether a run goes through the proxies
        self.proxied = True
        self.archive_root = folder / "archives"
        #: of the engine's runs, if they share one: what the first has dumped, the others restore
        self.archive: Path | None = None
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self._controller = Controller(folder)
        self._runs: list[Background] = []
        self.old = oracle.picture(target.server, target.name)
        self.new = new

    @property
    def run(self) -> Background:
        """The run that was started last."""
        return self._runs[-1]

    def start(self, by: By) -> Background:
        """Start a run."""
        return self._start_engine() if by == "engine" else self._start_playbook()

    def _start_engine(self) -> Background:
        run_id, mark = secrets.token_hex(4), secrets.token_hex(16)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.engine"],
            cwd=ROOT,
            env={
                **clean_environment(),
                MARK: mark,
                "TMPDIR": str(self.temporary),
                "PYTHONPATH": os.pathsep.join(["collections", "."]),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        parameters = {
            "source": self._endpoint("source"),
            "target": self._endpoint("target"),
            "archive": str(self.archive or self.archive_root / "engine" / run_id),
            "options": {
                "run_id": run_id,
                "jobs": self.jobs,
                "client_bindir": self.client_bindir,
                "load_mode": self.load_mode,
                "transfer": self.transfer,
            },
        }
        # Known before it begins: what happens to it is done to the run that was started last.
        self._runs.append(Background(process, mark))
        assert process.stdin
        process.stdin.write(json.dumps(parameters))
        process.stdin.close()
        process.stdin = None
        return self.run

    def _start_playbook(self) -> Background:
        sides = [
            {f"{side}_{option}": value for option, value in self._endpoint(side).items()}
            for side in ("source", "target")
        ]
        self._controller.add_host(
            "sandbox",
            *sides,
            jobs=self.jobs,
            client_bindir=self.client_bindir or None,
            load_mode=self.load_mode,
            transfer=self.transfer,
            downtime="short" if self.short else "full",
        )
        environment = {"TMPDIR": str(self.temporary)}
        self._runs.append(self._controller.start("migrate.yml", "--limit=sandbox", environment=environment))
        return self.run

    def report(self) -> dict[str, t.Any]:
        """Return what the newest playbook has reported."""
        report: dict[str, t.Any] = json.loads(max(self.folder.glob("runs/*/[0-9]*/report.json")).read_text())
        return report

    def _endpoint(self, side: str) -> dict[str, str | int]:
        database = self.source if side == "source" else self.target
        user, password = self.users.get(side, (database.server.user, database.server.password))
        return {
            "host": database.server.host,
            "port": self.proxies[side].port if self.proxied else database.server.port,
            "dbname": database.name,
            "user": user,
            "password": password,
            "sslmode": "disable",
        }

    def change_source(self, statements: str) -> None:
        """Let the source hold something else than those of all other faults."""
        self.source.execute(statements)
        self.source_has_changed = True
        self.new = oracle.expected(self.source.server, self.source.name, self.target.server)

    def live(self) -> oracle.Picture:
        """Return the live database as it is."""
        return oracle.picture(self.target.server, self.target.name)

    def is_copied(self) -> bool:
        """Tell whether the live database equals the source as it is now."""
        if self.source_has_changed:
            self.new = oracle.expected(self.source.server, self.source.name, self.target.server)
        return self.live() == self.new

    def heal(self) -> None:
        """Make the networks work again; a fault that has not come about fails the test."""
        for proxy in self.proxies.values():
            assert not proxy.errors, proxy.errors
            assert not proxy.awaits, "the fault has not come about"
            proxy.heal()

    def clean(self) -> None:
        """End what still runs, whatever the test has come to."""
        self.undo_before_next.close()
        for run in self._runs:
            run.kill()
            run.process.wait()
        for proxy in self.proxies.values():
            proxy.stop()

    def leftovers(self) -> dict[str, object]:
        """Return what there is and ought not to be, when no run is at work, by kind; what is about to go may go."""
        found: dict[str, object] = {}

        def look() -> bool:
            found["processes"] = {pid: line for run in self._runs for pid, line in run.processes().items()}
            found["sessions"] = [row for side in (self.source, self.target) for row in _sessions(side)]
            return not any(found.values())

        with contextlib.suppress(AssertionError):
            wait_until(look)
        found["databases"] = sorted({*self.target.generations()} - {self.target.name, self.target.previous.name})
        found["archives"] = [str(path) for path in self.archive_root.glob("*/.*")]
        found["temporary files"] = [str(path) for path in self.temporary.iterdir() if "ansible" not in path.name]
        return {kind: things for kind, things in found.items() if things}


def _sessions(database: Database) -> list[tuple[t.Any, ...]]:
    with database.server.connect() as connection:
        return connection.execute(_SESSIONS, (database.generations(),)).fetchall()


@contextlib.contextmanager
def new_scene(source: PostgresServer, target: PostgresServer, folder: Path) -> t.Iterator[Scene]:
    """Give a scene with databases of its own."""
    with contextlib.ExitStack() as undo, database(source, "") as here, database(target, BEFORE) as there:
        source.drop_database(here.name)
        source.create_database(here.name, template=_template(source))
        target.create_database(there.previous.name)
        scene = Scene(here, there, folder, _expected(source, target), undo)
        try:
            yield scene
        finally:
            scene.clean()


@functools.cache
def _template(server: PostgresServer) -> str:
    name = "faults_template"
    server.create_database(name)
    Database(server, name).execute(SOURCE)
    return name


@functools.cache
def _expected(source: PostgresServer, target: PostgresServer) -> oracle.Picture:
    return oracle.expected(source, _template(source), target)
