# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs on one target: at once, one of them wins, whichever it is; after one that was killed, the other goes on."""

from __future__ import annotations

import re
import typing as t

import pytest

from tests import oracle
from tests.databases import Database
from tests.faults import places
from tests.faults.aftermath import assert_next_run_succeeds
from tests.faults.proxy import Message, Watch
from tests.faults.scene import By, Scene
from tests.faults.servers import kill_backend, wait_for_recovery

_NOTES: t.Final = "__pgconvoy_notes"
#: What is made once, and where it would fail if it were made again or double what is there.
_MADE: t.Final = re.compile(rb'(?m)^(COPY "public"|CREATE INDEX|CREATE TABLE)')


@pytest.mark.faults
def test_second_run_at_once(scene: Scene) -> None:
    """The second one does all that it does while the first is in the middle of its work."""
    ends: list[tuple[int, str]] = []

    def run_another(_: object) -> None:
        # Not through the network that stands still meanwhile.
        scene.proxied = False
        ends.append(scene.start("playbook").finish())

    scene.proxies["target"].at(places.copy_start, run_another)
    ends.append(scene.start("playbook").finish())
    scene.heal()

    assert [rc for rc, _ in ends].count(0) == 1, ends
    (refused,) = [words for rc, words in ends if rc != 0]
    assert "another run" in refused
    assert scene.live() == scene.new
    assert not scene.leftovers()
    assert_next_run_succeeds(scene, "playbook")


def _staging(scene: Scene) -> Database:
    return Database(scene.target.server, f"{scene.target.name}__pgconvoy_staging")


def _table_of_notes(scene: Scene) -> str:
    query = f"SELECT relname FROM pg_class WHERE relnamespace = '{_NOTES}'::regnamespace"
    with scene.target.server.connect(_staging(scene).name) as connection:
        ((run_id,),) = connection.execute(query).fetchall()
    return f'{_NOTES}."{run_id}"'


def _end_at(scene: Scene, watch: Watch, *, crash: bool = False) -> None:
    """Have a first run killed where it fills the copy, and the server with it or not; its archive, if any, is there."""
    if scene.transfer == "archive":
        scene.archive = scene.archive_root / "engine" / "kept"
    scene.jobs = 1

    def end(message: Message) -> None:
        scene.run.kill()
        if crash:
            # Commits are not waited for until they are on disk; which of the last ones are lost is not known.
            with scene.target.server.connect() as connection:
                connection.execute("CHECKPOINT")
            kill_backend(scene, "target", message)
        # The server would carry out what it still gets.
        message.link.reset()

    here = _staging(scene).name
    scene.proxies["target"].at(lambda m: m.link.database == here and watch(m), end)
    rc, words = scene.start("engine").finish()
    wait_for_recovery("target", scene)
    scene.heal()
    assert rc != 0, words


def _run_again(scene: Scene, by: By = "engine") -> tuple[str, set[bytes]]:
    """Run once more, which must succeed; return what it has said, and what it has made in the copy."""
    made: set[bytes] = set()
    here = _staging(scene).name
    scene.proxies["target"].at(
        lambda m: m.link.database == here and m.kind in ("Q", "P") and m.origin == "client",
        lambda m: made.update(_MADE.findall(m.link.statement)),
        once=False,
    )
    rc, words = scene.start(by).finish()
    scene.heal()
    assert rc == 0, words
    assert scene.is_copied(), oracle.differences(scene.new, scene.live())
    assert not scene.leftovers()
    return words, made


@pytest.mark.parametrize("crash", [False, pytest.param(True, marks=pytest.mark.faults)], ids=["run", "server"])
@pytest.mark.parametrize(
    ("place", "again"),
    [
        (places.copy_middle, {b'COPY "public"', b"CREATE INDEX"}),
        (places.index_built, {b"CREATE INDEX"}),
        (places.statement(rb"REFRESH"), set()),
    ],
    ids=["within-rows", "before-an-index", "before-a-refresh"],
)
def test_killed_run_is_resumed(scene: Scene, place: Watch, again: set[bytes], crash: bool) -> None:
    """What it had done is not done again, and all the rest is."""
    _end_at(scene, place, crash=crash)
    words, made = _run_again(scene)
    assert "resumed from" in words
    assert made == again


@pytest.mark.parametrize("changed", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_killed_migration_is_resumed(scene: Scene, changed: bool) -> None:
    """It takes the archive in which the source has not changed since, and what is made of it; else it begins anew."""
    scene.jobs = 1
    here = _staging(scene).name

    def end(message: Message) -> None:
        scene.run.kill()
        message.link.reset()

    scene.proxies["target"].at(lambda m: m.link.database == here and places.index_built(m), end)
    assert scene.start("playbook").finish()[0] != 0
    scene.heal()
    (archive,) = scene.archive_root.glob("*/*")
    if changed:
        scene.change_source("UPDATE note SET words = words || '!'")
    _, made = _run_again(scene, "playbook")
    report = scene.report()
    assert bool(report["resumed_from"]) == bool(report["reused_from"]) == (not changed)
    assert (report["archive"] == str(archive)) == (not changed)
    assert made == ({b'COPY "public"', b"CREATE TABLE", b"CREATE INDEX"} if changed else {b"CREATE INDEX"})


@pytest.mark.parametrize("changed", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_killed_stream_is_resumed(scene: Scene, changed: bool) -> None:
    """A snapshot is gone with its run; another one that holds the same serves as well, and only that."""
    scene.transfer = "stream"
    _end_at(scene, places.index_built)
    if changed:
        scene.change_source("UPDATE note SET words = words || '!'")
    words, made = _run_again(scene)
    assert ("resumed from" in words) == (not changed)
    assert made == ({b'COPY "public"', b"CREATE TABLE", b"CREATE INDEX"} if changed else {b"CREATE INDEX"})


def test_crash_that_empties_unlogged_tables(scene: Scene) -> None:
    """Of a copy some of whose rows are gone, nothing is used."""
    scene.change_source("ALTER TABLE note SET UNLOGGED")
    _end_at(scene, places.index_built, crash=True)
    words, made = _run_again(scene)
    assert "resumed from" not in words
    assert b'COPY "public"' in made


def _alter_rows(scene: Scene) -> None:
    _staging(scene).execute(f"UPDATE {_table_of_notes(scene)} SET rows = rows + 1 WHERE part LIKE 'rows %'")


def _alter_archive(scene: Scene) -> None:
    assert scene.archive
    manifest = scene.archive / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")


def _drop_notes(scene: Scene) -> None:
    _staging(scene).execute(f"DROP SCHEMA {_NOTES} CASCADE")


@pytest.mark.parametrize("alter", [_alter_rows, _alter_archive, _drop_notes])
def test_what_differs_begins_anew(scene: Scene, alter: t.Callable[[Scene], None]) -> None:
    """A copy is filled on from nothing else, nor where its notes cannot be true."""
    _end_at(scene, places.index_built)
    alter(scene)
    words, made = _run_again(scene)
    assert "resumed from" not in words
    assert b"CREATE TABLE" in made
