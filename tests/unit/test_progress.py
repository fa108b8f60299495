# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a stage is: what its works tell, what is written of it, and what a person sees."""

from __future__ import annotations

import contextlib
import json
import signal
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run import progress_file
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.comparison_table import columns
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.progress_file import (
    ProgressReader,
    progress_written,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.progress_line import duration, share, size, tell
from ansible_collections.pgconvoy.migrate.plugins.module_utils.schedule.progress import (
    Progress,
    State,
    Step,
    doing,
    listening,
    moved,
    phase,
    seen,
    under_way,
    waiting,
)
from ansible_collections.pgconvoy.migrate.plugins.module_utils.schedule.threads import run_parallel
from ansible_collections.pgconvoy.migrate.plugins.plugin_utils.progress import Bar, Follower, Lines
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Mover:
    """Moves ten rows of ten bytes an item, and fails at the item -1."""

    def run(self, item: int) -> None:
        moved(size=100)
        if item < 0:
            raise ValueError
        moved(rows=10)

    def cancel(self) -> None:
        """Nothing is under way."""


def _run(*items: int, jobs: int = 2) -> None:
    run_parallel(
        items, jobs, lambda: contextlib.nullcontext(Mover()), "move", lambda item: Step(f"item {item}", 50 * item, 10)
    )


def test_works_tell_from_whatever_thread() -> None:
    """Each counts with its size, when it has ended; rows and bytes as they move."""
    told: list[State] = []
    with listening(Progress(told.append, Clock())):
        _run(1, 2, 3)
    (state,) = told
    assert state == {
        "phase": "move",
        "seconds": 0.0,
        "steps": [3, 3],
        "sizes": [300, 300],
        "rows": [30, 30],
        "bytes": 300,
        "doing": [],
    }


def test_what_fails_is_not_done() -> None:
    told: list[State] = []
    with pytest.raises(ValueError), listening(Progress(told.append, Clock())):  # noqa: PT011 - raised above
        _run(4, -1, jobs=1)
    assert told[-1]["steps"] == [1, 2]


def test_what_is_under_way() -> None:
    """A step that moves more than it seemed to be about counts as done no sooner than it is."""
    told: list[State] = []
    clock = Clock()
    progress = Progress(told.append, clock)
    with listening(progress), phase("write", [Step("a", 100), Step("b", 300, 7)]):
        with doing(Step("a", 100)):
            moved(40)
            clock.now = 2
            progress.tell_news()
            progress.tell_news()
            moved(900)
            progress.tell_news()
        with doing(Step("b", 300, 7)), doing(Step("x" * 1000)):
            progress.tell_news()
    assert [state["sizes"] for state in told] == [[40, 400], [100, 400], [100, 400], [400, 400]]
    assert [state["doing"] for state in told] == [["a"], ["a"], ["b", "x" * 160], []]
    assert told[0]["seconds"] == 2


def test_what_another_thread_sees() -> None:
    """How far a step is that tells nothing itself; what it tells then counts once."""
    told: list[State] = []
    progress = Progress(told.append, Clock())
    with listening(progress), phase("fill", [Step("index", 100), Step("rows", 0, 9)]):
        with doing(Step("index", 100)):
            index = under_way()
            assert index
            for share in (0.25, 0.75, 0.5):
                seen(index, share=share)
                progress.tell_news()
        with doing(Step("rows", 0, 9)):
            rows = under_way()
            assert rows
            seen(rows, rows=4)
            progress.tell_news()
            moved(rows=9)
            progress.tell_news()
    assert [(state["doing"], state["sizes"], state["rows"]) for state in told[:-1]] == [
        (["index 25%"], [25, 100], [0, 9]),
        (["index 75%"], [75, 100], [0, 9]),
        (["index 75%"], [75, 100], [0, 9]),
        (["rows"], [100, 100], [4, 9]),
        (["rows"], [100, 100], [9, 9]),
    ]


def test_phases_within_phases() -> None:
    """What is told of is the inner one, until it ends."""
    told: list[State] = []
    with listening(Progress(told.append, Clock())), phase("outer", [Step("o")]), doing(Step("o")):
        _run(1)
    assert [(state["phase"], state["steps"]) for state in told] == [("move", [1, 1]), ("outer", [1, 1])]


def test_nobody_need_listen() -> None:
    _run(1, 2)
    with phase("a", []), doing(Step("b")):
        moved(1, 1)
        assert under_way() is None


def test_file(tmp_path: Path) -> None:
    """Lines of several stages, for the owner alone; a reader takes those of its own stage, whole ones, once each."""
    path = tmp_path / "progress.jsonl"
    with progress_written(path, "dump"):
        _run(1)
    reader = ProgressReader(lambda: path, "data_restore")
    late = ProgressReader(lambda: path if path.stat().st_size > 9999 else None, "dump")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert reader.latest() is None
    with progress_written(path, "data_restore"):
        _run(2)
    state = reader.latest()
    assert state
    assert (state["stage"], state["steps"]) == ("data_restore", [1, 1])
    assert reader.latest() is None
    line = path.read_bytes().splitlines(keepends=True)[-1]
    with path.open("ab") as stream:
        stream.write(b'{"cut\n' + line + line[:20])
        stream.flush()
        assert reader.latest() == state
        assert reader.latest() is None
        stream.write(line[20:])
        stream.flush()
        assert reader.latest() == state
    assert late.latest() is None
    with path.open("ab") as stream:
        stream.write(b" " * 9999 + b"\n")
    assert late.latest() is not None


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    """It is a comfort: the stage goes on. Nor does it matter to a reader."""
    with progress_written(tmp_path / "none" / "progress.jsonl", "dump"):
        _run(1)
    with progress_written(Path("/dev/full"), "dump"):
        _run(1)
    assert ProgressReader(lambda: tmp_path / "none" / "progress.jsonl", "dump").latest() is None
    assert ProgressReader(lambda: None, "dump").latest() is None


def test_long_stages_are_told_of_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_file, "_SECONDS", 0)
    path = tmp_path / "progress.jsonl"
    reader = ProgressReader(lambda: path, "dump")
    with progress_written(path, "dump"), doing(Step("index public.x")):
        state = None
        while state is None:
            state = reader.latest()
    assert state["doing"] == ["index public.x"]


