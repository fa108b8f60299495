# Copyright (c) 2026 the pgconvoy contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's message without the values in it: told by its SQLSTATE and its structure, whatever language it is in.

lc_messages is a superuser's setting, so the words may be anybody's. What stays is what names objects; what goes is what
a row, a setting or a statement's parameter may have put there.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

#: In place of what is not shown.
HIDDEN: t.Final = "..."

_WITHHELD: t.Final = (
    f"{HIDDEN} (what a function says of a row is not shown: it may hold values; the server's log has it)"
)

_QUOTES: t.Final = "\"'«»„\u201c\u201d「」『』\u201a\u2018\u2019"
#: Where a value may begin: at a quote, at a number (but a type's modifier, as in varchar(3)), at bytes.
_VALUE: t.Final = re.compile(rf"[{_QUOTES}]|(?<![\w(,])[-+]?\d")
#: A line of a function in SQL: ``SQL function "slug" statement 1``; a statement is no single word.
_SQL_FUNCTION: t.Final = re.compile(rf"\A[^{_QUOTES}:]*[{_QUOTES}] ?\w+ ?[{_QUOTES}][^{_QUOTES}:]*\Z")
#: ``Key (mail)=(x) already exists``: the columns' names, then the values (BuildIndexValueDescription in genam.c).
_KEY: t.Final = re.compile(r"\A[^()\n]*\([^\n]*?\) ?= ?\(")
#: ``COPY t, line 5, column mail: "x"`` up to the value.
_COPIED: t.Final = re.compile(rf"\A[^{_QUOTES}::]*")
#: A line of a function's own: ``PL/pgSQL function f(integer) line 3 at RAISE``, in whatever words.
_FUNCTION: t.Final = re.compile(r"PL/\w+.*\w\(.*\)")

#: Data exceptions and violated constraints, whose texts quote values (docs: Appendix A. PostgreSQL Error Codes).
_DATA: t.Final = "22"
_CONSTRAINT: t.Final = "23"
#: Internal errors, which is also what extensions without a code of their own raise.
_INTERNAL: t.Final = "XX000"
#: What the server says of its own machine and of itself: no room, no memory, a limit of its own, a shutdown, a disk's
#: error. Of a file that is not there it may have the name from a row.
_MACHINE: t.Final = ("53", "54", "57", "58030")
#: What the server says of tables alone: no right, no data yet, a lock.
_NAMING: t.Final = frozenset({"42501", "55000", "55P03"})
#: Where a procedural language's source raises what a user's function says.
_LANGUAGES: t.Final = ("pl_exec.c", "plpy_", "plperl.c", "pltcl.c")
#: Where it raises that there is no shared memory left, with the SQLSTATE and the words of a full disk.
_SHARED_MEMORY: t.Final = "dsm_impl.c"
_ENLARGE: t.Final = (
    "It is the server's shared memory (/dev/shm) that is too small, and not its disk. Give its container more: "
    "--shm-size=256m for docker run, shm_size for Compose, the variable RAILWAY_SHM_SIZE_BYTES at Railway."
)


@dataclasses.dataclass(frozen=True)
class Message:
    """A server's message, as it came."""

    severity: str
    sqlstate: str
    primary: str
    detail: str = ""
    hint: str = ""
    context: str = ""
    #: the file of the server's source that raised it
    source_file: str = ""
    #: whether the statement has evaluated something for rows, and was not refused before it began to
    over_rows: bool = False

    @property
    def of_user(self) -> bool:
        """Whether a function of the user's has worded it (RAISE, plpy.error and so on)."""
        return self.source_file.startswith(_LANGUAGES) or self.sqlstate.startswith("P0")

    @property
    def of_row(self) -> bool:
        """Whether it is about a row's values, whatever its code: input functions of extensions have codes of theirs."""
        if self.sqlstate.startswith(_MACHINE):
            return self.of_user
        from_rows = (self.over_rows and self.sqlstate not in _NAMING) or "COPY" in self.context
        return self.sqlstate[:2] in (_DATA, _CONSTRAINT) or from_rows or self.of_user

    @property
    def told(self) -> str:
        """The message without values, a line each of SQLSTATE and text, detail, hint and context."""
        lines = [f"{self.severity} {self.sqlstate}: {self.summary}"]
        detail = _of_key(self.detail) if self.of_row else self.detail
        quiet = self.of_row or self.sqlstate == _INTERNAL
        hint = _ENLARGE if self.source_file.startswith(_SHARED_MEMORY) else "" if quiet else self.hint
        parts = (("DETAIL", detail), ("HINT", hint), ("CONTEXT", _of_context(self.context)))
        return "\n".join([*lines, *(f"{label}: {text}" for label, text in parts if text)])

    @property
    def summary(self) -> str:
        """The text alone, without values."""
        if self.of_user:
            # The user's own words, of whatever he chose to say; but not of rows on their way.
            return _WITHHELD if self.over_rows or "COPY" in self.context else self.primary
        if self.sqlstate.startswith(_CONSTRAINT):
            # The server's own name tables and constraints alone.
            return self.primary
        return cut(self.primary) if self.of_row or self.sqlstate == _INTERNAL else self.primary


