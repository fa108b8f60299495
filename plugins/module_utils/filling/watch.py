# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server is asked how far it is with what takes long, and only with that; so that people know.

It tells of COPY, of statistics and of indexes, those of keys as well. It tells nothing of rows that it validates, and
of views that it refreshes (docs: Progress Reporting).
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import typing as t

from ..schedule.progress import UnderWay, seen, under_way
from ..schedule.signals import start_beside
from ..server.endpoint import Session, connect_beside

#: How often it is asked, by a session of its own. It costs a far server's user eight times the way there and back to
#: open one: what takes less than this is not asked about, and for most databases none is opened.
_SECONDS: t.Final = 5
#: How long an answer is waited for when all else is done.
_PATIENCE_SECONDS: t.Final = 5

# To sort an index's rows and write them takes about as long as to read the table: a B-tree counts the rows that it has
# written, and no blocks any more (_bt_spools_heapscan, nbtsort.c). Other indexes are written as the table is read. In
# the first block, it takes all of them for read (heapam_scan_get_blocks_done, heapam_handler.c).
_ASK: t.Final = """
SELECT pid, 0, CASE
    WHEN tuples_total > 0 AND blocks_total = 0 THEN 0.5 + 0.5 * tuples_done / tuples_total
    WHEN blocks_total > blocks_done
    THEN blocks_done * CASE phase WHEN 'building index' THEN 1.0 ELSE 0.5 END / blocks_total
    ELSE 0 END::float8
FROM pg_catalog.pg_stat_progress_create_index WHERE pid = ANY (%(pids)s)
UNION ALL
SELECT pid, tuples_processed, 0 FROM pg_catalog.pg_stat_progress_copy WHERE pid = ANY (%(pids)s)
UNION ALL
SELECT pid, 0, CASE WHEN sample_blks_total > 0 THEN sample_blks_scanned::float8 / sample_blks_total ELSE 0 END
FROM pg_catalog.pg_stat_progress_analyze WHERE pid = ANY (%(pids)s)
"""


class Watch:
    """Sees how far sessions are with what they do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: what is done by which session, by the number of its process on the server
        self._at_work: dict[int, tuple[Session, UnderWay]] = {}
        #: what was so when it was looked last
        self._before: dict[int, tuple[Session, UnderWay]] = {}
        self._spare: Session | None = None

    @contextlib.contextmanager
    def on(self, session: Session) -> t.Iterator[None]:
        """Let the block do one thing by the session; how far that is, is seen."""
        doing, pid = under_way(), session.info.backend_pid
        if not doing:
            yield
            return
        with self._lock:
            self._at_work[pid] = session, doing
        try:
            yield
        finally:
            with self._lock:
                del self._at_work[pid]

    def look(self) -> None:
        """Ask about all that was under way already when this was called last.

        :raises psycopg.Error: when the server has no room for one more session, or breaks it
        """
        with self._lock:
            before, self._before = self._before, {**self._at_work}
        long = {pid: work for pid, work in self._before.items() if before.get(pid) == work}
        if not long:
            return
        if not self._spare:
            self._spare = connect_beside(next(iter(long.values()))[0])
        for pid, rows, share in self._spare.execute(_ASK, {"pids": [*long]}):
            seen(long[pid][1], share, rows)

    def close(self) -> None:
        """Close the session that asks, if there is one."""
        if self._spare:
            self._spare.close()


@contextlib.contextmanager
def watching(watch: Watch) -> t.Iterator[None]:
    """Look again and again until the block ends."""
    ended = threading.Event()

    def look_again_and_again() -> None:
        # It is a comfort: whatever it fails of, the stage goes on.
        with contextlib.suppress(Exception), contextlib.closing(watch):
            while not ended.wait(_SECONDS):
                watch.look()

    thread = threading.Thread(target=contextvars.copy_context().run, args=(look_again_and_again,), daemon=True)
    start_beside(thread)
    try:
        yield
    finally:
        ended.set()
        thread.join(_PATIENCE_SECONDS)