def _state(**more: object) -> State:
    state = {"phase": "write rows", "seconds": 10.0, "steps": [1, 4], "sizes": [25, 100], "rows": [1234, 5000]}
    return {**state, "bytes": 3 << 20, "doing": ["table public.users"], "stage": "dump", **more}


@pytest.mark.parametrize(
    ("state", "waited", "told"),
    [
        (_state(), 0, "1,234 of 5,000 rows, 30 s left, 3.0 MiB, 307.2 KiB/s; table public.users"),
        # Nothing is told while an index is built; time goes on.
        (_state(bytes=0), 20, "1,234 of 5,000 rows, 1 min 30 s left; table public.users"),
        (_state(rows=[0, 0], bytes=0, seconds=4), 0, "1 of 4; table public.users"),
        (_state(sizes=[1, 100], bytes=0), 0, "1,234 of 5,000 rows; table public.users"),
        (_state(steps=[0, 0], sizes=[0, 0], rows=[0, 0], bytes=0, doing=[]), 0, ""),
        (_state(rows=[0, 0], bytes=0, seconds=0, doing=["\x1b[2J\n"]), 0, "1 of 4; \\x1b[2J\\n"),
    ],
)
def test_words(state: State, waited: float, told: str) -> None:
    assert tell(state, waited) == told


def test_share() -> None:
    """By size, where sizes are known; of nothing, nobody can tell."""
    assert share(_state()) == 0.25
    assert share(_state(sizes=[0, 0], steps=[3, 4])) == 0.75
    assert share(_state(sizes=[0, 0], steps=[0, 0])) is None


