# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody has foreseen ends as one message, and its trace tells no secret."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import msgspec
import psycopg
import pytest
from ansible_collections.pgconvoy.migrate.plugins.module_utils.run.unexpected import tell_unexpected, trace


def _decode() -> None:
    b"canary \xe9".decode("utf-8")


def _validate() -> None:
    msgspec.json.decode(b'{"canary": "canary"}', type=dict[str, int])


def _recurse() -> None:
    _recurse()


def _chain() -> None:
    try:
        raise psycopg.DataError("canary is no number")
    except psycopg.Error as error:
        raise ValueError("invalid literal for int(): 'can\\'canary'") from error


def _exhaust() -> None:
    raise MemoryError


def _overflow() -> None:
    raise OverflowError("'canary' is too large")


def _look_up() -> None:
    dict[str, int]()["canary\n'canary"]


FAILURES: t.Final = (_decode, _validate, _recurse, _chain, _exhaust, _overflow, _look_up)


@pytest.mark.parametrize("fail", FAILURES)
def test_message_and_trace(tmp_path: Path, fail: t.Callable[[], None]) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - of each type
        fail()
    told = tell_unexpected(raised.value, "dump", tmp_path, lambda text: text.replace("test_unexpected", "********"))
    path = tmp_path / "unexpected-dump.txt"
    assert type(raised.value).__name__ in told
    assert str(path) in told
    assert "\n" not in told
    written = path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600
    assert fail.__name__ in written
    assert "********.py" in written
    assert "canary" not in told + written
    in_check_mode = tell_unexpected(raised.value, "dump", None, str)
    assert "canary" not in in_check_mode
    assert "playbooks/verify.yml" in in_check_mode


def test_causes_are_told_first(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="invalid literal") as raised:
        _chain()
    first, _, second = trace(raised.value).partition("which led to")
    assert "psycopg.DataError" in first
    assert "builtins.ValueError: invalid literal for int(): ..." in second


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    told = tell_unexpected(json.JSONDecodeError("no", "doc", 1), "dump", tmp_path / "gone", str)
    assert "cannot be written" in told
