# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other ways to move a database, as their documentation tells to do it; none proves what came of it but the last."""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

from ansible_collections.pgconvoy.migrate.plugins.module_utils.lab.server import HOST, SUPERUSER

from bench.ours import JOBS
from bench.pair import Pair
from bench.processes import Watch

_PIPE: t.Final = 'pg_dump "$SRC" | psql -Xq "$DST" > /dev/null'
_CLONE: t.Final = (
    '"$PGCOPYDB" clone --dir "$WORK/pgcopydb" --source "$SRC" --target "$DST" --no-acl --no-owner'
    " --table-jobs $JOBS --index-jobs $JOBS"
)
#: A shell script each. SRC and DST are connection strings, WORK is an empty folder.
PEERS: t.Final = {
    "documented": """
        pg_dump "$SRC" --schema-only --no-owner --no-privileges > "$WORK/schema.sql"
        pg_dump "$SRC" -Fc --data-only --disable-triggers --no-owner --no-privileges -f "$WORK/data.dump"
        psql -Xq "$DST" -f "$WORK/schema.sql" > /dev/null
        pg_restore -d "$DST" --data-only --disable-triggers --no-owner --no-privileges "$WORK/data.dump"
    """,
    "pipe": _PIPE,
    "directory": """
        pg_dump "$SRC" -Fd -j $JOBS -Z0 -f "$WORK/dump"
        pg_restore -d "$DST" -j $JOBS "$WORK/dump"
    """,
    "pgcopydb": _CLONE,
    "pgcopydb-compare": _CLONE
    + ' && "$PGCOPYDB" compare data --dir "$WORK/compare" --jobs $JOBS --source "$SRC" --target "$DST"',
}
#: How the page names them.
TITLES: t.Final = {
    "documented": "the documented process: schema as SQL, data by pg_dump -Fc, triggers disabled",
    "pipe": "pg_dump \\| psql",
    "directory": f"pg_dump -Fd -j{JOBS} -Z0, pg_restore -j{JOBS}",
    "pgcopydb": "pgcopydb clone",
    "pgcopydb-compare": "pgcopydb clone, compare data",
}


def pgcopydb() -> str | None:
    """Return the program of pgcopydb: that of the environment variable PGCOPYDB, else the installed one, if any."""
    return os.environ.get("PGCOPYDB") or shutil.which("pgcopydb")


def missing() -> set[str]:
    """Return the peers that are not installed here."""
    return {name for name in PEERS if name.startswith("pgcopydb") and pgcopydb() is None}


def run_peer(name: str, pair: Pair, dbname: str, target_port: int) -> tuple[float, Watch]:
    """Move a database into one that is empty; return the seconds it took, and what was seen of it.

    :raises RuntimeError: when it fails
    """
    work = pair.folder / "peer"
    if work.exists():
        shutil.rmtree(work)
    work.mkdir()
    environment = {
        "PATH": f"{pair.bindir}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "SRC": _conninfo(pair.source.port, dbname, pair.source.password),
        "DST": _conninfo(target_port, dbname, pair.target.password),
        "WORK": str(work),
        "JOBS": str(JOBS),
        "PGCOPYDB": pgcopydb() or "",
    }
    watch = Watch()
    # bash: an sh need not know pipefail.
    script = f"set -euo pipefail\n{PEERS[name]}"
    seconds = watch.run(["bash", "-c", script], environment, work / "output", Path("/"))
    shutil.rmtree(work)
    return seconds, watch


def _conninfo(port: int | None, dbname: str, password: str) -> str:
    return f"host={HOST} port={port} user={SUPERUSER} dbname={dbname} password={password} sslmode=disable"