def test_sizes_and_times() -> None:
    assert [size(n) for n in (0, 999, 1000, 1 << 20, 1 << 40, 1 << 60)] == [
        *("0 B", "999 B", "1.0 KiB", "1.0 MiB", "1.0 TiB", "1,048,576.0 TiB")
    ]
    assert [duration(n) for n in (0.4, 59.6, 3599, 3600, 90061)] == [
        *("0 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "25 h 1 min")
    ]


class Screen:
    """What is shown, and a file that it is read from."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.shown: list[str] = []
        self._path = folder / "progress.jsonl"
        self.reader = ProgressReader(lambda: self._path, "dump")

    def write(self, state: State) -> None:
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(state) + "\n")


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    """Return a screen and a file, both empty."""
    return Screen(tmp_path)


def test_lines(screen: Screen) -> None:
    """One in ten seconds, whatever happens, and one at the end."""
    lines = Lines(screen.shown.append, "db: dump", screen.clock)
    follower = Follower(screen.reader, lines, screen.clock)
    screen.write(_state(bytes=0))
    for now in range(26):
        screen.clock.now = now
        follower.look()
    lines.end()
    assert screen.shown == [
        "db: dump: write rows, 25%, 1,234 of 5,000 rows, 1 min 0 s left; table public.users",
        "db: dump: write rows, 25%, 1,234 of 5,000 rows, 1 min 30 s left; table public.users",
        "db: dump: took 25 s",
    ]


def test_what_others_wait_for(screen: Screen) -> None:
    """It is told at once, and a bar counts the seconds, whatever is done meanwhile; it is over with the block."""
    told: list[State] = []
    with listening(Progress(told.append, screen.clock)), waiting("source frozen since 10:16:02 UTC", 0.0, 300):
        screen.clock.now = 2
        _run(1)
    with listening(Progress(told.append, screen.clock)):
        _run(1)
    frozen, within, after = told
    assert (frozen["waiting"], within["waiting"]) == (
        ["source frozen since 10:16:02 UTC", 0.0, 300],
        ["source frozen since 10:16:02 UTC", 2.0, 300],
    )
    assert "waiting" not in after
    lines = Lines(screen.shown.append, "db: freeze", screen.clock)
    for state in (frozen, within):
        lines.show(state, 0)
    assert screen.shown == ["db: freeze: source frozen since 10:16:02 UTC: 0 s, at most 5 min 0 s more"]
    bar = Bar(screen.shown.append, lambda: 80, "db")
    bar.show(within, 3)
    assert "source frozen since 10:16:02 UTC: 5 s, at most" in screen.shown[-1]


def test_quick_stages_say_nothing(screen: Screen) -> None:
    lines = Lines(screen.shown.append, "db: dump", screen.clock)
    follower = Follower(screen.reader, lines, screen.clock)
    with follower.following():
        screen.write(_state())
    assert screen.shown == []


def test_who_follows_takes_no_interruption(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else Ctrl-C might reach this thread alone, and the stage would go on to its end."""
    masks: list[set[int]] = []
    lines = Lines(screen.shown.append, "db: dump", screen.clock)
    monkeypatch.setattr(lines, "end", lambda: masks.append({*signal.pthread_sigmask(signal.SIG_BLOCK, [])}))
    with Follower(screen.reader, lines, screen.clock).following():
        pass
    assert {signal.SIGINT, signal.SIGTERM} <= masks[0]


def test_bar(screen: Screen) -> None:
    """It stays on its line, and leaves it empty."""
    bar = Bar(screen.shown.append, lambda: 101, "db: dump")
    follower = Follower(screen.reader, bar, screen.clock)
    follower.look()
    assert screen.shown == []
    screen.write(_state())
    follower.look()
    (drawn,) = screen.shown
    assert drawn.startswith("\r\x1b[Kdb: dump: write rows:  25%|██▌       | 1,234 of 5,000 rows")
    follower.look()
    assert screen.shown[1:] == [drawn]
    bar.end()
    assert screen.shown[-1] == "\r\x1b[K"


def test_bar_without_share(screen: Screen) -> None:
    """Where nobody can tell how much is left, there is no bar, but what is being done."""
    bar = Bar(screen.shown.append, lambda: 101, "db: dump")
    bar.show(_state(phase="", steps=[0, 0], sizes=[0, 0], rows=[0, 0], bytes=0, doing=["the schema"]), 0)
    bar.show(_state(phase="", steps=[0, 0], sizes=[0, 0], rows=[0, 0], bytes=0, doing=[]), 3)
    assert screen.shown == ["\r\x1b[Kdb: dump: the schema", "\r\x1b[Kdb: dump: 13 s"]


@given(st.text(), st.integers(2, 200), st.integers(0, 100))
def test_no_name_breaks_the_bar(name: str, width: int, done: int) -> None:
    """Whatever is in it, it is one line that fits."""
    shown: list[str] = []
    Bar(shown.append, lambda: width, name).show(_state(doing=[name], sizes=[done, 100], phase=name), 0)
    line = shown[0].removeprefix("\r\x1b[K")
    assert not any(char < " " or "\x7f" <= char <= "\x9f" for char in line)
    assert columns(line) < width


def test_whatever_fails_to_be_shown_does_no_harm(screen: Screen) -> None:
    class Broken:
        def show(self, state: State, waited: float) -> t.NoReturn:
            raise OSError

        end = show

    screen.write(_state())
    follower = Follower(ProgressReader(lambda: Path("/"), "dump"), Broken(), screen.clock)  # type: ignore[arg-type]
    with follower.following():
        pass
