# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no class of error foresees: one message, and a trace in a file, without anything that may be a secret."""

from __future__ import annotations

import pathlib
import re
import traceback
import typing as t

from .folder import write_private

#: What an exception quotes may be a value. Of a driver's exceptions, the type alone is told: they quote as they like.
_QUOTED: t.Final = re.compile(r"b?'(?:[^'\\]|\\.)*'|b?\"(?:[^\"\\]|\\.)*\"|0x[0-9a-f]+", re.DOTALL)
_DRIVER: t.Final = "psycopg"


def tell_unexpected(error: BaseException, what: str, folder: pathlib.Path | None, scrub: t.Callable[[str], str]) -> str:
    """Return the message of an error that nobody has foreseen, and leave its trace in the run's folder.

    :param what: what was being done: a stage
    :param folder: None where no file may be written: in check mode
    :param scrub: takes passwords out of a text
    """
    told = f"{what}: unexpected error ({type(error).__name__}), which is a fault of pgconvoy"
    if folder is None:
        return (
            f"{told}, {_place(error)}. No file with the trace was left, as check mode leaves none. A run of "
            "playbooks/verify.yml or playbooks/dump.yml, which change nothing in a database, leaves one."
        )
    path = folder / f"unexpected-{what}.txt"
    try:
        write_private(path, scrub(trace(error)))
    except OSError as failure:
        return f"{told}, {_place(error)}. Its trace cannot be written to {path}: {failure.strerror}."
    return f"{told}, reported in {path}. There is no value of a row in that file: please send it with a report."


def trace(error: BaseException) -> str:
    """Return where an error and its causes came from, each with its type; what they quote is left out."""
    parts: list[str] = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        frames = traceback.StackSummary.extract(traceback.walk_tb(cause.__traceback__), lookup_lines=False)
        lines = [f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n' for frame in frames]
        parts.insert(0, "".join(lines) + f"{type(cause).__module__}.{type(cause).__qualname__}: {_say(cause)}\n")
        cause = cause.__cause__ or cause.__context__
    return "\nwhich led to\n\n".join(parts)


def _say(error: BaseException) -> str:
    if type(error).__module__.partition(".")[0] == _DRIVER:
        return str(getattr(error, "sqlstate", None) or "")
    return _QUOTED.sub("...", str(error))


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"in {pathlib.Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "nobody knows where"
