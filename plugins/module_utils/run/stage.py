# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of all stages have in common: their sides, their record, their one way to fail."""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import signal
import time
import traceback
import types
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.parameters import remove_values

from ..schedule.signals import heed_all
from .folder import RunFolder
from .playbook_process import PlaybookProcess, interrupt_when_ended
from .unexpected import tell_unexpected

try:
    import msgspec  # noqa: F401 - the archive needs it: its absence is told here, with psycopg's
    import psycopg

    from ..container.route import open_route
    from ..errors import MigrationError, Outcome, describe
    from ..preflight.settings import Settings
    from ..server.endpoint import Endpoint
    from ..verdict.findings import Finding
    from .progress_file import progress_written
except ImportError:
    _MISSING: str | None = traceback.format_exc()
else:
    _MISSING = None


def _interrupt(_number: int, _frame: types.FrameType | None) -> None:
    """Unwind, once: a second signal, such as Ansible may send at its end, must not cut the cleaning short."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


class Stage:
    """A module's run: its parameters as the engine wants them, its result as Ansible and the run's folder want it."""

    def __init__(self, name: str, module: AnsibleModule) -> None:
        self.name = name
        self.module = module
        self.params: dict[str, t.Any] = module.params
        if _MISSING is not None:
            module.fail_json(msg=missing_required_lib("psycopg and msgspec"), exception=_MISSING)
        self.folder = RunFolder(pathlib.Path(self.params["run_dir"])) if self.params.get("run_dir") else None
        self._committed = False
        #: what ends with the stage
        self._begun = contextlib.ExitStack()
        # The arguments alone say where to connect: no PGHOSTADDR, PGSERVICE or PGOPTIONS of the caller's.
        for variable in [variable for variable in os.environ if variable.startswith("PG")]:
            del os.environ[variable]
        # Ansible ends a module by SIGTERM; like Ctrl-C it must unwind, so that nothing is left behind.
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGINT, _interrupt)
        heed_all()

    def endpoint(self, side: t.Literal["source", "target"]) -> Endpoint | None:
        """Return the side's database, or None when it takes no part.

        :raises MigrationError: when it is not said which: where a name is empty, libpq takes another one, that of the
            user for the database's (docs: 34.1.2 Parameter Key Words)
        """
        options = self.params.get(side)
        if not options:
            return None
        wanted = ("dbname", "user") if options.get("container") else ("host", "dbname", "user")
        if empty := [f"{side}_{name}" for name in wanted if not options[name]]:
            raise MigrationError(f"Nothing was changed. Empty, and no default would be right: {', '.join(empty)}.")
        return Endpoint(
            side=side,
            host=options["host"] or "",
            port=options["port"],
            dbname=options["dbname"],
            user=options["user"],
            password=options["password"] or "",
            sslmode=options["sslmode"] or "",
            sslrootcert=options["sslrootcert"] or "",
            container=options.get("container") or "",
        )

    def source(self) -> contextlib.AbstractContextManager[Endpoint]:
        """Give the source as it can be reached, for as long as the block lasts: in a container, say."""
        source = self.endpoint("source")
        assert source
        return open_route(source)

    @property
    def settings(self) -> Settings:
        """What holds for all stages of the run."""
        return Settings.of(self.params["settings"])

    def begin(self, playbook_pid: int) -> None:
        """Have the stage tell how far it is, and be interrupted when its ansible-playbook has ended.

        Nobody would read then what it finds out.
        """
        interrupt_when_ended(PlaybookProcess(playbook_pid))
        if self.folder and not self.module.check_mode:
            self._begun.enter_context(progress_written(self.folder.progress, self.name))

    def warn(self, findings: t.Iterable[Finding]) -> None:
        """Show the warnings among the findings at the terminal."""
        for finding in findings:
            if finding.severity == "warning":
                self.module.warn(str(finding))

    def only_predict(self, **returned: t.Any) -> None:
        """End the module in check mode: it would change something, and has not."""
        if self.module.check_mode:
            self.module.exit_json(changed=True, **returned)

    def committed(self) -> None:
        """Note that the live database is replaced; nothing may break the stage off until its record says so.

        To be called where an interruption is still caught and the server asked, so that no moment lies between.
        """
        self._committed = True
        self._ignore_interruptions()

    def _ignore_interruptions(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def run(self, work: t.Callable[[], Outcome]) -> t.NoReturn:
        """Do the stage's work and end the module.

        A failure ends the module with one message: no exception reaches Ansible, which would print it unscrubbed.
        """
        began_at, began = datetime.datetime.now(datetime.UTC), time.monotonic()
        outcome = Outcome()
        error: str | None = None
        try:
            with self._begun:
                if self.folder and self.folder.playbook_pid is not None:
                    self.begin(self.folder.playbook_pid)
                outcome = work()
            self._ignore_interruptions()
        except MigrationError as failure:
            error, outcome = str(failure), failure.outcome
        except psycopg.Error as failure:
            error = f"{self.name}: {describe(failure)}"
        except OSError as failure:
            error = f"{self.name}: {failure}"
        except KeyboardInterrupt:
            # Whoever replaces the live database lets none through from the commit on.
            error = f"{self.name} was interrupted; the live database is as it was."
        except Exception as failure:  # noqa: BLE001 - whatever it is, Ansible would print it with all that is in it
            folder = self.folder.path if self.folder and not self.module.check_mode else None
            error = tell_unexpected(failure, self.name, folder, self._scrub)
        self._ignore_interruptions()
        if error is not None and self._committed and not outcome.changed:
            # What failed after the commit has not said what the live database is now.
            outcome.uncertain = True
        if self.folder and not self.module.check_mode:
            record = {
                "stage": self.name,
                "began_at": began_at.isoformat(timespec="microseconds"),
                "seconds": round(time.monotonic() - began, 3),
                # Names stay as they are: a table's may contain what is somebody's password, and must be found again.
                "error": error and self._scrub(error),
                "changed": outcome.changed,
                "uncertain": outcome.uncertain,
                **outcome.record,
            }
            try:
                self.folder.write_record(self.name, record)
            except OSError as failure:
                # Without it, the report says that nothing is known of this stage.
                done = "It has done what it was to do, but its record" if error is None else f"{error}\nIts record"
                error = f"{done} cannot be written: {failure}"
        if error is not None:
            self.module.fail_json(msg=error, **outcome.returned)
        self.module.exit_json(changed=outcome.changed, **outcome.returned)

    def _scrub(self, text: str) -> str:
        scrubbed: str = remove_values(text, self.module.no_log_values)
        return scrubbed