def cut(text: str) -> str:
    """Return a text up to where a value may begin."""
    found = _VALUE.search(text)
    return text[: found.start()] + HIDDEN if found else text


def _of_key(detail: str) -> str:
    """Return the columns of a key; any other detail of such an error is a row's values."""
    found = _KEY.match(detail)
    return f"{found[0]}{HIDDEN})" if found else ""


def _of_context(context: str) -> str:
    """Return where it happened: which row of which table, in which function; never a statement or a value."""
    kept: list[str] = []
    for line in context.splitlines():
        if "COPY" in line and (found := _COPIED.match(line)):
            # It comes last, and the value after it may have several lines.
            return "\n".join([*kept, found[0].rstrip()])
        if (_FUNCTION.search(line) and not set(_QUOTES) & set(line)) or ("SQL" in line and _SQL_FUNCTION.match(line)):
            kept.append(line)
    return "\n".join(kept)


# What psql prints with VERBOSITY verbose: a head with the SQLSTATE, then fields by their labels (libpq: fe-protocol3.c,
# pqBuildErrorMessage3). Its own labels are English, LC_MESSAGES being C, unless LC_ALL says otherwise; the
# server's words are in its own language.
_HEAD: t.Final = re.compile(
    r"^(?:psql:(?:[^\s:]+:\d+:)? )?(?P<severity>[^\W\d_]+): {1,2}(?P<sqlstate>[0-9A-Z]{5}): ", re.MULTILINE
)
_FIELD: t.Final = re.compile(
    r"^(DETAIL|HINT|QUERY|CONTEXT|(?:SCHEMA|TABLE|COLUMN|DATATYPE|CONSTRAINT) NAME|LOCATION|LINE \d+): {1,2}",
    re.MULTILINE,
)


def read_messages(output: str) -> tuple[str, list[Message]]:
    """Return what a client program said by itself, and the server's messages that it passed on.

    :param output: what psql wrote to its standard error with VERBOSITY verbose
    """
    heads = list(_HEAD.finditer(output))
    ends = [*(head.start() for head in heads[1:]), len(output)]
    messages = []
    for head, end in zip(heads, ends, strict=bool(heads)):
        primary, *fields = _FIELD.split(output[head.end() : end])
        by_label = dict(zip(fields[::2], (field.strip() for field in fields[1::2]), strict=True))
        messages.append(
            Message(
                head["severity"],
                head["sqlstate"],
                # More lines may be fields with labels in another language.
                primary.strip().partition("\n")[0],
                by_label.get("DETAIL", ""),
                by_label.get("HINT", ""),
                by_label.get("CONTEXT", ""),
                by_label.get("LOCATION", "").rpartition(", ")[2],
            )
        )
    return output[: heads[0].start() if heads else None].strip(), messages


_LITERAL: t.Final = r"E?'(?:[^'\\]|''|\\.)*'"
#: Where a definition holds what may be a secret: OPTIONS of foreign servers and user mappings, SET of functions
#: (dumpForeignServer, dumpUserMappings, dumpFunc in pg_dump.c).
_SECRETS: t.Final = (
    re.compile(rf"\bOPTIONS \(\s*(?:(?:\w+|\"[^\"]+\") {_LITERAL},?\s*)+\)"),
    re.compile(rf"^\s*SET (?:\w|\.|\"[^\"]+\")+ TO (?:(?:{_LITERAL}|\"[^\"]*\"|[\w.]+)(?:, )?)+", re.MULTILINE),
)
_VALUES: t.Final = re.compile(rf"{_LITERAL}|(?<= TO )\"?[\w.]+\"?")


def hide_values(definition: str) -> str:
    """Return a definition, as pg_dump words it, without the values of options and settings."""
    for secret in _SECRETS:
        definition = secret.sub(lambda found: _VALUES.sub("'...'", found[0]), definition)
    return definition
