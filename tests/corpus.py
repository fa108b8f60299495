# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real databases to migrate, and an independent judge of the copies; both lie beside the checkout, not in it."""

from __future__ import annotations

import functools
import sys
import typing as t
from pathlib import Path

import pytest

from tests.servers import PostgresServer

_CORPUS: t.Final = Path(__file__).resolve().parents[2] / "shared" / "corpus"


def require() -> Path:
    """Return the corpus' folder; the test is skipped where there is none."""
    if not _CORPUS.is_dir():
        pytest.skip("the corpus is not here: its place is beside the checkout, ../shared/corpus")
    return _CORPUS


def names() -> list[str]:
    """Return the names of the real databases, none where there is no corpus; generated ones not included."""
    return sorted(dump.stem for dump in (_CORPUS / "db").glob("*.dump"))


def load(server: PostgresServer, name: str, dbname: str, *, scale: str = "1", hostile: str = "0") -> None:
    """Load a corpus database under a name of the test's own.

    :param name: one of `names()`, or ``sigmasight_gen``, ``torture``, ``bulk``; ``scale`` and ``hostile`` are for these
    """
    server.drop_database(dbname)
    script = str(require() / "load.sh")
    server.run(["env", f"SCALE={scale}", f"HOSTILE={hostile}", script, name, dbname])


@functools.cache
def shared(server: PostgresServer, name: str, *, scale: str = "1", hostile: str = "0") -> str:
    """Load a corpus database once a session, for tests that only read it; return the name it got."""
    dbname = f"shared_{name}_{scale}_{hostile}"
    load(server, name, dbname, scale=scale, hostile=hostile)
    return dbname


def fingerprint(server: PostgresServer, dbname: str) -> list[str]:
    """Return a line for every table, matview, sequence and large object, with its rows and checksums."""
    done = server.run([sys.executable, str(require() / "fingerprint.py"), dbname])
    # It tells of a failed query on stderr only, and leaves the object out.
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()
